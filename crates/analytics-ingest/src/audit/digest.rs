//! What Kafka holds of a range of offsets. This is written apart from `analytics_core::range_digest`, by its
//! description, so that a defect in either of them is a difference.

use rdkafka::Message;
use twox_hash::XxHash3_128;

/// 9999-12-31T23:59:59.999Z. Later timestamps, and those before 1970, count as absent.
const LAST_TIMESTAMP: i64 = 253_402_300_799_999;

/// Returns the hash of a record: of its offset, its timestamp and its payload.
pub(super) fn hash(record: &impl Message) -> u128 {
    let timestamp = record.timestamp().to_millis().filter(|millis| (0..=LAST_TIMESTAMP).contains(millis));
    let payload = record.payload();
    let mut words = Vec::with_capacity(40);
    words.extend_from_slice(&record.offset().to_le_bytes());
    words.extend_from_slice(&timestamp.unwrap_or(-1).to_le_bytes());
    words.extend_from_slice(&i64::from(payload.is_some()).to_le_bytes());
    words.extend_from_slice(&payload.map_or(0, XxHash3_128::oneshot).to_le_bytes());
    XxHash3_128::oneshot(&words)
}

/// The records of a range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// How many.
    pub(super) records: i64,
    /// The sum of their hashes, modulo 2^128.
    pub(super) digest: u128,
}

impl Held {
    pub(super) const fn add(&mut self, hash: u128) {
        self.records += 1;
        self.digest = self.digest.wrapping_add(hash);
    }
}
