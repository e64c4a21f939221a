//! An HTTP client of the API.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use shared_auth::{Claims, mint};
use ureq::Agent;
use ureq::http::Response;

/// The secret with which tests sign tokens.
pub const SECRET: &str = "a secret for tests, of thirty-two bytes or more";

/// A client that sends a token, if it has one.
pub struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    /// Returns a client with the token of an admin.
    #[must_use]
    pub fn admin(address: &str) -> Self {
        Self::with_token(address, &token("admin", None))
    }

    /// Returns a client with the token of the marketplace's support.
    #[must_use]
    pub fn support(address: &str) -> Self {
        Self::with_token(address, &token("support", None))
    }

    /// Returns a client with the token of a seller.
    #[must_use]
    pub fn seller(address: &str, vendor: &str) -> Self {
        Self::with_token(address, &token("seller", Some(vendor)))
    }

    /// Returns a client with the token of a seller that acts for several vendors.
    #[must_use]
    pub fn seller_of(address: &str, vendors: &[&str]) -> Self {
        let vendor_ids = vendors.iter().map(ToString::to_string).collect();
        Self::with_token(address, &minted(Claims { role: vec!["seller".into()], vendor_ids, ..Claims::default() }))
    }

    /// Returns a client with the given token.
    #[must_use]
    pub fn with_token(address: &str, token: &str) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { agent, base: format!("http://{address}"), token: Some(token.to_owned()) }
    }

    /// Returns a client without a token.
    #[must_use]
    pub fn nobody(address: &str) -> Self {
        Self { token: None, ..Self::with_token(address, "") }
    }

    /// Sends a GET with additional headers and returns the whole answer, with its body as text.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn answer(&self, path: &str, headers: &[(&str, &str)]) -> Response<String> {
        text(self.request(path, headers).call(), path)
    }

    /// Sends a GET with additional headers and returns the answer as soon as its head is there. Its
    /// body is read by the caller.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn open(&self, path: &str, headers: &[(&str, &str)]) -> Response<ureq::Body> {
        self.request(path, headers).call().expect(path)
    }

    fn request(&self, path: &str, headers: &[(&str, &str)]) -> ureq::RequestBuilder<ureq::typestate::WithoutBody> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    }

    /// Sends a GET and returns the status and the body.
    #[must_use]
    pub fn get(&self, path: &str) -> (u16, Value) {
        json(self.answer(path, &[]))
    }

    /// Sends a POST with a JSON body and returns the status and the body.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_text(path, &body.to_string())
    }

    /// The same with the given text as body.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn post_text(&self, path: &str, body: &str) -> (u16, Value) {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        json(text(request.send(body), path))
    }

    /// Sends a POST with CSV as body and returns the whole answer, with its body as text.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn post_csv(&self, path: &str, body: &[u8]) -> Response<String> {
        text(Ok(self.open_csv(path, body)), path)
    }

    /// The same, and returns the answer as soon as its head is there.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn open_csv(&self, path: &str, body: &[u8]) -> Response<ureq::Body> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("Content-Type", "text/csv");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        request.send(body).expect(path)
    }

    /// Sends a DELETE and returns the status and the body.
    #[must_use]
    pub fn delete(&self, path: &str) -> (u16, Value) {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        json(text(request.call(), path))
    }

    /// Returns the status and body of the answer for one metric.
    #[must_use]
    pub fn metric(&self, metric_type: &str) -> (u16, Value) {
        self.get(&format!("/api/metrics/{}", utf8_percent_encode(metric_type, NON_ALPHANUMERIC)))
    }

    /// Returns the value of an existing metric; `None` for null.
    ///
    /// # Panics
    /// If the status is not 200.
    #[must_use]
    pub fn value(&self, metric_type: &str) -> Option<i64> {
        let (status, body) = self.metric(metric_type);
        assert_eq!(status, 200, "{metric_type}: {body}");
        body["value"].as_i64()
    }
}

fn text(answer: Result<Response<ureq::Body>, ureq::Error>, path: &str) -> Response<String> {
    let (head, mut body) = answer.expect(path).into_parts();
    // A page of a thousand large records exceeds ureq's default limit on bodies.
    let body = body.with_config().limit(1 << 30).read_to_string().expect(path);
    Response::from_parts(head, body)
}

fn json(answer: Response<String>) -> (u16, Value) {
    let status = answer.status().as_u16();
    let body = answer.into_body();
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// Returns a token for a role, valid for an hour.
///
/// # Panics
/// If [`SECRET`] is too short, which it is not.
#[must_use]
pub fn token(role: &str, vendor: Option<&str>) -> String {
    minted(Claims { role: vec![role.into()], vendor_id: vendor.map(str::to_owned), ..Claims::default() })
}

/// Returns a token of the user `tester` with these claims, valid for an hour.
fn minted(claims: Claims) -> String {
    let exp = (chrono::Utc::now().timestamp() + 3600).unsigned_abs();
    let claims = Claims { user_id: Some("tester".into()), exp, ..claims };
    mint(SECRET.as_bytes(), &claims).expect("a secret of sufficient length")
}
