//! Reads the recorded stream and its expected results, which were computed by programs independent
//! of this service.

use base64::Engine;
use serde::Deserialize;
use serde_json::Value;

use crate::broker::Message;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/recorded");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    topic: String,
    key: Option<String>,
    headers: serde_json::Map<String, Value>,
    timestamp: i64,
    value: Option<String>,
    value_base64: Option<String>,
}

/// Returns the messages of one part of the stream, in order.
///
/// # Panics
/// If the fixture cannot be read.
#[must_use]
pub fn part(number: u8) -> Vec<Message> {
    let path = format!("{FIXTURES}/part-{number}.ndjson");
    let text = std::fs::read_to_string(&path).expect(&path);
    text.lines().map(|line| message(serde_json::from_str(line).expect(line))).collect()
}

fn message(line: Line) -> Message {
    let decode = |text: String| base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    let header = |(name, value): (String, Value)| (name.into_bytes(), value.as_str().expect("a text").into());
    Message {
        topic: line.topic,
        key: line.key,
        headers: line.headers.into_iter().map(header).collect(),
        timestamp: Some(line.timestamp),
        payload: line.value.map(String::into_bytes).or(line.value_base64.map(decode)),
    }
}

/// Returns the expected results, `expected.json`.
///
/// # Panics
/// If the fixture cannot be read.
#[must_use]
pub fn expected() -> Value {
    let path = format!("{FIXTURES}/expected.json");
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}
