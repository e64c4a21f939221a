//! What is done with dead letters besides replaying them: discarding, and forgetting old ones.

use diesel::sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use uuid::Uuid;

use crate::{Connection, DbError};

/// Discards open dead letters: their bytes go, a trace of who did it stays. Returns the ids of those
/// that were discarded.
///
/// # Errors
/// [`DbError`].
pub fn discard(connection: &mut Connection, ids: &[Uuid], actor: &str) -> Result<Vec<Uuid>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        dead_letter_id: Uuid,
    }
    let rows: Vec<Row> = sql_query(
        "WITH gone AS (
             UPDATE dead_letters SET state = 'discarded', payload = NULL, key = NULL
             WHERE id = ANY($1) AND state = 'open' RETURNING id
         )
         INSERT INTO dead_letter_actions (dead_letter_id, action, actor, result)
         SELECT id, 'discard', $2, 'discarded' FROM gone RETURNING dead_letter_id",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Text, _>(actor.replace('\0', "\u{FFFD}"))
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.dead_letter_id).collect())
}

/// Records that were refused while there was no room to keep their letters.
#[derive(Debug, QueryableByName)]
pub struct NotKept {
    /// The topic.
    #[diesel(sql_type = Text)]
    pub topic: String,
    /// The partition.
    #[diesel(sql_type = Integer)]
    pub partition: i32,
    /// The code of the reason.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// The first of their offsets.
    #[diesel(sql_type = BigInt)]
    pub first_offset: i64,
    /// The last.
    #[diesel(sql_type = BigInt)]
    pub last_offset: i64,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub letters: i64,
}

/// What was refused and not kept, by partition and reason.
///
/// # Errors
/// [`DbError`].
pub fn not_kept(connection: &mut Connection) -> Result<Vec<NotKept>, DbError> {
    Ok(sql_query(
        "SELECT topic, partition, reason, min(first_offset) AS first_offset, max(last_offset) AS last_offset, \
         sum(letters)::bigint AS letters FROM dead_letter_overflow GROUP BY topic, partition, reason \
         ORDER BY topic, partition, reason",
    )
    .load(connection)?)
}

/// Forgets dead letters that were refused more than `days` ago, at most `limit` at once; of those whose
/// events were counted less than `dedupe_days` ago only the contents, so that their records are
/// recognised if they are read again. Returns how many were forgotten.
///
/// # Errors
/// [`DbError`].
pub fn forget(connection: &mut Connection, days: u32, dedupe_days: u32, limit: i64) -> Result<usize, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        letters: i64,
    }
    let row: Row = sql_query(include_str!("sql/forget_dead_letters.sql"))
        .bind::<BigInt, _>(i64::from(days))
        .bind::<BigInt, _>(i64::from(dedupe_days))
        .bind::<BigInt, _>(limit)
        .get_result(connection)?;
    Ok(usize::try_from(row.letters).unwrap_or(0))
}
