//! Generates records: well-formed ones of every family and envelope with hostile values, records of
//! the recorded stream, and mutations of both.

use std::sync::LazyLock;

use analytics_core::record::{Header, Offset, Place, Record, TopicPartition};

use crate::hostile_values::{NAMES, SPLICES, VALUES};
use fastrand::Rng;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../analytics-testkit/fixtures/recorded");

pub(crate) const TOPICS: [&str; 10] = [
    "product.viewed",
    "order.created",
    "rating.updated",
    "user.registered",
    "product.created",
    "product.updated",
    "vendor.created",
    "vendor.updated",
    "extra.topic",
    "never.mapped",
];

static RECORDED: LazyLock<Vec<Record>> = LazyLock::new(|| {
    let text = ["part-1", "part-2"].map(|part| std::fs::read_to_string(format!("{FIXTURES}/{part}.ndjson")).unwrap());
    text.iter().flat_map(|text| text.lines()).map(recorded).collect()
});

fn recorded(line: &str) -> Record {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let header = |(name, value): (&String, &serde_json::Value)| Header {
        name: name.clone(),
        value: value.as_str().map(|text| text.as_bytes().to_vec()),
    };
    let headers = line["headers"].as_object().unwrap().iter().map(header).collect();
    let payload = line["value"].as_str().map(|text| text.as_bytes().to_vec());
    record(line["topic"].as_str().unwrap(), line["timestamp"].as_i64(), headers, payload)
}

fn record(topic: &str, timestamp: Option<i64>, headers: Vec<Header>, payload: Option<Vec<u8>>) -> Record {
    let partition = TopicPartition { topic: topic.into(), partition: 0 };
    Record { place: Place { partition, offset: Offset(7), timestamp }, key: None, headers, payload }
}

/// Generates the record of one case.
pub(crate) struct Generator(Rng);

