//! Writes values as producers write them.

use analytics_testkit::broker::Message;
use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

/// Formats a time as producers do: as text, or as epoch milliseconds for every third record.
pub(crate) fn written(time: i64, n: u64) -> Value {
    if n.is_multiple_of(3) {
        return time.into();
    }
    DateTime::from_timestamp_millis(time).expect("a time").to_rfc3339_opts(SecondsFormat::Millis, true).into()
}

pub(crate) fn decimal(minor: i64, digits: u32) -> String {
    if digits == 0 {
        return minor.to_string();
    }
    let scale = 10_i64.pow(digits);
    format!("{}.{:0width$}", minor / scale, minor % scale, width = digits as usize)
}

pub(crate) fn keyed(topic: &str, key: &str, stamp: i64, payload: &Value) -> Message {
    Message { key: Some(key.to_owned()), timestamp: Some(stamp), ..Message::json(topic, payload) }
}
