//! `dead_letters`: records that could not be counted, with their original bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use analytics_core::identity::{EventId, record_id};
use analytics_core::maps::HashSet;
use analytics_core::record::{self, Header, Record};
use analytics_core::rejection::Rejection;
use serde_json::{Value, json};
use uuid::Uuid;

use super::audit_log::{self, Entry};
use super::{all_taken, storable};
use crate::batch::{Keeping, Outcome, Span};
use crate::error::WriteError;
use crate::sql::{row, statement};
use crate::transactions::administer::administer;
use crate::{Connection, DbError};

/// The state of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To be replayed or discarded.
    Open,
    /// Its event is counted.
    Replayed,
    /// It is not to be counted; its payload and key are deleted.
    Discarded,
}

impl State {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Open, Self::Replayed, Self::Discarded];

    /// Returns the name in `dead_letters.state`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    /// Returns the state with this name.
    ///
    /// # Errors
    /// A message that lists the valid names.
    pub fn named(name: &str) -> Result<Self, String> {
        let state = Self::ALL.into_iter().find(|state| state.name() == name);
        state.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// A dead letter as it is stored.
struct Letter<'a> {
    record: &'a Record,
    why: &'a Rejection,
    headers: Value,
    payload: Option<Cow<'a, [u8]>>,
    /// Size in bytes of the payload without the fields that must not be kept, before it is cut.
    payload_bytes: Option<i64>,
    redacted: bool,
}

impl<'a> Letter<'a> {
    fn of((record, why): &'a (&Record, Rejection), keeping: &Keeping) -> Self {
        let whole = record.payload.as_deref();
        // Nothing can be kept of JSON that cannot be parsed to its end.
        let payload = whole.and_then(|payload| keeping.redaction.record(payload));
        let redacted = payload.as_deref() != whole;
        // If nothing is kept of a payload, it counts as cut, like one that was too long.
        let length = payload.as_deref().or(whole).map(<[u8]>::len);
        let payload = payload.map(|payload| match payload {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(..keeping.payload_bytes).unwrap_or(bytes)),
            Cow::Owned(mut bytes) => {
                bytes.truncate(keeping.payload_bytes);
                Cow::Owned(bytes)
            }
        });
        let payload_bytes = length.and_then(|length| i64::try_from(length).ok());
        let headers = headers(&record.headers);
        Self { record, why, headers, payload, payload_bytes, redacted }
    }

    /// Returns about the value that the column `kept_bytes` will have.
    fn size(&self) -> u64 {
        let contents = self.payload.as_deref().map_or(0, <[u8]>::len) + self.record.key.as_ref().map_or(0, Vec::len);
        let headers: usize =
            self.record.headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Vec::len) + 30).sum();
        500 + (contents + headers) as u64
    }
}

/// Stores dead letters. One that exists already, because its record was read again, stays
/// unchanged. Those that would exceed the size limit are only counted. Returns how many were not
/// kept. The size of all dead letters is kept in one row, which is locked from here on: to be called
/// at the end of a transaction.
pub(crate) fn insert(
    connection: &mut Connection,
    rejected: &[(&Record, Rejection)],
    keeping: &Keeping,
) -> Result<u64, WriteError> {
    if rejected.is_empty() {
        return Ok(0);
    }
    let mut room = keeping.total_bytes.saturating_sub(used(connection)?);
    let there = there(connection, rejected)?;
    let new = rejected.iter().filter(|(record, _)| !there.contains(&record_id(&record.place)));
    let letters = new.map(|rejected| Letter::of(rejected, keeping));
    let (kept, beyond): (Vec<_>, Vec<_>) = letters.partition(|letter| {
        let fits = letter.size() <= room;
        room = if fits { room - letter.size() } else { 0 };
        fits
    });
    keep(connection, &kept)?;
    count_only(connection, &beyond)?;
    Ok(beyond.len() as u64)
}

row! {
    struct IdRow {
        id: Uuid,
    }
}

/// Returns the ids of those records whose dead letters are stored already.
fn there(connection: &mut Connection, rejected: &[(&Record, Rejection)]) -> Result<HashSet<EventId>, WriteError> {
    let ids: Vec<Uuid> = rejected.iter().map(|(record, _)| record_id(&record.place).0).collect();
    let rows: Vec<IdRow> = statement("SELECT id FROM dead_letters WHERE id = ANY($1)").column(ids).load(connection)?;
    Ok(rows.into_iter().map(|row| EventId(row.id)).collect())
}

