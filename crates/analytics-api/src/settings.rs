//! The settings of the API, validated.

use std::net::SocketAddr;

use analytics_core::business::Business;
use analytics_db::connection::Access;
use analytics_process::settings::{Settings, SettingsError};
use shared_auth::Verifier;

/// Everything that the API can be told.
#[derive(Clone)]
pub struct ApiSettings {
    /// PostgreSQL.
    pub database_url: String,
    /// What its sessions may do, by `API_MODE`.
    pub access: Access,
    /// Where it listens.
    pub bind: SocketAddr,
    /// Who may ask.
    pub verifier: Verifier,
    /// The currency of amounts without a code, and what "today" is.
    pub business: Business,
}

impl ApiSettings {
    /// Validates what the API needs of the settings.
    ///
    /// # Errors
    /// The first setting that is missing or cannot be used, in a sentence.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            database_url: settings.required("DATABASE_URL")?.to_owned(),
            access: settings.parse("API_MODE", |mode| match mode {
                "read-only" => Ok(Access::ReadOnly),
                "read-write" => Ok(Access::ReadWrite),
                _ => Err("it is read-only or read-write"),
            })?,
            bind: settings.parse("API_BIND", |bind| {
                bind.parse().map_err(|_| "it is an address and a port, such as 0.0.0.0:8080")
            })?,
            verifier: settings.parse("JWT_SECRET", |secret| Verifier::hs256(secret.as_bytes()))?,
            business: settings.business()?,
        })
    }
}
