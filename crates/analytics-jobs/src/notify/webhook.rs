//! The webhook: its settings, the signature, and one delivery with its attempts.
//!
//! Requests follow <https://www.standardwebhooks.com>: the headers `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`, which is `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.

use std::fs;
use std::time::Duration;

use analytics_db::tables::notifications::Waiting;
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use ureq::Agent;
use ureq::http::{StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

const URL: &str = "NOTIFY_WEBHOOK_URL";
const SECRET: &str = "NOTIFY_WEBHOOK_SECRET";
const SECRET_FILE: &str = "NOTIFY_WEBHOOK_SECRET_FILE";

/// How long the receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pauses before further attempts. The next run of a job makes more.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// The longest pause that a receiver can ask for with `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The sizes that Standard Webhooks allows for a secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Where notifications are sent.
pub(super) struct Webhook {
    url: Uri,
    /// The key of the signature. Without one, requests are not signed.
    key: Option<PKey<Private>>,
    agent: Agent,
}

/// Why a notification was not delivered.
#[derive(Debug)]
pub(super) enum Undelivered {
    /// The receiver does not want this one.
    Refused(String),
    /// The receiver cannot be reached, has failed, or takes nothing at this address or with this secret.
    Away(String),
    /// The process was asked to stop.
    Stopped,
}

impl Webhook {
    /// Reads the settings; `None` if there is no webhook.
    ///
    /// # Errors
    /// [`SettingsError`] that names the setting. It does not contain the address, which may be a secret.
    pub(super) fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let key = key(settings)?;
        if settings.get(URL).is_none_or(str::is_empty) {
            return Ok(None);
        }
        let url = settings.parse(URL, |text| {
            let url = text.parse::<Uri>().ok().filter(|url| url.host().is_some_and(|host| !host.is_empty()));
            url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")))
                .ok_or("must be an address that begins with https:// or http://")
        })?;
        // Redirects are not followed: what is signed for one receiver is not for another.
        let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier);
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("analytics-jobs/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build());
        Ok(Some(Self { url, key, agent: config.build().new_agent() }))
    }

    /// Delivers a notification, with a few attempts.
    ///
    /// # Errors
    /// [`Undelivered`].
    pub(super) fn deliver(&self, notification: &Waiting, shutdown: &Shutdown) -> Result<(), Undelivered> {
        let mut pauses = PAUSES.into_iter();
        loop {
            if shutdown.requested() {
                return Err(Undelivered::Stopped);
            }
            let (why, wanted) = match self.attempt(notification) {
                Attempt::Delivered => return Ok(()),
                Attempt::Refused(why) => return Err(Undelivered::Refused(why)),
                Attempt::Away(why) => return Err(Undelivered::Away(why)),
                Attempt::Failed(why, wanted) => (why, wanted),
            };
            let Some(pause) = pauses.next() else { return Err(Undelivered::Away(why)) };
            log::warn!("the notification {} is sent again: {why}", notification.id);
            if shutdown.wait(wanted.map_or(pause, |wanted| pause.max(wanted.min(LONGEST_PAUSE)))) {
                return Err(Undelivered::Stopped);
            }
        }
    }

    fn attempt(&self, Waiting { id, body, .. }: &Waiting) -> Attempt {
        // The time of the attempt: receivers refuse what was signed too long ago.
        let timestamp = Utc::now().timestamp();
        let mut request = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id.to_string())
            .header("webhook-timestamp", timestamp.to_string());
        if let Some(key) = &self.key {
            match signature(key, &format!("{id}.{timestamp}.{body}")) {
                Ok(signature) => request = request.header("webhook-signature", signature),
                Err(error) => return Attempt::Refused(format!("it cannot be signed: {error}")),
            }
        }
        match request.send(body.as_str()) {
            Ok(answer) if answer.status().is_success() => Attempt::Delivered,
            Ok(answer) if may_pass(answer.status()) => {
                let wanted = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                Attempt::Failed(format!("the receiver answered {}", answer.status()), wanted.map(Duration::from_secs))
            }
            Ok(answer) if is_about_the_body(answer.status()) => {
                Attempt::Refused(format!("the receiver answered {}", answer.status()))
            }
            Ok(answer) => Attempt::Away(format!("the receiver answered {}", answer.status())),
            Err(error) => Attempt::Failed(sentence(&error), None),
        }
    }
}

