//! A Kafka record as it was fetched, and the place in the log where it stands.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Utc};

/// A position within one partition of a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// The position after this one.
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

/// Where a record stands in the log. Together with the record's timestamp it is an identity:
/// a topic that is deleted and made again starts over with the same offsets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Topic and partition.
    pub partition: TopicPartition,
    /// The record's offset in it.
    pub offset: Offset,
    /// The record's timestamp in milliseconds, where it has one that is a [`time`].
    pub timestamp: Option<i64>,
}

/// A record's timestamp as a time, within the years that people, JSON and PostgreSQL can all write. Producers can
/// put any number there; beyond these years it can be no event's time.
#[must_use]
pub fn time(millis: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis).filter(|time| (1..=9999).contains(&time.year()))
}

/// One record, with everything that a dead letter has to keep of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it stands.
    pub place: Place,
    /// The record's key; nothing is read from it.
    pub key: Option<Vec<u8>>,
    /// Headers in the order of the record.
    pub headers: Vec<Header>,
    /// The record's value; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
}

/// One header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, any case; bytes that are not UTF-8 are replaced, so that it is the name of nothing.
    pub name: String,
    /// Its value, any bytes.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// A header's text: names match in any case, the last of a name wins, and one that is blank
    /// or not UTF-8 is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let last = self.headers.iter().rev().find(|header| header.name.eq_ignore_ascii_case(name))?;
        let text = std::str::from_utf8(last.value.as_deref()?).ok()?;
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    /// How much memory the record takes until it is counted, roughly, in bytes: itself, the event made
    /// of it, and both on their way to the database.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let headers: usize = self.headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Vec::len)).sum();
        let contents = self.payload.as_ref().map_or(0, Vec::len) + self.key.as_ref().map_or(0, Vec::len) + headers;
        FOOTPRINT_OF_NOTHING + FOOTPRINT_OF_A_BYTE * contents
    }
}

/// Of a view with nothing but ids, as measured: its record, its event, its place in lists.
const FOOTPRINT_OF_NOTHING: usize = 500;
/// A byte of the payload stands in the record, in the metadata, and in the ids or lines made of it.
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
