//! `ingest_topics`: the topics that a group counts, as reported by the broker. The rows distinguish
//! partitions that were added after the group first subscribed from those that existed before, a
//! recreated topic from one that continues, and retired topics from late ones.

use std::collections::{BTreeMap, HashMap};

use diesel::OptionalExtension;

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// A topic as the broker reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// How many partitions it has; 0 if it does not exist.
    pub partitions: i32,
    /// Whether it may be absent.
    pub is_optional: bool,
}

/// Stores how many partitions each topic of a group has (0: the topic does not exist), and that the
/// group counts no other topics. The number of partitions with which a topic was first stored is
/// kept.
///
/// # Errors
/// [`DbError`].
pub(crate) fn register(
    connection: &mut Connection,
    consumer_group: &str,
    topics: &BTreeMap<String, Topic>,
) -> Result<(), DbError> {
    statement(include_str!("register_topics.sql"))
        .value(consumer_group)
        .column(topics.keys())
        .column(topics.values().map(|topic| topic.partitions))
        .column(topics.values().map(|topic| topic.is_optional))
        .execute(connection)?;
    statement("UPDATE ingest_topics SET wanted = false WHERE consumer_group = $1 AND wanted AND topic <> ALL ($2)")
        .value(consumer_group)
        .column(topics.keys())
        .execute(connection)?;
    Ok(())
}

/// Returns how many partitions each topic of a group had when the group first subscribed to it.
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

/// Stores the current Kafka id of a topic. If another id was stored, the topic was recreated: what
/// it held and was not counted is recorded as a gap, and every partition starts over. Returns
/// whether the topic was recreated.
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

/// Returns the Kafka ids of the topics of a group whose partitions are counted, as far as they have ids.
///
/// # Errors
/// [`DbError`].
pub fn ids(connection: &mut Connection, consumer_group: &str) -> Result<HashMap<String, String>, DbError> {
    row! {
        struct Row {
            topic: String,
            topic_id: String,
        }
    }
    let rows: Vec<Row> =
        statement("SELECT topic, topic_id FROM ingest_topics WHERE consumer_group = $1 AND topic_id IS NOT NULL")
            .value(consumer_group)
            .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.topic, row.topic_id)).collect())
}
