//! Kafka records as they were fetched, and their places in the log.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Utc};

/// A position within one partition of a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// Returns the next offset.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// The place of a record in the log. It includes the record's timestamp so that it can serve as an
/// identity: a topic that is deleted and recreated reuses the same offsets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Topic and partition.
    pub partition: TopicPartition,
    /// The record's offset in it.
    pub offset: Offset,
    /// The record's timestamp in milliseconds since the Unix epoch, if it has one that is a
    /// [`time`].
    pub timestamp: Option<i64>,
}

/// Converts a record's timestamp, in milliseconds since the Unix epoch, to a time. Producers can
/// set any number: `None` if it is outside the years 1 to 9999, which JSON and PostgreSQL can both
/// represent. It could not be the time of an event then.
#[must_use]
pub fn time(millis: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis).filter(|time| (1..=9999).contains(&time.year()))
}

/// One record, with everything that a dead letter stores of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The record's place in the log.
    pub place: Place,
    /// The record's key. It is not interpreted.
    pub key: Option<Vec<u8>>,
    /// The headers, in the record's order.
    pub headers: Vec<Header>,
    /// The record's value; `None` for a tombstone.
    pub payload: Option<Vec<u8>>,
}

/// One header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name, in any case. Bytes that are not UTF-8 have been replaced, so that such a name
    /// matches no header that is looked up.
    pub name: String,
    /// The value, any bytes.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// Returns the text of a header, trimmed. Names match in any case; if a name is repeated, the
    /// last header counts. `None` if that header is absent, blank or not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let last = self.headers.iter().rev().find(|header| header.name.eq_ignore_ascii_case(name))?;
        let text = std::str::from_utf8(last.value.as_deref()?).ok()?;
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    /// Estimates the memory, in bytes, that the record takes until it is counted: for the record,
    /// for the event that it is decoded to, and for both while they are written to the database.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let headers: usize = self.headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Vec::len)).sum();
        let contents = self.payload.as_ref().map_or(0, Vec::len) + self.key.as_ref().map_or(0, Vec::len) + headers;
        FOOTPRINT_OF_NOTHING + FOOTPRINT_OF_A_BYTE * contents
    }
}

/// Bytes that a record takes in addition to its contents, as measured for a view that has only ids:
/// for the record, the event, and their entries in lists.
const FOOTPRINT_OF_NOTHING: usize = 500;
/// Bytes that one byte of contents takes: it is held in the record, in the event's metadata, and in
/// the ids or lines that are decoded from it.
const FOOTPRINT_OF_A_BYTE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, Option<&[u8]>)]) -> Record {
        let headers = headers
            .iter()
            .map(|(name, value)| Header { name: (*name).into(), value: value.map(<[u8]>::to_vec) })
            .collect();
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        let place = Place { partition, offset: Offset(0), timestamp: None };
        Record { place, key: None, headers, payload: None }
    }

    #[test]
    fn the_last_header_of_a_name_wins_in_any_case() {
        let record = record(&[("CE_ID", Some(b"first")), ("ce_id", Some(b" second "))]);
        assert_eq!(record.header("Ce_Id"), Some("second"));
    }

    #[test]
    fn an_empty_or_unreadable_header_is_absent() {
        for value in [None, Some(&b""[..]), Some(b"  "), Some(b"\xff\xfe")] {
            assert_eq!(record(&[("ce_id", Some(b"first")), ("ce_id", value)]).header("ce_id"), None);
        }
    }
}
