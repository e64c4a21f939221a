//! Replays dead letters, with the ordinary decoding and counting.
//!
//! A replayed record keeps its place in Kafka, and its place is one of its identities: however
//! often it is replayed, and with whatever corrections, it counts once.

use std::collections::BTreeMap;

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::events::Decoder;
use analytics_core::record::{Header, Offset, Place, Record, TopicPartition};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::count::{judge, log};
use super::runner::run;
use crate::batch::{Item, Outcome, Reread};
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::tables::audit_log::{self, Action, Entry};
use crate::tables::batches::Kind;
use crate::tables::dead_letters::{self, State};
use crate::{Connection, DbError};

/// The result of replaying one dead letter.
#[derive(Debug)]
pub struct Replayed {
    /// The dead letter.
    pub id: Uuid,
    /// The result, or why it was not replayed.
    pub result: Result<Outcome, NotReplayed>,
}

/// Why a dead letter was not replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayed {
    /// No dead letter has this id.
    #[error("there is no such dead letter")]
    Unknown,
    /// It was discarded, and its payload deleted.
    #[error("its payload was deleted when it was discarded: give a corrected payload")]
    Discarded,
    /// Its payload was cut or not kept.
    #[error("its payload was not kept completely: give a corrected payload")]
    Cut,
    /// This process does not count its topic.
    #[error("this process does not count its topic: check KAFKA_TOPICS")]
    Topic,
    /// The transaction failed.
    #[error("the database did not store it: {0}")]
    Refused(String),
}

/// Maximum number of dead letters in one transaction.
const MOST: usize = 500;
/// Maximum number of payload bytes in one transaction, unless a single dead letter has more.
const MOST_BYTES: i64 = 16 << 20;

row! {
    struct Row {
        id: Uuid,
        topic: String,
        partition: i32,
        offset: i64,
        record_timestamp: Option<DateTime<Utc>>,
        key: Option<Vec<u8>>,
        headers: Value,
        payload: Option<Vec<u8>>,
        payload_bytes: Option<i64>,
        state: String,
    }
}

/// Replays dead letters. If `corrected` is given, it replaces the payload of each. `actor` is who
/// does it. One that the database refuses does not keep the others from being replayed.
///
/// # Errors
/// [`WriteError`] if the database cannot be reached; some of the dead letters may have been
/// replayed then.
pub fn replay(
    connection: &mut Connection,
    ids: &[Uuid],
    corrected: Option<&[u8]>,
    decoder: &Decoder,
    actor: &str,
) -> Result<Vec<Replayed>, WriteError> {
    let mut replayed = Vec::with_capacity(ids.len());
    let mut pieces = pieces(connection, ids)?;
    while let Some(piece) = pieces.pop() {
        match replay_piece(connection, &piece, corrected, decoder, actor) {
            Ok(done) => replayed.extend(done),
            Err(error @ WriteError::Database(DbError::Unreachable(_))) => return Err(error),
            Err(error) => match piece.as_slice() {
                [only] => {
                    let why = NotReplayed::Refused(error.to_string());
                    replayed.push(Replayed { id: *only, result: Err(why) });
                }
                several => {
                    let (first, second) = several.split_at(several.len() / 2);
                    pieces.extend([first.to_vec(), second.to_vec()]);
                }
            },
        }
    }
    Ok(replayed)
}

/// Divides the letters into chunks for one transaction each.
fn pieces(connection: &mut Connection, ids: &[Uuid]) -> Result<Vec<Vec<Uuid>>, WriteError> {
    row! {
        struct Size {
            id: Uuid,
            bytes: i64,
        }
    }
    let sizes: Vec<Size> = statement(
        "SELECT i.id, coalesce(octet_length(d.payload), 0)::bigint AS bytes \
         FROM unnest($1) WITH ORDINALITY AS i (id, number) LEFT JOIN dead_letters d ON d.id = i.id ORDER BY i.number",
    )
    .column(ids)
    .load(connection)?;
    let mut pieces: Vec<Vec<Uuid>> = Vec::new();
    let mut bytes = 0;
    for size in sizes {
        match pieces.last_mut().filter(|piece| piece.len() < MOST && bytes + size.bytes <= MOST_BYTES) {
            Some(piece) => piece.push(size.id),
            None => {
                bytes = 0;
                pieces.push(vec![size.id]);
            }
        }
        bytes += size.bytes;
    }
    Ok(pieces)
}

