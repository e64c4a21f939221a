//! `event_keys`: claims the identities of a batch, and finds those that earlier events have.

use std::collections::BTreeMap;

use analytics_core::dedupe::Known;
use analytics_core::identity::EventId;
use analytics_core::identity::{Digest, IdentityKey};
use analytics_core::maps::HashSet;
use chrono::{DateTime, Utc};
use diesel::OptionalExtension;
use diesel::result::Error;
use uuid::Uuid;

use crate::batch::Item;
use crate::error::WriteError;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// The identities of a batch. Every writer claims them in the order of the keys, so that two
/// writers never wait for each other.
pub(crate) struct Claims {
    /// The event that each key is claimed for: the first event of the batch that has it.
    wanted: BTreeMap<IdentityKey, (Digest, EventId)>,
    /// The keys that no earlier event had.
    granted: HashSet<IdentityKey>,
}

row! {
    struct GrantedRow {
        key: Uuid,
    }
}

row! {
    struct KeyRow {
        key: Uuid,
        digest: Uuid,
        event_id: Uuid,
    }
}

/// Claims every identity in the batch. Waits for writers that are claiming the same ones.
pub(crate) fn claim(connection: &mut Connection, items: &[Item]) -> Result<Claims, WriteError> {
    let (mut wanted, mut orders) = (BTreeMap::new(), HashSet::default());
    for event in items.iter().filter_map(|item| item.decoded.as_ref().ok()) {
        for key in &event.keys {
            wanted.entry(*key).or_insert((event.digest, event.id));
        }
        orders.extend(event.order());
    }
    if wanted.is_empty() {
        return Ok(Claims { wanted, granted: HashSet::default() });
    }
    let keys: Vec<Uuid> = wanted.keys().map(|key| key.0).collect();
    let digests: Vec<Uuid> = wanted.values().map(|(digest, _)| digest.0).collect();
    let events: Vec<Uuid> = wanted.values().map(|(_, event)| event.0).collect();
    let name_orders: Vec<bool> = wanted.keys().map(|key| orders.contains(key)).collect();
    let granted: Vec<GrantedRow> = statement(
        "INSERT INTO event_keys (key, digest, event_id, names_order) SELECT * FROM unnest($1, $2, $3, $4) \
         ON CONFLICT (key) DO NOTHING RETURNING key",
    )
    .column(keys)
    .column(digests)
    .column(events)
    .column(name_orders)
    .load(connection)?;
    Ok(Claims { wanted, granted: granted.iter().map(|row| IdentityKey(row.key)).collect() })
}

/// Loads the identities of the batch that earlier events have.
pub(crate) fn known(connection: &mut Connection, claims: &Claims) -> Result<Known, WriteError> {
    #[cfg(feature = "mutants")]
    if crate::mutant::knows_no_identity() {
        return Ok(Known::default());
    }
    let taken: Vec<Uuid> = claims.wanted.keys().filter(|key| !claims.granted.contains(key)).map(|key| key.0).collect();
    let mut known = Known::default();
    if taken.is_empty() {
        return Ok(known);
    }
    let expected = taken.len();
    let rows: Vec<KeyRow> =
        statement("SELECT key, digest, event_id FROM event_keys WHERE key = ANY($1)").column(taken).load(connection)?;
    if rows.len() != expected {
        // A key was deleted between the two statements. The next attempt claims it.
        return Err(DbError::Statement(Error::NotFound).into());
    }
    for row in rows {
        known.keys.insert(IdentityKey(row.key), (Digest(row.digest), EventId(row.event_id)));
    }
    Ok(known)
}

/// Corrects claims after the batch was decided: if the first event with a key was rejected as a
/// conflict, the key belongs to the next event that has it, or is deleted if there is none.
pub(crate) fn correct(connection: &mut Connection, claims: &Claims, known: &Known) -> Result<(), WriteError> {
    let mut unbound = Vec::new();
    for key in &claims.granted {
        let wanted = claims.wanted.get(key);
        match known.keys.get(key) {
            bound @ Some(_) if bound == wanted => {}
            Some((digest, event)) => {
                statement("UPDATE event_keys SET digest = $2, event_id = $3 WHERE key = $1")
                    .value(key.0)
                    .value(digest.0)
                    .value(event.0)
                    .execute(connection)?;
            }
            None => unbound.push(key.0),
        }
    }
    if !unbound.is_empty() {
        statement("DELETE FROM event_keys WHERE key = ANY($1)").column(unbound).execute(connection)?;
    }
    Ok(())
}

/// Counts the records that repeated orders. Rows are locked in the order of their keys.
pub(crate) fn note_repeats(
    connection: &mut Connection,
    repeated: &BTreeMap<IdentityKey, i32>,
) -> Result<(), WriteError> {
    if repeated.is_empty() {
        return Ok(());
    }
    // An order whose key is not stored any more was recognised by its id in the log.
    statement(
        "WITH locked AS MATERIALIZED (\
             SELECT k.key FROM event_keys k WHERE k.key = ANY($1) ORDER BY k.key FOR UPDATE) \
         UPDATE event_keys k SET repeats = k.repeats + r.repeats, repeated_at = now() \
         FROM locked l JOIN unnest($1, $2) AS r (key, repeats) ON r.key = l.key WHERE k.key = l.key",
    )
    .column(repeated.keys().map(|key| key.0))
    .column(repeated.values().copied())
    .execute(connection)?;
    Ok(())
}

row! {
    /// The event of an order, and the records that repeated it.
    #[derive(Debug, Clone, Copy)]
    pub struct OrderEvent {
        /// The id of the event.
        pub event_id: Uuid,
        /// How many records repeated it.
        pub repeats: i32,
        /// When the last of them arrived.
        pub repeated_at: Option<DateTime<Utc>>,
    }
}

/// Returns the event of the order that has this [key](analytics_core::identity::order_key), if one
/// was counted and its identity is still stored.
///
/// # Errors
/// [`DbError`].
pub fn order(connection: &mut Connection, key: IdentityKey) -> Result<Option<OrderEvent>, DbError> {
    let row =
        statement("SELECT event_id, repeats, repeated_at FROM event_keys WHERE key = $1 AND names_order").value(key.0);
    Ok(row.get_result(connection).optional()?)
}
