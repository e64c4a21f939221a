//! `event_keys` and `order_keys`: claims the identities of a batch, and finds those that earlier events have.

use std::collections::BTreeMap;

use analytics_core::dedupe::Known;
use analytics_core::identity::EventId;
use analytics_core::identity::{Digest, IdentityKey};
use analytics_core::maps::{HashMap, HashSet};
use chrono::{DateTime, Utc};
use diesel::OptionalExtension;
use diesel::result::Error;
use uuid::Uuid;

use super::generations::{self, Keys};
use crate::batch::Item;
use crate::error::WriteError;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// The event that an identity belongs to, and the digest of its content.
type Owner = (Digest, EventId);

/// The identities of a batch. Every writer claims those of events, then those of orders, each in the order
/// of the keys, so that two writers never wait for each other.
pub(crate) struct Claims {
    /// The event that each key is claimed for: the first event of the batch that has it.
    wanted: BTreeMap<IdentityKey, Owner>,
    /// The keys that no earlier event had, each with where it is stored.
    granted: HashMap<IdentityKey, (Keys, i32)>,
    /// The keys that earlier events have.
    known: HashMap<IdentityKey, Owner>,
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
    let mut claims = Claims { wanted, granted: HashMap::default(), known: HashMap::default() };
    if claims.wanted.is_empty() {
        return Ok(claims);
    }
    let newest = generations::hold(connection)?;
    for (keys, newest) in Keys::ALL.into_iter().zip(newest) {
        let is_here = |key: &IdentityKey| orders.contains(key) == (keys == Keys::Orders);
        let mut own: Vec<IdentityKey> = claims.wanted.keys().filter(|key| is_here(key)).copied().collect();
        if newest.has_older {
            let condition = format!("k.generation <> {}", newest.generation);
            claims.known.extend(find(connection, keys, &own, &condition)?);
            own.retain(|key| !claims.known.contains_key(key));
        }
        let granted = insert(connection, keys, newest.generation, &own, &claims.wanted)?;
        own.retain(|key| !granted.contains(key));
        claims.granted.extend(granted.into_iter().map(|key| (key, (keys, newest.generation))));
        let found = find(connection, keys, &own, &format!("k.generation = {}", newest.generation))?;
        if found.len() != own.len() {
            // A key was deleted between the two statements. The next attempt claims it.
            return Err(DbError::Statement(Error::NotFound).into());
        }
        claims.known.extend(found);
    }
    Ok(claims)
}

/// Inserts keys, and returns those that were not stored before.
fn insert(
    connection: &mut Connection,
    of: Keys,
    generation: i32,
    keys: &[IdentityKey],
    wanted: &BTreeMap<IdentityKey, Owner>,
) -> Result<HashSet<IdentityKey>, DbError> {
    if keys.is_empty() {
        return Ok(HashSet::default());
    }
    let rows = || keys.iter().filter_map(|key| Some((key.0, wanted.get(key)?)));
    let granted: Vec<GrantedRow> = statement(format!(
        "INSERT INTO {table}_{generation} (key, digest, event_id, generation) \
         SELECT key, digest, event_id, {generation} FROM unnest($1, $2, $3) AS n (key, digest, event_id) \
         ON CONFLICT (key, generation) DO NOTHING RETURNING key",
        table = of.table()
    ))
    .column(rows().map(|(key, _)| key))
    .column(rows().map(|(_, (digest, _))| digest.0))
    .column(rows().map(|(_, (_, event))| event.0))
    .load(connection)?;
    Ok(granted.iter().map(|row| IdentityKey(row.key)).collect())
}

/// Looks for keys, each by itself, whatever the planner would estimate for all of them.
fn find(
    connection: &mut Connection,
    of: Keys,
    keys: &[IdentityKey],
    condition: &str,
) -> Result<Vec<(IdentityKey, Owner)>, DbError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<KeyRow> = statement(format!(
        "SELECT f.* FROM unnest($1) AS n (key) CROSS JOIN LATERAL ( \
             SELECT k.key, k.digest, k.event_id FROM {} k WHERE k.key = n.key AND {condition} LIMIT 1) AS f",
        of.table()
    ))
    .column(keys.iter().map(|key| key.0))
    .load(connection)?;
    let identity = |row: KeyRow| (IdentityKey(row.key), (Digest(row.digest), EventId(row.event_id)));
    Ok(rows.into_iter().map(identity).collect())
}

/// Returns the identities of the batch that earlier events have.
pub(crate) fn known(claims: &Claims) -> Known {
    #[cfg(feature = "mutants")]
    if crate::mutant::knows_no_identity() {
        return Known::default();
    }
    Known { keys: claims.known.clone(), ids: HashSet::default() }
}

/// Corrects claims after the batch was decided: if the first event with a key was rejected as a
/// conflict, the key belongs to the next event that has it, or is deleted if there is none.
pub(crate) fn correct(connection: &mut Connection, claims: &Claims, known: &Known) -> Result<(), WriteError> {
    /// The corrections in the generation of one table.
    #[derive(Default)]
    struct Corrections {
        rebound: Vec<(Uuid, Owner)>,
        unbound: Vec<Uuid>,
    }
    let mut corrections: BTreeMap<(&str, i32), Corrections> = BTreeMap::new();
    for (key, (of, generation)) in &claims.granted {
        let bound = known.keys.get(key);
        if bound == claims.wanted.get(key) {
            continue;
        }
        let here = corrections.entry((of.table(), *generation)).or_default();
        match bound {
            Some(owner) => here.rebound.push((key.0, *owner)),
            None => here.unbound.push(key.0),
        }
    }
    for ((table, generation), Corrections { rebound, unbound }) in corrections {
        if !rebound.is_empty() {
            statement(format!(
                "UPDATE {table}_{generation} k SET digest = n.digest, event_id = n.event_id \
                 FROM unnest($1, $2, $3) AS n (key, digest, event_id) WHERE k.key = n.key"
            ))
            .column(rebound.iter().map(|(key, _)| *key))
            .column(rebound.iter().map(|(_, (digest, _))| digest.0))
            .column(rebound.iter().map(|(_, (_, event))| event.0))
            .execute(connection)?;
        }
        if !unbound.is_empty() {
            statement(format!("DELETE FROM {table}_{generation} WHERE key = ANY($1)"))
                .column(unbound)
                .execute(connection)?;
        }
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
             SELECT k.key FROM order_keys k WHERE k.key = ANY($1) ORDER BY k.key FOR UPDATE) \
         UPDATE order_keys k SET repeats = k.repeats + r.repeats, repeated_at = now() \
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
    let row = statement("SELECT event_id, repeats, repeated_at FROM order_keys WHERE key = $1").value(key.0);
    Ok(row.get_result(connection).optional()?)
}