fn replay_piece(
    connection: &mut Connection,
    ids: &[Uuid],
    corrected: Option<&[u8]>,
    decoder: &Decoder,
    actor: &str,
) -> Result<Vec<Replayed>, WriteError> {
    run(connection, "replay", |connection| {
        let rows = load(connection, ids)?;
        let mut replayed: Vec<Replayed> = ids
            .iter()
            .filter(|id| rows.iter().all(|row| row.id != **id))
            .map(|id| Replayed { id: *id, result: Err(NotReplayed::Unknown) })
            .collect();
        let now = crate::now(connection)?;
        let mut items = Vec::new();
        let mut letters = Vec::new();
        for row in rows {
            let id = row.id;
            match row.record(corrected, decoder) {
                Ok(record) => {
                    letters.push(id);
                    items.push(item(record, decoder, now));
                }
                Err(why) => replayed.push(Replayed { id, result: Err(why) }),
            }
        }
        let outcomes = count(connection, &mut items, decoder.business)?;
        let trace = |(letter, outcome): (&Uuid, _)| dead_letters::Action {
            letter: *letter,
            action: "replay",
            actor,
            outcome,
            corrected,
        };
        dead_letters::settle(connection, &letters.iter().zip(&outcomes).map(trace).collect::<Vec<_>>())?;
        if let Some(entry) = entry(&letters, &outcomes, corrected.is_some(), actor) {
            audit_log::record(connection, &entry)?;
        }
        replayed.extend(letters.into_iter().zip(outcomes).map(|(id, outcome)| Replayed { id, result: Ok(outcome) }));
        Ok(replayed)
    })
}

/// Returns what the audit log says about the replay of these letters, if there are any.
fn entry(letters: &[Uuid], outcomes: &[Outcome], is_corrected: bool, actor: &str) -> Option<Entry> {
    let results: BTreeMap<Uuid, &str> = letters.iter().copied().zip(outcomes.iter().map(Outcome::name)).collect();
    let subject = format!("dead letters: {}", letters.len());
    let detail = json!({ "results": results, "corrected": is_corrected });
    let entry = Entry { actor: actor.to_owned(), action: Action::Replay, subject, detail };
    (!letters.is_empty()).then_some(entry)
}

/// Counts the records like any batch, except that offsets do not move and that no dead letters are
/// written, because they exist already. Takes the counting lock, which is held until the end of the
/// transaction.
fn count(connection: &mut Connection, items: &mut [Item], business: Business) -> Result<Vec<Outcome>, WriteError> {
    let judged = judge(connection, items, Reread::Possible)?;
    let mut counting = log(connection, judged.events, business, Deltas::default())?;
    let lock = CountingLock::take(connection)?;
    counting.add(connection, &lock, business, Kind::Replay)?;
    Ok(judged.outcomes)
}

fn load(connection: &mut Connection, ids: &[Uuid]) -> Result<Vec<Row>, WriteError> {
    Ok(statement(
        "SELECT id, topic, partition, \"offset\", record_timestamp, key, headers, payload, payload_bytes, state \
         FROM dead_letters WHERE id = ANY($1) ORDER BY topic, partition, \"offset\"",
    )
    .column(ids)
    .load(connection)?)
}

fn item(record: Record, decoder: &Decoder, now: DateTime<Utc>) -> Item {
    let decoded = decoder.decode(&record, now).map(|mut event| {
        event.identify_by_place(&record.place);
        event
    });
    Item { record, decoded }
}

impl Row {
    /// Returns the original record, or the record with the corrected payload.
    fn record(self, corrected: Option<&[u8]>, decoder: &Decoder) -> Result<Record, NotReplayed> {
        if decoder.topics.event_type(&self.topic).is_none() {
            // Without its topic in KAFKA_TOPICS it would be logged as something else and never
            // counted.
            return Err(NotReplayed::Topic);
        }
        let kept = self.payload.as_ref().map_or(0, Vec::len);
        let payload = match corrected {
            Some(corrected) => Some(corrected.to_vec()),
            None if self.state == State::Discarded.name() => return Err(NotReplayed::Discarded),
            None if self.payload_bytes.is_some_and(|bytes| usize::try_from(bytes) != Ok(kept)) => {
                return Err(NotReplayed::Cut);
            }
            None => self.payload,
        };
        Ok(Record {
            place: Place {
                partition: TopicPartition { topic: self.topic.into(), partition: self.partition },
                offset: Offset(self.offset),
                timestamp: self.record_timestamp.map(|time| time.timestamp_millis()),
            },
            key: self.key,
            headers: self.headers.as_array().into_iter().flatten().map(header).collect(),
            payload,
        })
    }
}

/// Reads a header from its stored form; values that were not text are stored in hexadecimal.
fn header(stored: &Value) -> Header {
    let text = |name: &str| stored.get(name).and_then(Value::as_str);
    let bytes = |digits: &str| hex::decode(digits).unwrap_or_default();
    let value = text("value").map(|value| value.as_bytes().to_vec()).or_else(|| text("valueHex").map(bytes));
    Header { name: text("name").unwrap_or_default().to_owned(), value }
}
