//! Tokens that a gateway adds to a browser's requests, in a header or a cookie of its own.
//!
//! The token is verified as any other: a gateway's word alone is never enough. But a browser sends
//! such requests for any site that asks it to, so a token from here is used only if the request
//! comes from a page of this service.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{COOKIE, HOST, HeaderName, ORIGIN};

use crate::rejected::Rejected;

/// The header that a request with a method that may change something must have, with its value. A
/// page of another site cannot set it without a preflight that allows it.
const REQUESTED_WITH: (&str, &str) = ("x-requested-with", "dashboard");

/// Where a gateway puts the token. The application provides it as app data; without it, only
/// `Authorization` counts.
#[derive(Debug, Clone, Default)]
pub struct Gateway {
    header: Option<HeaderName>,
    cookie: Option<String>,
}

impl Gateway {
    /// Accepts tokens in this header.
    ///
    /// # Errors
    /// What a name must be, if it cannot be that of such a header.
    pub fn header(self, name: &str) -> Result<Self, &'static str> {
        let header = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok();
        let taken = ["authorization", "cookie", "host", "origin"];
        let header = header.filter(|header| !taken.contains(&header.as_str()));
        let header = header.ok_or("must be the name of a header of its own, such as X-Forwarded-Access-Token")?;
        Ok(Self { header: Some(header), ..self })
    }

    /// Returns the name of the header, if tokens are accepted in one.
    #[must_use]
    pub const fn header_name(&self) -> Option<&HeaderName> {
        self.header.as_ref()
    }

    /// Accepts tokens in the cookie of this name.
    ///
    /// # Errors
    /// What a name must be, if it cannot be that of a cookie.
    pub fn cookie(self, name: &str) -> Result<Self, &'static str> {
        // Cookie names are tokens as names of headers are, but case matters (RFC 6265, section 4.1.1).
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| "must be the name of a cookie, such as analytics_token")?;
        Ok(Self { cookie: Some(name.to_owned()), ..self })
    }

    /// Returns the token of a request: that of the header, else that of the cookie.
    ///
    /// # Errors
    /// [`Rejected::Missing`]; [`Rejected::Ambiguous`] if there are several; [`Rejected::CrossSite`] if
    /// the request does not come from a page of this service.
    pub(crate) fn token<'a>(&self, request: &'a HttpRequest) -> Result<&'a str, Rejected> {
        let header = self.header.as_ref().map(|name| only(texts(request, name))).transpose()?.flatten();
        let token = match (header, &self.cookie) {
            (Some(token), _) => Some(token),
            (None, Some(name)) => only(cookies(request, name))?,
            (None, None) => None,
        };
        let token = token.ok_or(Rejected::Missing)?;
        if is_own(request) { Ok(token) } else { Err(Rejected::CrossSite) }
    }
}

fn texts<'a>(request: &'a HttpRequest, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    request.headers().get_all(name).map(|value| value.to_str().unwrap_or("not text"))
}

/// Returns the values of all cookies of this name: a page of a sibling domain can add one.
fn cookies<'a>(request: &'a HttpRequest, name: &str) -> impl Iterator<Item = &'a str> {
    texts(request, &COOKIE)
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(own, _)| *own == name)
        .map(|(_, value)| value.trim_matches('"'))
}

fn only<'a>(values: impl Iterator<Item = &'a str>) -> Result<Option<&'a str>, Rejected> {
    let mut values = values.map(str::trim).filter(|value| !value.is_empty());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Rejected::Ambiguous),
    }
}

/// Whether a request comes from a page of this service, or from no page at all. A browser says so in
/// `Sec-Fetch-Site`; older ones name the page's `Origin`, whose host must be that of the request.
/// Links on other sites may lead here, but may only read.
fn is_own(request: &HttpRequest) -> bool {
    let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("not text"));
    let from_own_page = match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.zip(text(HOST.as_str())).is_some_and(|(host, own)| host.eq_ignore_ascii_case(own))
        }
        (None, None) => true,
    };
    match *request.method() {
        Method::GET | Method::HEAD => from_own_page || text("sec-fetch-mode") == Some("navigate"),
        _ => from_own_page && text(REQUESTED_WITH.0) == Some(REQUESTED_WITH.1),
    }
}