/// Returns the size of all dead letters, in bytes. Until the end of the transaction nobody else adds
/// to it.
fn used(connection: &mut Connection) -> Result<u64, WriteError> {
    row! {
        struct Row {
            bytes: i64,
        }
    }
    let row: Row = statement("SELECT bytes FROM dead_letter_usage FOR UPDATE").get_result(connection)?;
    Ok(u64::try_from(row.bytes).unwrap_or(0))
}

fn keep(connection: &mut Connection, letters: &[Letter<'_>]) -> Result<(), WriteError> {
    if letters.is_empty() {
        return Ok(());
    }
    let records = || letters.iter().map(|letter| letter.record);
    let timestamp = |record: &Record| record.place.timestamp.and_then(record::time);
    let rows = statement(include_str!("insert_dead_letters.sql"))
        .column(records().map(|record| record_id(&record.place).0))
        .column(records().map(|record| &*record.place.partition.topic))
        .column(records().map(|record| record.place.partition.partition))
        .column(records().map(|record| record.place.offset.0))
        .column(records().map(timestamp))
        .column(records().map(|record| record.key.as_deref()))
        .column(letters.iter().map(|letter| &letter.headers))
        .column(letters.iter().map(|letter| letter.payload.as_deref()))
        .column(letters.iter().map(|letter| letter.payload_bytes))
        .column(letters.iter().map(|letter| letter.why.reason.code()))
        .column(letters.iter().map(|letter| storable(&letter.why.detail)))
        .column(letters.iter().map(|letter| letter.redacted))
        .column(letters.iter().map(|letter| letter.why.order.map(|order| order.0)))
        .execute(connection)?;
    all_taken("dead_letters", rows, letters.len())
}

/// The key by which letters that are not kept are counted: topic, partition and reason.
type Overflow<'a> = (&'a str, i32, &'static str);

/// Counts letters that are not kept, with the range of offsets that they come from.
fn count_only(connection: &mut Connection, letters: &[Letter<'_>]) -> Result<(), WriteError> {
    if letters.is_empty() {
        return Ok(());
    }
    let mut rows: BTreeMap<Overflow<'_>, (i64, i64, i64, &str)> = BTreeMap::new();
    for Letter { record, why, .. } in letters {
        let (place, offset) = (&record.place.partition, record.place.offset.0);
        let key = (&*place.topic, place.partition, why.reason.code());
        let (first, last, letters, _) = rows.entry(key).or_insert((offset, offset, 0, &why.detail));
        (*first, *last, *letters) = (offset.min(*first), offset.max(*last), *letters + 1);
    }
    statement(include_str!("count_dead_letters.sql"))
        .column(rows.keys().map(|(topic, ..)| *topic))
        .column(rows.keys().map(|(_, partition, _)| *partition))
        .column(rows.keys().map(|(.., reason)| *reason))
        .column(rows.values().map(|(first, ..)| *first))
        .column(rows.values().map(|(_, last, ..)| *last))
        .column(rows.values().map(|(_, _, letters, _)| *letters))
        .column(rows.values().map(|(.., detail)| storable(detail)))
        .execute(connection)?;
    Ok(())
}

/// Returns the record ids of the records in these spans that were rejected when they were read
/// before.
pub(crate) fn of_spans(connection: &mut Connection, spans: &[Span]) -> Result<HashSet<EventId>, WriteError> {
    let rows: Vec<IdRow> = statement(
        "SELECT d.id FROM unnest($1, $2, $3, $4) AS s (topic, partition, expected, next_offset) \
         JOIN dead_letters d ON d.topic = s.topic AND d.partition = s.partition \
          AND d.\"offset\" >= s.expected AND d.\"offset\" < s.next_offset",
    )
    .column(spans.iter().map(|span| &*span.partition.topic))
    .column(spans.iter().map(|span| span.partition.partition))
    .column(spans.iter().map(|span| span.expected.0))
    .column(spans.iter().map(|span| span.next.0))
    .load(connection)?;
    Ok(rows.into_iter().map(|row| EventId(row.id)).collect())
}

/// What was done with a dead letter, and the result.
#[derive(Debug)]
pub(crate) struct Action<'a> {
    pub(crate) letter: Uuid,
    /// `replay` or `reread`.
    pub(crate) action: &'static str,
    pub(crate) actor: &'a str,
    pub(crate) outcome: &'a Outcome,
    pub(crate) corrected: Option<&'a [u8]>,
}

/// Records the actions, and closes the letters whose events are counted now.
pub(crate) fn settle(connection: &mut Connection, actions: &[Action<'_>]) -> Result<(), WriteError> {
    if actions.is_empty() {
        return Ok(());
    }
    statement(include_str!("settle_dead_letters.sql"))
        .column(actions.iter().map(|action| action.letter))
        .column(actions.iter().map(|action| action.action))
        .column(actions.iter().map(|action| storable(action.actor)))
        .column(actions.iter().map(|action| action.outcome.name()))
        .column(actions.iter().map(|action| action.outcome.event()))
        .column(actions.iter().map(|action| action.outcome.detail().map(|detail| storable(&detail))))
        .column(actions.iter().map(|action| action.corrected))
        .execute(connection)?;
    Ok(())
}

/// Returns the headers as a list, because names may repeat. A value that is not text that
/// PostgreSQL can store is kept in hexadecimal.
fn headers(headers: &[Header]) -> Value {
    let header = |header: &Header| {
        let name = storable(&header.name);
        let text = header.value.as_deref().map(|value| std::str::from_utf8(value).map_err(|_| value));
        match text {
            None => json!({ "name": name, "value": null }),
            Some(Ok(value)) if !value.contains('\0') => json!({ "name": name, "value": value }),
            Some(Ok(value)) => json!({ "name": name, "valueHex": hex::encode(value) }),
            Some(Err(value)) => json!({ "name": name, "valueHex": hex::encode(value) }),
        }
    };
    headers.iter().map(header).collect()
}

/// Discards open dead letters: deletes their payloads and keys, and records who did it, with each
/// letter and in the audit log. Returns the ids of those that were discarded.
///
/// # Errors
/// [`DbError`].
pub fn discard(connection: &mut Connection, ids: &[Uuid], actor: &str) -> Result<Vec<Uuid>, DbError> {
    administer(connection, |connection| {
        let discarded = discard_open(connection, ids, actor)?;
        let results: BTreeMap<Uuid, &str> = discarded.iter().map(|id| (*id, State::Discarded.name())).collect();
        let subject = format!("dead letters: {}", discarded.len());
        let detail = json!({ "results": results });
        let entry = Entry { actor: actor.to_owned(), action: audit_log::Action::Discard, subject, detail };
        let changed = !discarded.is_empty();
        Ok((discarded, changed.then_some(entry)))
    })
}

fn discard_open(connection: &mut Connection, ids: &[Uuid], actor: &str) -> Result<Vec<Uuid>, DbError> {
    row! {
        struct Row {
            dead_letter_id: Uuid,
        }
    }
    let rows: Vec<Row> = statement(
        "WITH gone AS (
             UPDATE dead_letters SET state = 'discarded', payload = NULL, key = NULL
             WHERE id = ANY($1) AND state = 'open' RETURNING id
         )
         INSERT INTO dead_letter_actions (dead_letter_id, action, actor, result)
         SELECT id, 'discard', $2, 'discarded' FROM gone RETURNING dead_letter_id",
    )
    .column(ids)
    .value(storable(actor))
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.dead_letter_id).collect())
}

