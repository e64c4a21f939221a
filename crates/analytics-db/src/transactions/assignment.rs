//! What a worker stores about its assignment: where partitions start, which topics exist, which
//! records were lost, and that it is alive.

use std::collections::BTreeMap;

use analytics_core::record::{Offset, TopicPartition};
use diesel::connection::SimpleConnection;

use super::runner::run_once;
use crate::batch::Progress;
use crate::tables::ingest_offsets::{self, Gap};
use crate::tables::ingest_topics::{self, Topic};
use crate::{Connection, DbError};

/// Stores how many partitions each topic of a group has (0: the topic does not exist), and that the
/// group counts no other topics. The number of partitions with which a topic was first stored is
/// kept.
///
/// # Errors
/// [`DbError`].
pub fn register(
    connection: &mut Connection,
    consumer_group: &str,
    topics: &BTreeMap<String, Topic>,
) -> Result<(), DbError> {
    run_once(connection, "register", |connection| ingest_topics::register(connection, consumer_group, topics))
}

/// Stores the current Kafka id of a topic. If another id was stored, the topic was recreated: what
/// it held and was not counted is recorded as a gap, and every partition starts over. Returns
/// whether the topic was recreated.
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

/// Stores where counting of a partition starts. A row that exists already stays unchanged.
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

/// Records a gap, and moves the stored offset over it. Returns false, without changing anything, if
/// the stored offset is not where the gap begins.
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

/// Stores that a worker is alive, and what it knows about its partitions. Only updates rows whose
/// stored offset is where the worker expects it; returns how many.
///
/// # Errors
/// [`DbError`].
pub fn heartbeat(
    connection: &mut Connection,
    consumer_group: &str,
    partitions: &[(TopicPartition, Offset, Progress)],
) -> Result<usize, DbError> {
    run_once(connection, "heartbeat", |connection| {
        // A row that is locked for longer must not delay the heartbeats of the others.
        connection.batch_execute("SET LOCAL lock_timeout = '1s'")?;
        ingest_offsets::heartbeat(connection, consumer_group, partitions)
    })
}