enum Attempt {
    Delivered,
    Refused(String),
    /// Every other notification would get the same answer, until somebody changes the receiver or the settings.
    Away(String),
    /// It may succeed later, and when the receiver asks to be called again.
    Failed(String, Option<Duration>),
}

fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// Whether another notification may be accepted, unlike after 401, 403, 404, 410 or a redirect.
fn is_about_the_body(status: StatusCode) -> bool {
    [StatusCode::BAD_REQUEST, StatusCode::CONFLICT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNPROCESSABLE_ENTITY]
        .contains(&status)
}

fn signature(key: &PKey<Private>, signed: &str) -> Result<String, ErrorStack> {
    let hmac = Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(signed.as_bytes())?;
    Ok(format!("v1,{}", STANDARD.encode(hmac)))
}

/// Says what failed without the address, which may be a secret.
fn sentence(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "the receiver did not answer in time".into(),
        ureq::Error::HostNotFound => "the receiver's host does not exist".into(),
        ureq::Error::Io(error) => format!("the receiver cannot be reached: {}", error.kind()),
        ureq::Error::NativeTls(error) => format!("the receiver's certificate or TLS cannot be used: {error}"),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "the address cannot be called".into(),
        _ => "the receiver cannot be reached".into(),
    }
}

fn key(settings: &Settings) -> Result<Option<PKey<Private>>, SettingsError> {
    let set = |name| settings.get(name).filter(|value| !value.is_empty());
    let (name, secret) = match (set(SECRET), set(SECRET_FILE)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(SettingsError::Sentence(format!("{SECRET} and {SECRET_FILE}: set one of them, not both")));
        }
        (Some(secret), None) => (SECRET, secret.to_owned()),
        (None, Some(file)) => {
            let read = fs::read_to_string(file).map_err(|error| {
                SettingsError::invalid(SECRET_FILE, format!("the file {file} cannot be read: {}", error.kind()))
            });
            (SECRET_FILE, read?.trim().to_owned())
        }
    };
    let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(&secret)).ok();
    let bytes = bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())).ok_or_else(|| {
        SettingsError::invalid(name, "must be 24 to 64 bytes in base64, with or without whsec_ in front of it")
    })?;
    PKey::hmac(&bytes).map(Some).map_err(|error| SettingsError::invalid(name, format!("cannot be used: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(values: &[(&str, &str)]) -> Settings {
        Settings::from_environment(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    /// The example of the libraries at <https://github.com/standard-webhooks/standard-webhooks>.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        for secret in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let key = key(&settings(&[(SECRET, secret)])).unwrap().unwrap();
            let signed = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
            assert_eq!(signature(&key, signed).unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        }
    }

    #[test]
    fn settings_that_cannot_be_used_are_named_and_not_repeated() {
        for (values, error) in [
            (vec![(URL, "ftp://host/secret-path")], "NOTIFY_WEBHOOK_URL: must be an address that begins with"),
            (vec![(URL, "https:///secret-path")], "NOTIFY_WEBHOOK_URL: must be"),
            (vec![(URL, "hooks.example.com/secret-path")], "NOTIFY_WEBHOOK_URL: must be"),
            (vec![(SECRET, "secret-path")], "NOTIFY_WEBHOOK_SECRET: must be 24 to 64 bytes in base64"),
            (vec![(SECRET_FILE, "/nowhere")], "NOTIFY_WEBHOOK_SECRET_FILE: the file /nowhere cannot be read"),
            (vec![(SECRET, "secret-path"), (SECRET_FILE, "x")], "NOTIFY_WEBHOOK_SECRET and NOTIFY_WEBHOOK_SECRET_FILE"),
        ] {
            let Err(found) = Webhook::from_settings(&settings(&values)).map(drop) else { panic!("{values:?}") };
            let found = found.to_string();
            assert!(found.starts_with(error) && !found.contains("secret-path"), "{found}");
        }
        assert!(Webhook::from_settings(&settings(&[])).unwrap().is_none());
        assert!(Webhook::from_settings(&settings(&[(URL, "http://10.0.0.1:9/x")])).unwrap().is_some());
    }
}
