//! `ingest_topics`: the topics that a group counts, as the broker has them. They tell a partition
//! that came into being after the group from one that was there before, a topic that was made again
//! from one that goes on, and what is retired from what is late.

use std::collections::{BTreeMap, HashMap};

use diesel::OptionalExtension;

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Stores how many partitions the topics have that a group counts (0: a topic does not exist), and
/// that it counts no others. What a topic had when it was first stored stays.
///
/// # Errors
/// [`DbError`].
pub(crate) fn register(
    connection: &mut Connection,
    consumer_group: &str,
    topics: &BTreeMap<String, i32>,
) -> Result<(), DbError> {
    statement(include_str!("register_topics.sql"))
        .value(consumer_group)
        .column(topics.keys())
        .column(topics.values().copied())
        .execute(connection)?;
    statement("UPDATE ingest_topics SET wanted = false WHERE consumer_group = $1 AND wanted AND topic <> ALL ($2)")
        .value(consumer_group)
        .column(topics.keys())
        .execute(connection)?;
    Ok(())
}

/// How many partitions each topic of a group had when the group first asked for it.
///
/// # Errors
/// [`DbError`].
pub fn partitions_at_first(connection: &mut Connection, consumer_group: &str) -> Result<HashMap<String, i32>, DbError> {
    row! {
        struct Row {
            topic: String,
            partitions_at_first: i32,
        }
    }
    let rows: Vec<Row> = statement("SELECT topic, partitions_at_first FROM ingest_topics WHERE consumer_group = $1")
        .value(consumer_group)
        .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.topic, row.partitions_at_first)).collect())
}

/// Stores the id that Kafka gives a topic now. Where it had another one the topic was made again:
/// what it held and was not counted is a gap, and every partition starts over. Returns whether that
/// was so.
///
/// # Errors
/// [`DbError`].
pub(crate) fn identify(
    connection: &mut Connection,
    consumer_group: &str,
    topic: &str,
    topic_id: &str,
    reason: &str,
) -> Result<bool, DbError> {
    row! {
        struct Row {
            topic_id: Option<String>,
        }
    }
    let known: Option<Row> =
        statement("SELECT topic_id FROM ingest_topics WHERE consumer_group = $1 AND topic = $2 FOR UPDATE")
            .value(consumer_group)
            .value(topic)
            .get_result(connection)
            .optional()?;
    let known = known.and_then(|row| row.topic_id);
    if known.as_deref() == Some(topic_id) {
        return Ok(false);
    }
    statement("UPDATE ingest_topics SET topic_id = $3 WHERE consumer_group = $1 AND topic = $2")
        .value(consumer_group)
        .value(topic)
        .value(topic_id)
        .execute(connection)?;
    if known.is_none() {
        return Ok(false);
    }
    statement(include_str!("start_topic_over.sql"))
        .value(consumer_group)
        .value(topic)
        .value(reason)
        .execute(connection)?;
    Ok(true)
}
