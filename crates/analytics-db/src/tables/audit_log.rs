//! `audit_log`: who changed what by hand, and when.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::storable;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// The kind of an administrative write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A metric was set.
    Adjust,
    /// Dead letters were decoded and counted again.
    Replay,
    /// Dead letters were closed without counting them.
    Discard,
    /// The offset at which counting of a partition continues was set.
    SetOffset,
    /// The stored offsets of a topic were removed.
    ForgetOffsets,
    /// Differences between what was counted and what Kafka held were accepted.
    AcceptDifferences,
    /// Numbers that differed from the event log were corrected.
    Rebuild,
    /// Events without a vendor were attributed to the vendor that is known now.
    Reattribute,
    /// An index by a field of the payload was requested.
    CreateIndex,
    /// The same was dropped.
    DropIndex,
    /// An anomaly was acknowledged.
    AcknowledgeAnomaly,
    /// The schema was created or upgraded.
    Migrate,
}

impl Action {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Adjust,
        Self::Replay,
        Self::Discard,
        Self::SetOffset,
        Self::ForgetOffsets,
        Self::AcceptDifferences,
        Self::Rebuild,
        Self::Reattribute,
        Self::CreateIndex,
        Self::DropIndex,
        Self::AcknowledgeAnomaly,
        Self::Migrate,
    ];

    /// Returns the name in `audit_log.action`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adjust => "metric.adjust",
            Self::Replay => "dead_letters.replay",
            Self::Discard => "dead_letters.discard",
            Self::SetOffset => "offsets.set",
            Self::ForgetOffsets => "offsets.forget",
            Self::AcceptDifferences => "offsets.accept",
            Self::Rebuild => "numbers.rebuild",
            Self::Reattribute => "numbers.reattribute",
            Self::CreateIndex => "metadata_index.create",
            Self::DropIndex => "metadata_index.drop",
            Self::AcknowledgeAnomaly => "anomalies.acknowledge",
            Self::Migrate => "schema.migrate",
        }
    }

    /// Returns the kind with this name.
    ///
    /// # Errors
    /// A message that lists the valid names.
    pub fn named(name: &str) -> Result<Self, String> {
        let action = Self::ALL.into_iter().find(|action| action.name() == name);
        action.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// An administrative write, to be recorded in its own transaction.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who does it.
    pub actor: String,
    /// What is done.
    pub action: Action,
    /// What is changed, such as a metric type or a partition.
    pub subject: String,
    /// More about it: a JSON object.
    pub detail: Value,
}

/// Records a write. Also logs it: a line in the log of a process without a row in the table is a
/// write that was rolled back, or lost in a failover.
pub(crate) fn record(connection: &mut Connection, entry: &Entry) -> Result<(), DbError> {
    let Entry { actor, action, subject, detail } = entry;
    log::info!("audit: {actor:?} {} {subject:?}", action.name());
    statement("INSERT INTO audit_log (actor, action, subject, detail) VALUES ($1, $2, $3, $4)")
        .value(storable(actor))
        .value(action.name())
        .value(storable(subject))
        .value(detail)
        .execute(connection)?;
    Ok(())
}

row! {
    /// An administrative write that was recorded.
    #[derive(Debug)]
    pub struct Recorded {
        /// Ascends in about the order of the writes.
        pub id: i64,
        /// When its transaction began.
        pub acted_at: DateTime<Utc>,
        /// Who did it.
        pub actor: String,
        /// What was done: the name of an [`Action`], also one of a newer version.
        pub action: String,
        /// What was changed.
        pub subject: String,
        /// More about it.
        pub detail: Value,
    }
}

/// Conditions that recorded writes must meet.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Done by this actor.
    pub actor: Option<String>,
    /// Of this kind.
    pub action: Option<Action>,
    /// Done at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Done before this time.
    pub to: Option<DateTime<Utc>>,
}

/// Returns at most `limit` writes, newest first, starting after the one with the id `before`.
///
/// # Errors
/// [`DbError`].
pub fn newest(
    connection: &mut Connection,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Recorded>, DbError> {
    Ok(statement(
        "SELECT id, acted_at, actor, action, subject, detail FROM audit_log \
         WHERE ($1 IS NULL OR actor = $1) AND ($2 IS NULL OR action = $2) AND ($3 IS NULL OR acted_at >= $3) \
             AND ($4 IS NULL OR acted_at < $4) AND ($5 IS NULL OR id < $5) ORDER BY id DESC LIMIT $6",
    )
    .value(&filter.actor)
    .value(filter.action.map(Action::name))
    .value(filter.from)
    .value(filter.to)
    .value(before)
    .value(limit)
    .load(connection)?)
}
