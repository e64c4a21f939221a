//! The identity provider: its settings, and one request to its token endpoint, with the grant
//! `client_credentials` of RFC 6749, section 4.4.

use std::fs;
use std::time::Duration;

use analytics_process::settings::{Settings, SettingsError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::token::Token;

pub(crate) const URL: &str = "KAFKA_OAUTH_TOKEN_URL";
const CLIENT_ID: &str = "KAFKA_OAUTH_CLIENT_ID";
const SECRET: &str = "KAFKA_OAUTH_CLIENT_SECRET";
const SECRET_FILE: &str = "KAFKA_OAUTH_CLIENT_SECRET_FILE";
const SCOPE: &str = "KAFKA_OAUTH_SCOPE";
const CA_FILE: &str = "KAFKA_OAUTH_CA_FILE";

/// How long the endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of an answer, in bytes.
const LARGEST: u64 = 1 << 20;
/// What is escaped in the client's id and its secret: see RFC 6749, section 2.3.1.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The errors of RFC 6749, section 5.2, and RFC 8707. Other texts of an answer are not shown: they may
/// repeat what was sent.
const ERRORS: [&str; 7] = [
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// An identity provider, and the client that this process is for it.
pub(super) struct Provider {
    url: Uri,
    client_id: String,
    secret: Secret,
    scope: Option<String>,
    ca_file: Option<String>,
}

enum Secret {
    Text(String),
    /// In this file, which is read for each request: the secret may be replaced.
    File(String),
}

/// Why there is no token. Does not contain the secret.
#[derive(Debug)]
pub(super) enum NoToken {
    /// The endpoint cannot be reached, or fails.
    Away(String),
    /// The endpoint refuses the client, or its answer cannot be used: somebody has to change something.
    Refused(String),
}

impl Provider {
    /// Reads the settings; `None` if Kafka is not authenticated to with tokens.
    ///
    /// # Errors
    /// [`SettingsError`] that names the setting.
    pub(super) fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let set = |name| settings.get(name).filter(|value| !value.is_empty());
        if set(URL).is_none() {
            let alone = [CLIENT_ID, SECRET, SECRET_FILE, SCOPE, CA_FILE].into_iter().find(|name| set(name).is_some());
            return alone
                .map_or(Ok(None), |name| Err(SettingsError::invalid(URL, format!("must be set, because {name} is"))));
        }
        let secret = match (set(SECRET), set(SECRET_FILE)) {
            (Some(secret), None) => Secret::Text(secret.to_owned()),
            (None, Some(file)) => Secret::File(file.to_owned()),
            (None, None) => {
                return Err(SettingsError::invalid(SECRET, format!("must be set, or {SECRET_FILE}, because {URL} is")));
            }
            (Some(_), Some(_)) => {
                return Err(SettingsError::Sentence(format!("{SECRET} and {SECRET_FILE}: set one of them, not both")));
            }
        };
        let provider = Self {
            url: settings.parse(URL, url)?,
            client_id: settings.required(CLIENT_ID)?.to_owned(),
            secret,
            scope: set(SCOPE).map(|_| settings.parse(SCOPE, scope)).transpose()?,
            ca_file: set(CA_FILE).map(ToOwned::to_owned),
        };
        provider.secret.read().map_err(|problem| SettingsError::invalid(SECRET_FILE, problem))?;
        provider.agent().map_err(|problem| SettingsError::invalid(CA_FILE, problem))?;
        Ok(Some(provider))
    }

    /// Requests a token.
    ///
    /// # Errors
    /// [`NoToken`].
    pub(super) fn request(&self) -> Result<Token, NoToken> {
        let secret = self.secret.read().map_err(|problem| NoToken::Refused(format!("{SECRET_FILE}: {problem}")))?;
        let agent = self.agent().map_err(|problem| NoToken::Refused(format!("{CA_FILE}: {problem}")))?;
        let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        let basic = STANDARD.encode(format!("{}:{}", escaped(&self.client_id), escaped(&secret)));
        let scope = self.scope.iter().map(|scope| ("scope", scope.as_str()));
        let mut answer = agent
            .post(&self.url)
            .header("authorization", format!("Basic {basic}"))
            .header("accept", "application/json")
            .send_form([("grant_type", "client_credentials")].into_iter().chain(scope))
            .map_err(|error| NoToken::Away(sentence(&error)))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
        let body = body.map_err(|error| NoToken::Away(sentence(&error)))?;
        if status.is_success() {
            let read = Token::read(&body, &self.client_id, Utc::now());
            return read.map_err(|why| NoToken::Refused(format!("{URL}: {why}")));
        }
        Err(refusal(status, &body))
    }

    /// Creates an HTTP client, which trusts what is in the file of authorities now.
    fn agent(&self) -> Result<Agent, String> {
        let roots = match &self.ca_file {
            Some(file) => authorities(file)?,
            None => RootCerts::PlatformVerifier,
        };
        let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(roots);
        // Redirects are not followed: the secret is for one address.
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("analytics-ingest/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build());
        Ok(config.build().new_agent())
    }
}

impl Secret {
    fn read(&self) -> Result<String, String> {
        let file = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(file) => file,
        };
        let text = fs::read_to_string(file).map_err(|error| format!("the file cannot be read: {}", error.kind()))?;
        let text = text.trim();
        if text.is_empty() { Err("the file is empty".into()) } else { Ok(text.to_owned()) }
    }
}

fn authorities(file: &str) -> Result<RootCerts, String> {
    let pem = fs::read(file).map_err(|error| format!("the file cannot be read: {}", error.kind()))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err("must be a file with certificates in PEM form".into());
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn url(text: &str) -> Result<Uri, &'static str> {
    let url = text.parse::<Uri>().ok().filter(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
            && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    url.ok_or("must be the address of a token endpoint that begins with https:// or http://, without a user")
}

fn scope(text: &str) -> Result<String, &'static str> {
    let is_of_scope = |byte: u8| byte == b' ' || (byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    text.bytes()
        .all(is_of_scope)
        .then(|| text.to_owned())
        .ok_or("must be scopes of ASCII characters, separated by spaces")
}

/// What an answer that is no success means.
fn refusal(status: StatusCode, body: &[u8]) -> NoToken {
    let error = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let error = error.get("error").and_then(Value::as_str).unwrap_or_default();
    let known = ERRORS.into_iter().find(|known| *known == error);
    let about = match known {
        Some("invalid_client" | "unauthorized_client") => format!("; {CLIENT_ID} or its secret is wrong"),
        Some("invalid_scope") => format!("; {SCOPE} is wrong"),
        _ => String::new(),
    };
    let known = known.map(|known| format!(", {known}")).unwrap_or_default();
    let said = format!("{URL}: the token endpoint answered {}{known}{about}", status.as_u16());
    let may_pass =
        status.is_server_error() || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if may_pass { NoToken::Away(said) } else { NoToken::Refused(said) }
}

/// Says what failed without what was sent.
fn sentence(error: &ureq::Error) -> String {
    let why = match error {
        ureq::Error::Timeout(_) => "does not answer in time".into(),
        ureq::Error::HostNotFound => "has a host that does not exist".into(),
        ureq::Error::Io(error) => format!("cannot be reached: {}", error.kind()),
        ureq::Error::NativeTls(error) => format!("has a certificate or TLS that cannot be used: {error}"),
        ureq::Error::BodyExceedsLimit(_) => "answers too much".into(),
        _ => "cannot be reached".into(),
    };
    format!("{URL}: the token endpoint {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(values: &[(&str, &str)]) -> Option<String> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Provider::from_settings(&Settings::from_environment(values)).err().map(|error| error.to_string())
    }

    #[test]
    fn settings_that_cannot_be_used_are_named_and_secrets_not_repeated() {
        let good = [(URL, "https://id.example.com/token"), (CLIENT_ID, "c"), (SECRET, "hunter22")];
        let with = |name: &'static str, value: &'static str| {
            let others = good.into_iter().filter(|(known, _)| *known != name);
            said(&others.chain([(name, value)]).collect::<Vec<_>>()).unwrap_or_default()
        };
        assert_eq!((said(&[]), said(&good)), (None, None));
        for (name, value, says) in [
            (URL, "", "KAFKA_OAUTH_TOKEN_URL: must be set, because KAFKA_OAUTH_CLIENT_ID is"),
            (URL, "id.example.com", "KAFKA_OAUTH_TOKEN_URL: must be the address of a token endpoint"),
            (URL, "https://u:hunter22@id.example.com/token", "without a user"),
            (CLIENT_ID, "", "KAFKA_OAUTH_CLIENT_ID: must be set"),
            (SECRET, "", "KAFKA_OAUTH_CLIENT_SECRET: must be set, or KAFKA_OAUTH_CLIENT_SECRET_FILE"),
            (SECRET_FILE, "/nowhere", "set one of them, not both"),
            (SCOPE, "a\u{e4}", "KAFKA_OAUTH_SCOPE: must be scopes"),
            (CA_FILE, "/nowhere", "KAFKA_OAUTH_CA_FILE: the file cannot be read"),
            (CA_FILE, "/etc/hostname", "KAFKA_OAUTH_CA_FILE: must be a file with certificates"),
        ] {
            let sentence = with(name, value);
            assert!(sentence.contains(says) && !sentence.contains("hunter22"), "{name}={value}: {sentence}");
        }
        let with_file = [good[0], good[1], (SECRET_FILE, "/nowhere")];
        assert_eq!(
            said(&with_file).as_deref(),
            Some("KAFKA_OAUTH_CLIENT_SECRET_FILE: the file cannot be read: entity not found")
        );
    }

    #[test]
    fn an_answer_is_named_without_what_may_repeat_the_secret() {
        for (status, body, is_refused, says) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"hunter22"}"#,
                true,
                "401, invalid_client; KAFKA_OAUTH",
            ),
            (400, r#"{"error":"invalid_scope"}"#, true, "400, invalid_scope; KAFKA_OAUTH_SCOPE is wrong"),
            (400, r#"{"error":"hunter22"}"#, true, "answered 400"),
            (404, "hunter22", true, "answered 404"),
            (302, "", true, "answered 302"),
            (429, "", false, "answered 429"),
            (503, "<html>hunter22", false, "answered 503"),
        ] {
            let (refused, said) = match refusal(StatusCode::from_u16(status).expect("a status"), body.as_bytes()) {
                NoToken::Refused(said) => (true, said),
                NoToken::Away(said) => (false, said),
            };
            assert!(refused == is_refused && said.contains(says) && !said.contains("hunter22"), "{status}: {said}");
        }
    }
}
