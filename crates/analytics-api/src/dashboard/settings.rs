//! The settings of the dashboard: whether it is served, how its users sign in, and where its pages
//! may be embedded.

use analytics_process::settings::{Settings, SettingsError};
use shared_auth::{EmbedKey, Gateway};

/// The name under which embed tokens are issued.
const SERVICE: &str = "analytics";
/// The value by which a place of a gateway's token is switched off.
const NONE: &str = "none";

/// The settings of the dashboard.
#[derive(Clone)]
pub struct DashboardSettings {
    /// Whether the pages are served.
    pub is_served: bool,
    /// Where a gateway puts the token of a request; `None` if pages send it in `Authorization`.
    pub gateway: Option<Gateway>,
    /// Signs and verifies embed tokens; without it there are none.
    pub embed_key: Option<EmbedKey>,
    /// The origins whose pages may embed `/embed/...`, as browsers write them.
    pub embed_origins: Vec<String>,
}

impl DashboardSettings {
    /// Validates the settings of the dashboard.
    ///
    /// # Errors
    /// [`SettingsError`] that names the first invalid setting.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let embed_key = settings.get("EMBED_SIGNING_KEY").is_some().then(|| {
            settings.parse("EMBED_SIGNING_KEY", |key| {
                EmbedKey::new(key.as_bytes(), SERVICE).map_err(|error| error.to_string())
            })
        });
        Ok(Self {
            is_served: settings.parse("DASHBOARD", |text| match text {
                "on" => Ok(true),
                "off" => Ok(false),
                _ => Err("must be on or off"),
            })?,
            gateway: gateway(settings)?,
            embed_key: embed_key.transpose()?,
            embed_origins: settings.parse("EMBED_ORIGINS", origins)?,
        })
    }
}

fn gateway(settings: &Settings) -> Result<Option<Gateway>, SettingsError> {
    let is_gateway = settings.parse("DASHBOARD_AUTH", |text| match text {
        "token" => Ok(false),
        "gateway" => Ok(true),
        _ => Err("must be token or gateway"),
    })?;
    let named = |name: &str| settings.get(name) != Some(NONE);
    let (header, cookie) = ("DASHBOARD_TOKEN_HEADER", "DASHBOARD_TOKEN_COOKIE");
    let mut gateway = Gateway::default();
    if named(header) {
        gateway = settings.parse(header, |name| gateway.header(name))?;
    }
    if named(cookie) {
        gateway = settings.parse(cookie, |name| gateway.cookie(name))?;
    }
    if is_gateway && !named(header) && !named(cookie) {
        let why =
            "DASHBOARD_TOKEN_HEADER and DASHBOARD_TOKEN_COOKIE must not both be none if DASHBOARD_AUTH is gateway";
        return Err(SettingsError::Sentence(why.into()));
    }
    Ok(is_gateway.then_some(gateway))
}

/// Parses a list of origins.
fn origins(text: &str) -> Result<Vec<String>, &'static str> {
    let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let parsed: Option<_> = origins.map(origin).collect();
    parsed.ok_or(
        "must be https origins such as https://portal.example.com, comma separated, without a path or *; \
         http only of localhost and 127.0.0.1",
    )
}

/// Returns an origin as browsers write it: in lower case, without the default port. Nothing but a
/// scheme, a host and a port is possible, as it becomes part of a header.
fn origin(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (scheme, rest) = text.split_once("://")?;
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|number| *number != 0)?)),
        None => (rest, None),
    };
    let is_name = |label: &str| {
        let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_local = matches!(host, "localhost" | "127.0.0.1");
    let default = match scheme {
        "https" => 443,
        "http" if is_local => 80,
        _ => return None,
    };
    if host.len() > 253 || !host.split('.').all(is_name) {
        return None;
    }
    Some(match port.filter(|port| *port != default) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(values: &[(&str, &str)]) -> Result<DashboardSettings, String> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        DashboardSettings::from_settings(&Settings::from_environment(values)).map_err(|error| error.to_string())
    }

    #[test]
    fn origins_are_those_that_browsers_write() {
        for (text, expected) in [
            ("https://portal.example.com", Some("https://portal.example.com")),
            ("HTTPS://Portal.Example.com:443", Some("https://portal.example.com")),
            ("https://portal.example.com:8443", Some("https://portal.example.com:8443")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("http://127.0.0.1:80", Some("http://127.0.0.1")),
            ("https://xn--bcher-kva.example", Some("https://xn--bcher-kva.example")),
            ("http://portal.example.com", None),
            ("http://localhost.example.com", None),
            ("https://portal.example.com/", None),
            ("https://portal.example.com/path", None),
            ("https://user@portal.example.com", None),
            ("https://*.example.com", None),
            ("*", None),
            ("null", None),
            ("portal.example.com", None),
            ("https://", None),
            ("https://a..b", None),
            ("https://a:0", None),
            ("https://a:99999", None),
            ("https://a;script-src *", None),
            ("https://a b", None),
            ("https://b\u{fc}cher.example", None),
            ("javascript://a", None),
        ] {
            assert_eq!(origin(text).as_deref(), expected, "{text}");
        }
        let parsed = settings(&[("EMBED_ORIGINS", " https://a.example , ,https://B.example:443")]);
        assert_eq!(
            parsed.map(|parsed| parsed.embed_origins),
            Ok(vec!["https://a.example".into(), "https://b.example".into()])
        );
        assert!(settings(&[]).is_ok_and(|parsed| parsed.embed_origins.is_empty() && parsed.is_served));
    }

    #[test]
    fn invalid_settings_are_named() {
        for (values, says) in [
            (&[("DASHBOARD", "yes")][..], "DASHBOARD: must be on or off"),
            (&[("DASHBOARD_AUTH", "none")], "DASHBOARD_AUTH: must be token or gateway"),
            (&[("DASHBOARD_TOKEN_HEADER", "Authorization")], "DASHBOARD_TOKEN_HEADER: must be the name of a header"),
            (&[("DASHBOARD_TOKEN_HEADER", "a b")], "DASHBOARD_TOKEN_HEADER: must be the name of a header"),
            (&[("DASHBOARD_TOKEN_COOKIE", "a=b")], "DASHBOARD_TOKEN_COOKIE: must be the name of a cookie"),
            (
                &[
                    ("DASHBOARD_AUTH", "gateway"),
                    ("DASHBOARD_TOKEN_HEADER", "none"),
                    ("DASHBOARD_TOKEN_COOKIE", "none"),
                ],
                "must not both be none",
            ),
            (&[("EMBED_SIGNING_KEY", "short")], "EMBED_SIGNING_KEY: must have 32 bytes or more"),
            (&[("EMBED_ORIGINS", "https://a.example,*")], "EMBED_ORIGINS: must be https origins"),
        ] {
            let said = settings(values).err().unwrap_or_default();
            assert!(said.contains(says), "{values:?}: {said}");
        }
    }
}
