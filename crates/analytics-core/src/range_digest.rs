//! The digest of the records in a range of offsets, by which the audit compares what ingest was given
//! with what Kafka holds.

use twox_hash::XxHash3_128;

use crate::record::Record;

/// The sum, modulo 2^128, of a hash of each record's offset, timestamp and payload.
///
/// As a sum it depends on no order, and digests of adjacent ranges add up to the digest of both. The hash
/// is XXH3, which is fast and finds every accident, but is no protection against somebody who looks for
/// two payloads with the same hash.
///
/// The hash of a record is XXH3-128 of five little-endian words of 64 bits: its offset; its timestamp in
/// milliseconds, or -1 if [`Place`](crate::record::Place) has none; 1 if it has a payload, else 0; and the
/// lower and the upper half of the XXH3-128 of the payload, or 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RangeDigest(u128);

impl RangeDigest {
    /// Adds a record.
    pub fn add(&mut self, record: &Record) {
        let (has_payload, payload) = match &record.payload {
            Some(payload) => (1, XxHash3_128::oneshot(payload)),
            None => (0, 0),
        };
        let place = &record.place;
        let numbers = [place.offset.0, place.timestamp.unwrap_or(-1), has_payload];
        let mut words = [0; 40];
        let (head, tail) = words.split_at_mut(24);
        for (word, number) in head.chunks_exact_mut(8).zip(numbers) {
            word.copy_from_slice(&number.to_le_bytes());
        }
        tail.copy_from_slice(&payload.to_le_bytes());
        self.0 = self.0.wrapping_add(XxHash3_128::oneshot(&words));
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Offset, Place, TopicPartition};

    fn record(offset: i64, timestamp: Option<i64>, payload: Option<&str>) -> Record {
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        let place = Place { partition, offset: Offset(offset), timestamp };
        Record { place, key: None, headers: Vec::new(), payload: payload.map(|text| text.as_bytes().to_vec()) }
    }

    fn digest(records: &[Record]) -> u128 {
        let mut digest = RangeDigest::default();
        records.iter().for_each(|record| digest.add(record));
        digest.get()
    }

    #[test]
    fn offset_timestamp_and_payload_all_matter_and_their_order_does_not() {
        let records = [record(1, Some(5), Some("a")), record(2, None, None), record(3, Some(7), Some(""))];
        let of_all = digest(&records);
        let mut turned = records.clone();
        turned.reverse();
        assert_eq!(digest(&turned), of_all);
        assert_eq!(digest(&records[..1]).wrapping_add(digest(&records[1..])), of_all);
        for other in [
            record(4, Some(5), Some("a")),
            record(1, Some(6), Some("a")),
            record(1, None, Some("a")),
            record(1, Some(5), Some("b")),
            record(1, Some(5), None),
            record(1, Some(5), Some("")),
        ] {
            let changed = [other, records[1].clone(), records[2].clone()];
            assert_ne!(digest(&changed), of_all, "{:?}", changed[0]);
        }
        // A record that is counted twice in the place of another one does not cancel out.
        assert_ne!(digest(&[records[0].clone(), records[0].clone(), records[2].clone()]), of_all);
        assert_eq!(digest(&[]), 0);
    }

    #[test]
    fn the_digest_is_the_same_in_every_version_of_the_program() {
        let digest = digest(&[record(1, Some(5), Some("a")), record(2, None, None)]);
        assert_eq!(digest, 283_288_613_559_383_842_603_934_053_175_581_536_251);
    }
}
