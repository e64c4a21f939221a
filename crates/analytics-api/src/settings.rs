//! The validated settings of the API.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use analytics_core::business::Business;
use analytics_core::events::Decoder;
use analytics_db::DatabaseUrl;
use analytics_process::settings::{Settings, SettingsError};
use chrono::Weekday;
use shared_auth::{Keys, Verifier};

use crate::business_metrics::BusinessMetrics;
use crate::dashboard::settings::DashboardSettings;
use crate::middleware::Proxies;

/// Whether the process serves the writing routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The writing routes answer 403.
    ReadOnly,
    /// Admins can use the writing routes.
    ReadWrite,
}

/// How many requests a caller may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests it earns in a minute.
    pub per_minute: NonZeroU32,
    /// How many it may save up, and then send at once.
    pub burst: NonZeroU32,
}

/// The settings of the API.
#[derive(Clone)]
pub struct ApiSettings {
    /// The database.
    pub database_url: DatabaseUrl,
    /// Whether the process serves the writing routes.
    pub mode: Mode,
    /// Maximum number of connections to the database for requests.
    pub pool_size: u32,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// How many requests each caller may send; `None` for any number.
    pub rate_limit: Option<RateLimit>,
    /// How long an idle connection of a client is kept open.
    pub keep_alive: Duration,
    /// Maximum number of live streams.
    pub live_connections: u32,
    /// The address on which the API listens.
    pub bind: SocketAddr,
    /// The prefix of all paths: empty, or a path such as `/analytics`.
    pub base_path: String,
    /// Origins whose pages may read responses; `*` allows any origin.
    pub cors_origins: Vec<String>,
    /// The proxies whose `X-Forwarded-*` headers count.
    pub(crate) trusted_proxies: Proxies,
    /// Verifies tokens.
    pub verifier: Verifier,
    /// The dashboard, and the tokens of its embedded pages.
    pub dashboard: DashboardSettings,
    /// Who may read the numbers for Prometheus.
    pub business_metrics: BusinessMetrics,
    /// The currency of amounts without a currency, and the calendar that determines "today".
    pub business: Business,
    /// The first day of a week.
    pub week_start: Weekday,
    /// Decodes the records of replayed dead letters.
    pub decoder: Decoder,
}

impl ApiSettings {
    /// Validates the settings that the API needs.
    ///
    /// # Errors
    /// [`SettingsError`] that names the first setting that is missing or invalid.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let dashboard = DashboardSettings::from_settings(settings)?;
        Ok(Self {
            database_url: settings
                .parse("DATABASE_URL", DatabaseUrl::parse)?
                .password_in(settings.get("DATABASE_PASSWORD_FILE")),
            mode: settings.parse("API_MODE", |mode| match mode {
                "read-only" => Ok(Mode::ReadOnly),
                "read-write" => Ok(Mode::ReadWrite),
                _ => Err("must be read-only or read-write"),
            })?,
            pool_size: settings.number("API_POOL_SIZE", 2..=1000, "connections")?,
            statement_timeout: Duration::from_millis(settings.number(
                "API_STATEMENT_TIMEOUT_MS",
                1..=600_000,
                "milliseconds",
            )?),
            rate_limit: rate_limit(settings)?,
            keep_alive: Duration::from_secs(settings.number("API_KEEP_ALIVE_SECONDS", 0..=3600, "seconds")?),
            live_connections: settings.number("API_LIVE_CONNECTIONS", 0..=20_000, "connections")?,
            bind: settings.parse("API_BIND", |bind| {
                bind.parse().map_err(|_| "must be an address and a port, such as 0.0.0.0:8080")
            })?,
            base_path: settings.parse("API_BASE_PATH", base_path)?,
            cors_origins: list(settings.get("API_CORS_ORIGINS").unwrap_or_default()),
            trusted_proxies: settings.parse("TRUSTED_PROXIES", |text| match text {
                "none" => Ok(Proxies::default()),
                text => Proxies::parse(text),
            })?,
            verifier: verifier(settings, &dashboard)?,
            dashboard,
            business_metrics: BusinessMetrics::from_settings(settings)?,
            business: settings.business()?,
            week_start: settings.parse("WEEK_START", |day| match day.to_ascii_lowercase().as_str() {
                "monday" => Ok(Weekday::Mon),
                "sunday" => Ok(Weekday::Sun),
                "saturday" => Ok(Weekday::Sat),
                _ => Err("must be monday, sunday or saturday"),
            })?,
            decoder: settings.decoder()?,
        })
    }
}

fn rate_limit(settings: &Settings) -> Result<Option<RateLimit>, SettingsError> {
    let per_minute = settings.number("API_RATE_LIMIT", 0..=1_000_000, "requests per minute")?;
    let burst = settings.number("API_RATE_BURST", 1..=1_000_000, "requests")?;
    let limit = NonZeroU32::new(per_minute).zip(NonZeroU32::new(burst));
    Ok(limit.map(|(per_minute, burst)| RateLimit { per_minute, burst }))
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

fn base_path(path: &str) -> Result<String, &'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
    let valid = path.is_empty() || (path.starts_with('/') && !path.ends_with('/') && !path.contains("//"));
    if valid && path.bytes().all(allowed) { Ok(path.to_owned()) } else { Err("must be a path such as /analytics") }
}

/// Creates the verifier of tokens from at least one of secret, PEM key and JWKS document, and the key
/// of embed tokens.
fn verifier(settings: &Settings, dashboard: &DashboardSettings) -> Result<Verifier, SettingsError> {
    let mut keys = Keys::default();
    if settings.get("JWT_SECRET").is_some() {
        keys = settings.parse("JWT_SECRET", |secret| keys.secret(secret.as_bytes()))?;
    }
    if settings.get("JWT_PUBLIC_KEY").is_some() {
        keys = settings.parse("JWT_PUBLIC_KEY", |key| {
            let pem = match key.strip_prefix('@') {
                Some(path) => {
                    std::fs::read(path).map_err(|error| format!("the file after @ cannot be read: {}", error.kind()))?
                }
                // In an environment variable of one line, the line breaks of the PEM file are
                // written as `\n`.
                None => key.replace("\\n", "\n").into_bytes(),
            };
            keys.pem(&pem).map_err(|error| error.to_string())
        })?;
    }
    if let Some(source) = settings.get("JWT_JWKS") {
        keys = keys.jwks(source);
    }
    if let Some(key) = dashboard.embed_key.clone() {
        keys = keys.embed(key);
    }
    if let Some(issuer) = settings.get("JWT_ISSUER") {
        keys = keys.issuer(issuer);
    }
    if let Some(audience) = settings.get("JWT_AUDIENCE") {
        keys = keys.audience(audience);
    }
    keys.verifier().map_err(|error| match error {
        shared_auth::InvalidKey::None => SettingsError::Sentence(
            "one of JWT_SECRET, JWT_PUBLIC_KEY and JWT_JWKS must be set: without them no token is valid".into(),
        ),
        shared_auth::InvalidKey::Shared => SettingsError::invalid("EMBED_SIGNING_KEY", "must differ from JWT_SECRET"),
        error => SettingsError::invalid("JWT_JWKS", error),
    })
}
