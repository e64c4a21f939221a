//! `event_keys`: claiming the identities of a batch, and learning whose they are already.

use std::collections::BTreeMap;

use analytics_core::dedupe::Known;
use analytics_core::identity::EventId;
use analytics_core::identity::{Digest, IdentityKey};
use analytics_core::maps::HashSet;
use diesel::result::Error;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use uuid::Uuid;

use crate::batch::Item;
use crate::error::WriteError;
use crate::{Connection, DbError};

/// The identities of a batch, in the order in which they are claimed: every writer claims in
/// the order of the keys, so no two can wait for each other.
pub(crate) struct Claims {
    /// What each key was claimed for: the first event of the batch that has it.
    wanted: BTreeMap<IdentityKey, (Digest, EventId)>,
    /// Those that nobody had before.
    granted: HashSet<IdentityKey>,
}

#[derive(QueryableByName)]
struct GrantedRow {
    #[diesel(sql_type = SqlUuid)]
    key: Uuid,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = SqlUuid)]
    key: Uuid,
    #[diesel(sql_type = SqlUuid)]
    digest: Uuid,
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
}

/// Claims every identity in the batch. Waits for writers that are claiming the same ones.
pub(crate) fn claim(connection: &mut Connection, items: &[Item]) -> Result<Claims, WriteError> {
    let mut wanted = BTreeMap::new();
    for event in items.iter().filter_map(|item| item.decoded.as_ref().ok()) {
        for key in &event.keys {
            wanted.entry(*key).or_insert((event.digest, event.id));
        }
    }
    if wanted.is_empty() {
        return Ok(Claims { wanted, granted: HashSet::default() });
    }
    let keys: Vec<Uuid> = wanted.keys().map(|key| key.0).collect();
    let digests: Vec<Uuid> = wanted.values().map(|(digest, _)| digest.0).collect();
    let events: Vec<Uuid> = wanted.values().map(|(_, event)| event.0).collect();
    let granted: Vec<GrantedRow> = sql_query(
        "INSERT INTO event_keys (key, digest, event_id) SELECT * FROM unnest($1, $2, $3) \
         ON CONFLICT (key) DO NOTHING RETURNING key",
    )
    .bind::<Array<SqlUuid>, _>(keys)
    .bind::<Array<SqlUuid>, _>(digests)
    .bind::<Array<SqlUuid>, _>(events)
    .load(connection)?;
    Ok(Claims { wanted, granted: granted.iter().map(|row| IdentityKey(row.key)).collect() })
}

/// The identities that others had before.
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
    let rows: Vec<KeyRow> = sql_query("SELECT key, digest, event_id FROM event_keys WHERE key = ANY($1)")
        .bind::<Array<SqlUuid>, _>(taken)
        .load(connection)?;
    if rows.len() != expected {
        // Forgotten between the two statements: the next attempt claims it.
        return Err(DbError::Statement(Error::NotFound).into());
    }
    for row in rows {
        known.keys.insert(IdentityKey(row.key), (Digest(row.digest), EventId(row.event_id)));
    }
    Ok(known)
}

/// Sets right the claims that turned out otherwise: a key whose first event contradicted an
/// earlier one belongs to the next event that has it, or to none.
pub(crate) fn correct(connection: &mut Connection, claims: &Claims, known: &Known) -> Result<(), WriteError> {
    let mut unbound = Vec::new();
    for key in &claims.granted {
        let wanted = claims.wanted.get(key);
        match known.keys.get(key) {
            bound @ Some(_) if bound == wanted => {}
            Some((digest, event)) => {
                sql_query("UPDATE event_keys SET digest = $2, event_id = $3 WHERE key = $1")
                    .bind::<SqlUuid, _>(key.0)
                    .bind::<SqlUuid, _>(digest.0)
                    .bind::<SqlUuid, _>(event.0)
                    .execute(connection)?;
            }
            None => unbound.push(key.0),
        }
    }
    if !unbound.is_empty() {
        sql_query("DELETE FROM event_keys WHERE key = ANY($1)")
            .bind::<Array<SqlUuid>, _>(unbound)
            .execute(connection)?;
    }
    Ok(())
}