row! {
    /// Records that were rejected and not kept as dead letters because of the size limit.
    #[derive(Debug)]
    pub struct NotKept {
        /// The topic.
        pub topic: String,
        /// The partition.
        pub partition: i32,
        /// The code of the reason.
        pub reason: String,
        /// The lowest of their offsets.
        pub first_offset: i64,
        /// The highest of their offsets.
        pub last_offset: i64,
        /// Number of records.
        pub letters: i64,
    }
}

/// Returns the numbers of rejected records that were not kept, by partition and reason.
///
/// # Errors
/// [`DbError`].
pub fn not_kept(connection: &mut Connection) -> Result<Vec<NotKept>, DbError> {
    Ok(statement(
        "SELECT topic, partition, reason, min(first_offset) AS first_offset, max(last_offset) AS last_offset, \
         sum(letters)::bigint AS letters FROM dead_letter_overflow GROUP BY topic, partition, reason \
         ORDER BY topic, partition, reason",
    )
    .load(connection)?)
}

/// Deletes dead letters that were created more than `days` ago, at most `limit` at once. Of those
/// whose events were counted less than `dedupe_days` ago, only the contents are deleted, so that
/// their records are recognised if they are read again. Returns the number of letters deleted or
/// emptied.
///
/// # Errors
/// [`DbError`].
pub fn forget(connection: &mut Connection, days: u32, dedupe_days: u32, limit: i64) -> Result<usize, DbError> {
    row! {
        struct Row {
            letters: i64,
        }
    }
    let row: Row = statement(include_str!("forget_dead_letters.sql"))
        .value(i64::from(days))
        .value(i64::from(dedupe_days))
        .value(limit)
        .get_result(connection)?;
    Ok(usize::try_from(row.letters).unwrap_or(0))
}
