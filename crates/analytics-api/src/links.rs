//! Links to the events behind a number.

use analytics_core::period::Span;
use chrono::SecondsFormat;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::settings::ApiSettings;

/// What is escaped in a segment of a path: everything but the unreserved characters of RFC 3986.
pub(crate) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of the events of a seller's metric that are about one of its products.
pub(crate) fn product_events_link(
    settings: &ApiSettings,
    metric_type: &str,
    product: &str,
    span: Span,
    as_of: i64,
) -> String {
    let product = utf8_percent_encode(product, SEGMENT);
    format!("{}&productId={product}", events_link(settings, metric_type, Some(span), as_of))
}

/// The address of the events that a metric is made of in a range of time, as of a batch. It is
/// absolute on this server, so that it holds on every page.
pub(crate) fn events_link(settings: &ApiSettings, metric_type: &str, span: Option<Span>, as_of: i64) -> String {
    let name = utf8_percent_encode(metric_type, SEGMENT);
    let range = span.map_or_else(String::new, |span| {
        let end = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!("from={}&to={}&", end(span.from), end(span.to))
    });
    format!("{}/api/metrics/{name}/events?{range}asOf={as_of}", settings.base_path)
}
