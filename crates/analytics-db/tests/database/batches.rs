//! Builds batches from payloads, and writes them.

use std::collections::BTreeMap;

use analytics_core::business::Business;
use analytics_core::events::{Decoder, OrderCounts, Redaction};
use analytics_core::record::{Offset, Place, Record, TopicPartition};
use analytics_core::topics::Topics;
use analytics_db::batch::Progress;
use analytics_db::batch::{Batch, Item, Keeping, Reread, Span, Written};
use analytics_db::error::WriteError;
use analytics_db::transactions::{assignment, count, fold};
use analytics_testkit::database::Database;

pub(crate) fn business() -> Business {
    Business::parse("USD", "UTC").unwrap()
}

pub(crate) fn decoder(topics: Topics) -> Decoder {
    Decoder {
        topics,
        business: business(),
        redaction: Redaction::default(),
        max_record_bytes: 1 << 20,
        order_counts: OrderCounts::Created,
    }
}

/// Builds a batch of records, each at the given offset of its topic's partition 0. The stored
/// offset of every partition is expected at its first record.
pub(crate) fn batch(records: &[(&str, i64, &str)]) -> Batch {
    of_records(records.iter().map(|(topic, offset, payload)| {
        let partition = TopicPartition { topic: (*topic).into(), partition: 0 };
        let place = Place { partition, offset: Offset(*offset), timestamp: Some(1_793_491_200_000) };
        Record { place, key: None, headers: vec![], payload: Some(payload.as_bytes().to_vec()) }
    }))
}

/// Builds a batch of records, each with its own place.
pub(crate) fn of_records(records: impl Iterator<Item = Record>) -> Batch {
    let decoder = decoder(Topics::default());
    let mut spans = BTreeMap::new();
    let items = records
        .map(|record| {
            let Place { partition, offset, .. } = record.place.clone();
            let span = Span {
                partition: partition.clone(),
                expected: offset,
                next: offset,
                last_timestamp: None,
                progress: Progress::default(),
            };
            spans.entry(partition.clone()).or_insert(span).next = offset.next();
            Item { decoded: decoder.decode(&record, chrono::Utc::now()), record }
        })
        .collect();
    let keeping = Keeping { payload_bytes: 1 << 20, total_bytes: 1 << 40, redaction: Redaction::default() };
    Batch { consumer_group: "group".into(), spans: spans.into_values().collect(), items, keeping }
}

/// Creates the stored offsets of a batch's partitions, if they do not exist yet.
pub(crate) fn start(database: &Database, batch: &Batch) {
    for span in &batch.spans {
        assignment::start(&mut database.connect(), "group", &span.partition, span.expected).unwrap();
    }
}

/// Creates the stored offsets of a batch's partitions, logs the batch, and counts what is logged.
pub(crate) fn write(database: &Database, batch: &mut Batch, reread: Reread) -> Result<Written, WriteError> {
    let written = log(database, batch, reread)?;
    fold::catch_up(&mut database.connect(), business())?;
    Ok(written)
}

/// Creates the stored offsets of a batch's partitions and logs the batch.
pub(crate) fn log(database: &Database, batch: &mut Batch, reread: Reread) -> Result<Written, WriteError> {
    start(database, batch);
    count::count(&mut database.connect(), batch, business(), reread)
}
