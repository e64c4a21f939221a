//! The service of one test with something to show: the recorded stream or its beginning, counted.

use analytics_testkit::client::{Client, token};
use analytics_testkit::process::Process;
use analytics_testkit::recorded;
use analytics_testkit::service::Service;
use serde_json::Value;

/// The key with which tests sign embed tokens.
pub(crate) const EMBED_KEY: &str = "the key of embed tokens in tests, and of nothing else";

/// A running service.
pub(crate) struct Marketplace {
    pub(crate) service: Service,
    pub(crate) ingest: Process,
    pub(crate) api: Process,
}

impl Marketplace {
    /// Starts the service and counts the first part of the recorded stream, some hundred events.
    pub(crate) fn open() -> Self {
        Self::with(&[])
    }

    /// The same with these settings.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        Self::counting(1, settings)
    }

    /// Starts the service and counts the whole recorded stream.
    pub(crate) fn recorded() -> Self {
        Self::counting(2, &[])
    }

    fn counting(parts: u8, settings: &[(&str, &str)]) -> Self {
        let mut service = Service::new(2);
        service.set("EMBED_SIGNING_KEY", EMBED_KEY);
        settings.iter().for_each(|(name, value)| service.set(name, value));
        let ingest = service.ingest();
        (1..=parts).for_each(|part| service.send(&recorded::part(part)));
        let api = service.api();
        service.wait_all_consumed();
        Self { service, ingest, api }
    }

    /// Returns the address of a page, which signs an admin in.
    pub(crate) fn admin(&self, path: &str) -> String {
        format!("http://{}{path}#token={}", self.api.address, token("admin", None))
    }

    /// Returns the address of a page, which signs a seller in.
    pub(crate) fn seller(&self, path: &str, vendor: &str) -> String {
        format!("http://{}{path}#token={}", self.api.address, token("seller", Some(vendor)))
    }

    /// Returns the address of a page, which signs somebody of another role in.
    pub(crate) fn role(&self, role: &str, path: &str) -> String {
        format!("http://{}{path}#token={}", self.api.address, token(role, None))
    }

    /// Returns the API's answer to an admin.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, answer) = Client::admin(&self.api.address).get(path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

/// The script of a condition that no number is loading and that there are numbers.
pub(crate) const SHOWN: &str = "document.querySelectorAll('.kpi [data-metric]').length > 4";
