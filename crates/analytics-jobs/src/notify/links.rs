//! Links to the dashboard in what is sent.

use analytics_process::settings::{Settings, SettingsError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Uri;

const SETTING: &str = "PUBLIC_URL";
/// What is escaped in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The address under which people open the dashboard.
pub(crate) struct Links(Option<String>);

impl Links {
    /// Reads the setting, which may be missing.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub(crate) fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        if settings.get(SETTING).is_none_or(str::is_empty) {
            return Ok(Self(None));
        }
        settings.parse(SETTING, |text| {
            let url = text.parse::<Uri>().ok().filter(|url| {
                matches!(url.scheme_str(), Some("http" | "https"))
                    && url.host().is_some_and(|host| !host.is_empty())
                    && url.query().is_none()
            });
            let text = url.map(|_| Self(Some(text.trim_end_matches('/').to_owned())));
            text.ok_or("must be an address such as https://analytics.example.com, without a query")
        })
    }

    /// The overview of the marketplace.
    pub(crate) fn overview(&self) -> Option<String> {
        Some(format!("{}/", self.0.as_ref()?))
    }

    /// The proofs.
    pub(crate) fn proofs(&self) -> Option<String> {
        Some(format!("{}/proofs", self.0.as_ref()?))
    }

    /// The panel of a seller, for some days: the first and the last.
    pub(crate) fn seller(&self, vendor: &str, query: &str) -> Option<String> {
        Some(format!("{}/sellers/{}{query}", self.0.as_ref()?, utf8_percent_encode(vendor, SEGMENT)))
    }
}
