//! `notifications`: what the webhook is told, and what was delivered.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::locks::Lock;
use crate::read::anomalies::{Anomaly, COLUMNS};
use crate::sql::{row, statement};
use crate::transactions::run;
use crate::{Connection, DbError};

/// What is not delivered after this time is not tried any more.
pub const TRIED_FOR: &str = "14 days";
/// An anomaly that was over when it was found is told if it ended since then.
const ENDED_SINCE: &str = "1 day";

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Anomalies that opened or were resolved.
    Anomalies,
    /// Numbers that differ from the event log, or ranges that differ from what Kafka held.
    Verify,
    /// The week of a seller.
    Week,
}

impl Topic {
    const fn name(self) -> &'static str {
        match self {
            Self::Anomalies => "anomalies",
            Self::Verify => "verify",
            Self::Week => "week",
        }
    }
}

/// What happened to an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It was found, and goes on.
    Opened,
    /// It is over.
    Resolved,
}

impl Turn {
    /// `opened` or `resolved`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Resolved => "resolved",
        }
    }

    /// The anomalies of which it is not told yet.
    fn condition(self) -> String {
        match self {
            Self::Opened => "state = 'open' AND notified IS DISTINCT FROM 'opened'".to_owned(),
            Self::Resolved => format!(
                "state = 'resolved' AND (notified = 'opened' OR (notified IS NULL AND to_time > now() - interval '{ENDED_SINCE}'))"
            ),
        }
    }
}

/// Queues what the webhook is not told yet about anomalies. `body` writes what is told about at most `most` of
/// them at once, those of the marketplace first. Returns how many notifications that makes.
///
/// # Errors
/// [`DbError`]; then nothing is queued.
pub fn queue_anomalies(
    connection: &mut Connection,
    most: usize,
    body: impl Fn(Turn, &[Anomaly]) -> String,
) -> Result<usize, DbError> {
    run(connection, "notify_anomalies", |connection| {
        Lock::Anomalies.take(connection)?;
        let mut queued = 0;
        for turn in [Turn::Opened, Turn::Resolved] {
            let sql = format!(
                "WITH turned AS (UPDATE anomalies SET notified = $1 WHERE {} RETURNING *) \
                 SELECT {COLUMNS} FROM turned ORDER BY vendor_id IS NOT NULL, from_time, type",
                turn.condition()
            );
            let turned: Vec<Anomaly> = statement(sql).value(turn.name()).load(connection)?;
            for anomalies in turned.chunks(most.max(1)) {
                queued += insert(connection, Topic::Anomalies, turn.name(), &body(turn, anomalies))?;
            }
        }
        Ok(queued)
    })
}

/// Queues what verify found, unless that is what the last notification about it says. `state` says in short what
/// is the case now, given what was the case then; it is empty if everything agrees, also if nothing was told before,
/// and `None` if that is not known. What was never delivered and is not tried any more was not told. Returns whether it
/// was queued.
///
/// # Errors
/// [`DbError`].
pub fn queue_verify(
    connection: &mut Connection,
    state: impl Fn(&str) -> Option<String>,
    body: &str,
) -> Result<bool, DbError> {
    row! {
        struct Row {
            state: String,
            given_up: bool,
        }
    }
    run(connection, "notify_verify", |connection| {
        Lock::Notifications.take(connection)?;
        let last: Vec<Row> = statement(format!(
            "SELECT state, delivered_at IS NULL AND queued_at <= now() - interval '{TRIED_FOR}' AS given_up \
             FROM notifications WHERE topic = 'verify' ORDER BY number DESC LIMIT 1"
        ))
        .load(connection)?;
        let (last, given_up) = last.first().map_or(("", false), |row| (row.state.as_str(), row.given_up));
        match state(last).filter(|state| given_up || state != last) {
            Some(state) => Ok::<_, DbError>(insert(connection, Topic::Verify, &state, body)? > 0),
            None => Ok(false),
        }
    })
}

/// Queues the weeks of sellers, each with a name of the seller and the week, if it was not queued before, or was
/// never delivered and is not tried any more.
/// Returns how many were queued.
///
/// # Errors
/// [`DbError`].
pub fn queue_weeks(connection: &mut Connection, weeks: &[(String, String)]) -> Result<usize, DbError> {
    run(connection, "notify_weeks", |connection| {
        let queued = statement(format!(
            "INSERT INTO notifications (topic, state, body) SELECT 'week', w.name, w.body FROM unnest($1, $2) AS w (name, body) \
             ON CONFLICT (state) WHERE topic = 'week' DO UPDATE SET queued_at = now(), body = excluded.body \
             WHERE notifications.delivered_at IS NULL AND notifications.queued_at <= now() - interval '{TRIED_FOR}'"
        ));
        let (names, bodies) =
            (weeks.iter().map(|(name, _)| name.as_str()), weeks.iter().map(|(_, body)| body.as_str()));
        Ok::<_, DbError>(queued.column(names).column(bodies).execute(connection)?)
    })
}

fn insert(connection: &mut Connection, topic: Topic, state: &str, body: &str) -> Result<usize, DbError> {
    let insert = statement("INSERT INTO notifications (topic, state, body) VALUES ($1, $2, $3)");
    Ok(insert.value(topic.name()).value(state).value(body).execute(connection)?)
}

row! {
    /// A notification that is not delivered yet.
    #[derive(Debug, Clone)]
    pub struct Waiting {
        /// Its id, the same in every attempt.
        pub id: Uuid,
        /// Its place in the queue.
        pub number: i64,
        /// The JSON to send.
        pub body: String,
        /// When it was queued.
        pub queued_at: DateTime<Utc>,
    }
}

/// Returns the notifications about `topics` that are not delivered, at most `limit`, in the order in which they
/// were queued, behind the number `after`. Those that waited for too long are left out.
///
/// # Errors
/// [`DbError`].
pub fn waiting(connection: &mut Connection, topics: &[Topic], after: i64, limit: i64) -> Result<Vec<Waiting>, DbError> {
    let sql = format!(
        "SELECT id, number, body, queued_at FROM notifications WHERE delivered_at IS NULL AND topic = ANY ($1) \
         AND number > $2 AND queued_at > now() - interval '{TRIED_FOR}' ORDER BY number LIMIT $3"
    );
    let query = statement(sql).column(topics.iter().map(|topic| topic.name()));
    Ok(query.value(after).value(limit).load(connection)?)
}

/// Returns how many notifications about `topics` [`waiting`] returns without a limit.
///
/// # Errors
/// [`DbError`].
pub fn count_waiting(connection: &mut Connection, topics: &[Topic]) -> Result<i64, DbError> {
    row! {
        struct Row {
            waiting: i64,
        }
    }
    let sql = format!(
        "SELECT count(*) AS waiting FROM notifications WHERE delivered_at IS NULL AND topic = ANY ($1) \
         AND queued_at > now() - interval '{TRIED_FOR}'"
    );
    let row: Row = statement(sql).column(topics.iter().map(|topic| topic.name())).get_result(connection)?;
    Ok(row.waiting)
}

/// Notes that a notification was delivered, or why it was not.
///
/// # Errors
/// [`DbError`].
pub fn record(connection: &mut Connection, id: Uuid, failure: Option<&str>) -> Result<(), DbError> {
    run(connection, "notified", |connection| {
        statement(
            "UPDATE notifications SET attempts = attempts + 1, failure = $2, \
                 delivered_at = CASE WHEN $2 IS NULL THEN now() END \
             WHERE id = $1",
        )
        .value(id)
        .value(failure)
        .execute(connection)?;
        Ok::<_, DbError>(())
    })
}