impl Generator {
    pub(crate) fn new(seed: u64, case: u64) -> Self {
        Self(Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ case))
    }

    pub(crate) fn record(&mut self) -> Record {
        let mut record = match self.0.u8(0..10) {
            0..3 => RECORDED[self.0.usize(..RECORDED.len())].clone(),
            3 => self.of_fields(),
            _ => self.of_family(),
        };
        if self.0.u8(0..3) == 0 {
            let payload = record.payload.get_or_insert_default();
            for _ in 0..self.0.u8(1..4) {
                mutate(&mut self.0, payload);
            }
        }
        record
    }

    /// Generates a record of arbitrary fields with arbitrary values.
    fn of_fields(&mut self) -> Record {
        let count = self.0.usize(0..9);
        let fields: Vec<String> = (0..count).map(|_| self.any_field()).collect();
        self.enveloped(&fields)
    }

    /// Generates a record with the fields that a family requires, each occasionally with a hostile
    /// value, and up to three arbitrary fields.
    fn of_family(&mut self) -> Record {
        let topic = TOPICS[self.0.usize(..TOPICS.len())];
        let mut fields: Vec<String> = match topic {
            "product.viewed" => vec![self.field(&["productId", "product_id"], "\"p-1\"")],
            "order.created" => vec![self.field(&["orderId", "order_id", "id"], "\"o-1\""), self.items()],
            "rating.updated" => vec![
                self.field(&["userId", "buyerId"], "\"u-1\""),
                self.field(&["productId", "vendorId"], "\"t-1\""),
                self.field(&["rating", "stars"], "4"),
            ],
            "product.created" | "product.updated" => {
                vec![self.field(&["id", "productId"], "\"p-1\""), self.field(&["name", "title"], "\"Oak table\"")]
            }
            "vendor.created" | "vendor.updated" => {
                vec![self.field(&["id", "sellerId"], "\"v-1\""), self.field(&["name", "shopName"], "\"Oaks\"")]
            }
            _ => vec![self.field(&["userId", "user_id", "id"], "7")],
        };
        if self.0.bool() {
            fields.push(self.field(&["occurredAt", "createdAt", "updatedAt"], "\"2026-11-20T10:00:00.123Z\""));
        }
        for _ in 0..self.0.u8(0..4) {
            let field = self.any_field();
            fields.insert(self.0.usize(..=fields.len()), field);
        }
        Record { place: record(topic, self.timestamp(), vec![], None).place, ..self.enveloped(&fields) }
    }

    fn items(&mut self) -> String {
        let lines: Vec<String> = (0..self.0.usize(0..4))
            .map(|_| {
                let mut line = vec![self.field(&["unitPrice", "price", "totalPrice", "lineTotal"], "\"19.99\"")];
                for _ in 0..self.0.u8(0..4) {
                    line.push(match self.0.u8(0..4) {
                        0 => self.field(&["productId"], "\"p-2\""),
                        1 => self.field(&["vendorId", "sellerId"], "\"v-1\""),
                        2 => self.field(&["quantity", "qty"], "3"),
                        _ => self.any_field(),
                    });
                }
                format!("{{{}}}", line.join(","))
            })
            .collect();
        self.field(&["items", "orderItems", "lines"], &format!("[{}]", lines.join(",")))
    }

    /// Generates a field with one of the names and its usual value, or occasionally another value.
    fn field(&mut self, names: &[&str], usual: &str) -> String {
        let name = names[self.0.usize(..names.len())];
        let value = if self.0.u8(0..8) == 0 { self.value() } else { usual.to_owned() };
        format!("\"{name}\":{value}")
    }

    fn any_field(&mut self) -> String {
        let name = NAMES[self.0.usize(..NAMES.len())];
        let space = if self.0.u8(0..10) == 0 { " \n\t" } else { "" };
        format!("{space}\"{name}\"{space}:{space}{}", self.value())
    }

    fn value(&mut self) -> String {
        if self.0.u8(..) == 0 {
            return format!("\"{}\"", "y".repeat(4_000));
        }
        match self.0.u8(0..20) {
            0 => format!("\"{}\"", "x".repeat(self.0.usize(60..70))),
            1 => format!("\"{}\"", "é".repeat(self.0.usize(250..260))),
            2 => {
                let depth = self.0.usize(1..40);
                format!("{}{}{}", "[".repeat(depth), self.value(), "]".repeat(depth))
            }
            3 => self.0.i64(..).to_string(),
            4 => format!("{}.{}e{}", self.0.u32(..), self.0.u64(..), self.0.i32(-50..50)),
            5 => format!("{{{}}}", self.any_field()),
            _ => VALUES[self.0.usize(..VALUES.len())].to_owned(),
        }
    }

    fn timestamp(&mut self) -> Option<i64> {
        match self.0.u8(0..10) {
            0 => None,
            1 => Some(self.0.i64(..)),
            2 => Some([-1, 0, i64::MIN, i64::MAX, 946_684_799_999, 253_402_300_800_000][self.0.usize(..6)]),
            _ => Some(1_795_000_000_000),
        }
    }

    /// Puts the fields into one of the envelopes.
    fn enveloped(&mut self, fields: &[String]) -> Record {
        let payload = format!("{{{}}}", fields.join(","));
        let mut headers = Vec::new();
        let text = match self.0.u8(0..10) {
            0 => {
                headers.push(self.header("content-type", "application/cloudevents+json; charset=utf-8"));
                let id = self.value();
                format!(
                    r#"{{"specversion":"1.0","id":{id},"source":"/s","type":"t","time":{},"data":{payload}}}"#,
                    self.value()
                )
            }
            1 => {
                use base64::Engine;
                let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&payload);
                format!(
                    r#"{{"specversion":"1.0","id":"e","source":"s","data_base64":"{encoded}","x":{}}}"#,
                    self.value()
                )
            }
            2 => {
                headers.push(self.header("ce_id", "e-1"));
                headers.push(self.header("Ce_Source", "/s"));
                headers.push(self.header("ce_time", "2026-11-20T10:00:00Z"));
                payload
            }
            3 => {
                let (kind, id) = (self.value(), self.value());
                format!(r#"{{"eventType":{kind},"eventId":{id},"timestamp":{},"payload":{payload}}}"#, self.value())
            }
            4 => format!(r#"{{"type":"x","data":{payload},"payload":{}}}"#, self.value()),
            _ => payload,
        };
        if self.0.u8(0..10) == 0 {
            headers.push(self.header("event-id", "h-1"));
        }
        let topic = TOPICS[self.0.usize(..TOPICS.len())];
        record(topic, self.timestamp(), headers, Some(text.into_bytes()))
    }

    /// Generates a header with its usual value, or occasionally with none or other bytes.
    fn header(&mut self, name: &str, usual: &str) -> Header {
        let value = match self.0.u8(0..8) {
            0 => None,
            1 => Some((0..self.0.usize(0..12)).map(|_| self.0.u8(..)).collect()),
            2 => Some(vec![b'y'; self.0.usize(0..2_000)]),
            _ => Some(usual.as_bytes().to_vec()),
        };
        Header { name: name.into(), value }
    }
}

/// Changes, removes or inserts bytes at a random position.
fn mutate(random: &mut Rng, bytes: &mut Vec<u8>) {
    let at = random.usize(..=bytes.len());
    let end = (at + random.usize(0..12)).min(bytes.len());
    match random.u8(0..7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let piece = bytes[at..end].to_vec();
            let to = random.usize(..=bytes.len());
            bytes.splice(to..to, piece);
        }
        3 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
        4 if at < bytes.len() => bytes[at] = random.u8(..),
        _ => drop(bytes.splice(at..at, SPLICES[random.usize(..SPLICES.len())].iter().copied())),
    }
}
