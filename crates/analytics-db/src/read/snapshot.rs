//! What a reader saw first, so that further pages show neither more nor less than the first one did.

use std::collections::HashSet;
use std::str::FromStr;

use chrono::{DateTime, Duration, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use uuid::Uuid;

use crate::{Connection, DbError};

/// No transaction takes as long as this. What was logged earlier than this before a snapshot, and
/// can be read now, could be read then. (32 bits of a transaction's id tell recent ones apart.)
const LONGEST_TRANSACTION: Duration = Duration::hours(1);

/// What follows a snapshot that was taken on a replica.
const REPLICA: &str = "r";

/// The moment of a read, and which transactions were over then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// All transactions before this one were over.
    first_running: u64,
    /// This one and all after it had not begun.
    next: u64,
    /// Those between that were running.
    running: Vec<u64>,
    /// Whether that is known: a replica does not tell which transactions are running on its primary.
    exact: bool,
}

impl Snapshot {
    /// The snapshot of the current transaction.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn of(connection: &mut Connection) -> Result<Self, DbError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            snapshot: String,
            #[diesel(sql_type = Timestamptz)]
            at: DateTime<Utc>,
            #[diesel(sql_type = Bool)]
            replica: bool,
        }
        let row: Row =
            sql_query("SELECT pg_current_snapshot()::text AS snapshot, now() AS at, pg_is_in_recovery() AS replica")
                .get_result(connection)?;
        let replica = if row.replica { REPLICA } else { "" };
        format!("{}@{}{replica}", row.snapshot, row.at.timestamp_micros())
            .parse()
            .map_err(|()| DbError::Unusable(format!("the database's snapshot cannot be read: {}", row.snapshot)))
    }

    /// Whether it is known which transactions were running: not on a replica.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.exact
    }

    /// Whether what could be seen then can be told from the rest by this later snapshot: the earlier one is
    /// exact, and of what it saw nothing is missing here, as it is on a replica that has not followed yet.
    #[must_use]
    pub fn can_be_seen_in(&self, later: &Self) -> bool {
        self.exact && (later.exact || later.first_running >= self.next)
    }

    /// Which of these events were logged by transactions that were not over then.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn unseen(&self, connection: &mut Connection, ids: &[Uuid]) -> Result<HashSet<Uuid>, DbError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = SqlUuid)]
            id: Uuid,
            #[diesel(sql_type = BigInt)]
            transaction: i64,
        }
        let rows: Vec<Row> = sql_query(
            "SELECT id, xmin::text::bigint AS transaction FROM event_logs WHERE id = ANY($1) AND ingested_at > $2",
        )
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Timestamptz, _>(self.at - LONGEST_TRANSACTION)
        .load(connection)?;
        Ok(rows.into_iter().filter(|row| !self.saw(row.transaction.unsigned_abs())).map(|row| row.id).collect())
    }

    /// Whether a recent transaction, of whose id the lower 32 bits are given, was over.
    fn saw(&self, low: u64) -> bool {
        const CYCLE: u64 = 1 << 32;
        let nearest = (self.next & !(CYCLE - 1)) | low;
        let transaction = if nearest > self.next + CYCLE / 2 {
            nearest.saturating_sub(CYCLE)
        } else if nearest + CYCLE / 2 < self.next {
            nearest + CYCLE
        } else {
            nearest
        };
        transaction < self.first_running || (transaction < self.next && !self.running.contains(&transaction))
    }
}

impl std::fmt::Display for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let running: Vec<String> = self.running.iter().map(u64::to_string).collect();
        let (running, at) = (running.join(","), self.at.timestamp_micros());
        write!(f, "{}:{}:{running}@{at}{}", self.first_running, self.next, if self.exact { "" } else { REPLICA })
    }
}

impl FromStr for Snapshot {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (text, exact) = text.strip_suffix(REPLICA).map_or((text, true), |text| (text, false));
        let (transactions, at) = text.split_once('@').ok_or(())?;
        let mut parts = transactions.split(':');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).filter(|n| *n < 1 << 63).ok_or(());
        let (first_running, next) = (number()?, number()?);
        let running = parts.next().ok_or(())?.split(',').filter(|id| !id.is_empty());
        let running = running.map(|id| id.parse().map_err(drop)).collect::<Result<_, _>>()?;
        let at = at.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or(())?;
        let in_range = (0..253_402_300_800).contains(&DateTime::timestamp(&at));
        if in_range { Ok(Self { at, first_running, next, running, exact }) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Snapshot;

    #[test]
    fn transactions_are_seen_if_they_were_over() {
        let snapshot: Snapshot = "10:20:12,15@1793491200000000".parse().unwrap();
        for (transaction, seen) in
            [(9, true), (10, true), (12, false), (13, true), (15, false), (20, false), (21, false)]
        {
            assert_eq!(snapshot.saw(transaction), seen, "{transaction}");
        }
        assert_eq!(snapshot.to_string().parse(), Ok(snapshot));
    }

    #[test]
    fn a_snapshot_can_be_told_where_all_that_it_saw_is_there() {
        for (first, later, can) in [
            ("10:20:12@0", "10:20:12@1", true),
            ("10:20:12@0", "15:25:@1", true),
            ("10:20:12@0", "20:20:@1r", true),
            ("10:20:12@0", "25:30:@1r", true),
            ("10:20:12@0", "19:30:@1r", false),
            ("10:20:@0r", "25:30:@1", false),
            ("10:20:@0r", "25:30:@1r", false),
        ] {
            let snapshot = |text: &str| text.parse::<Snapshot>().unwrap();
            assert_eq!(snapshot(first).can_be_seen_in(&snapshot(later)), can, "{first} {later}");
            assert_eq!(snapshot(first).to_string(), first);
        }
    }

    #[test]
    fn ids_of_transactions_go_round() {
        const CYCLE: u64 = 1 << 32;
        let snapshot: Snapshot = format!("{0}:{0}:@0", 3 * CYCLE + 5).parse().unwrap();
        assert!(snapshot.saw(CYCLE - 1), "the end of the last round");
        assert!(snapshot.saw(4));
        assert!(!snapshot.saw(5) && !snapshot.saw(100));
        let snapshot: Snapshot = format!("{0}:{0}:@0", 4 * CYCLE - 5).parse().unwrap();
        assert!(!snapshot.saw(3), "the beginning of the next round");
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for text in ["", "1:2@0", "1:2:", "1:2:x@0", "-1:2:@0", "1:2:@999999999999999999", "18446744073709551615:1:@0"]
        {
            assert!(text.parse::<Snapshot>().is_err(), "{text}");
        }
    }
}
