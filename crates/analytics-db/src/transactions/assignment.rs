//! What a worker tells of its assignment: where partitions start, which topics there are, what was
//! lost, and that it is alive.

use std::collections::BTreeMap;

use analytics_core::record::{Offset, TopicPartition};
use diesel::connection::SimpleConnection;

use super::runner::run_once;
use crate::batch::Progress;
use crate::tables::ingest_offsets::{self, Gap};
use crate::tables::ingest_topics;
use crate::{Connection, DbError};

/// Stores how many partitions the topics have that a group counts (0: a topic does not exist), and
/// that it counts no others. What a topic had when it was first stored stays.
///
/// # Errors
/// [`DbError`].
pub fn register(
    connection: &mut Connection,
    consumer_group: &str,
    topics: &BTreeMap<String, i32>,
) -> Result<(), DbError> {
    run_once(connection, "register", |connection| ingest_topics::register(connection, consumer_group, topics))
}

/// Stores the id that Kafka gives a topic now. Where it had another one the topic was made again:
/// what it held and was not counted is a gap, and every partition starts over. Returns whether that
/// was so.
///
/// # Errors
/// [`DbError`].
pub fn identify(
    connection: &mut Connection,
    consumer_group: &str,
    topic: &str,
    topic_id: &str,
    reason: &str,
) -> Result<bool, DbError> {
    run_once(connection, "identify", |connection| {
        ingest_topics::identify(connection, consumer_group, topic, topic_id, reason)
    })
}

/// Stores where a partition that was never assigned before starts; a row that is there stays.
///
/// # Errors
/// [`DbError`].
pub fn start(
    connection: &mut Connection,
    consumer_group: &str,
    partition: &TopicPartition,
    at: Offset,
) -> Result<(), DbError> {
    run_once(connection, "start", |connection| ingest_offsets::start(connection, consumer_group, partition, at))
}

/// Records a gap, and moves the stored offset over it. Returns whether the offset still stood where
/// the gap begins.
///
/// # Errors
/// [`DbError`].
pub fn record_gap(
    connection: &mut Connection,
    consumer_group: &str,
    partition: &TopicPartition,
    gap: Gap,
    reason: &str,
) -> Result<bool, DbError> {
    run_once(connection, "record_gap", |connection| {
        ingest_offsets::record_gap(connection, consumer_group, partition, gap, reason)
    })
}

/// Says that a worker is alive and what it knows of its partitions. Only for rows that stand where
/// the worker believes them to be; returns how many did.
///
/// # Errors
/// [`DbError`].
pub fn heartbeat(
    connection: &mut Connection,
    consumer_group: &str,
    partitions: &[(TopicPartition, Offset, Progress)],
) -> Result<usize, DbError> {
    run_once(connection, "heartbeat", |connection| {
        // Whoever holds a row for longer must not keep the others from being told of.
        connection.batch_execute("SET LOCAL lock_timeout = '1s'")?;
        ingest_offsets::heartbeat(connection, consumer_group, partitions)
    })
}
