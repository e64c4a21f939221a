//! What the first page of an explanation was read from, so that the pages after it sum to the same number,
//! whichever server answers them.

use analytics_core::metric_type::Subject;
use diesel::sql_types::{Nullable, Text};
use diesel::{OptionalExtension, QueryableByName, RunQueryDsl, sql_query};

use super::explain::is_rating;
use super::{ReadableMetric, Snapshot};
use crate::{Connection, DbError};

/// What the first page was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The moment.
    pub snapshot: Snapshot,
    /// A text that changes whenever the events behind the metric do.
    pub state: Option<String>,
}

/// How a later page shows the events that the first one was read from.
#[derive(Debug, PartialEq, Eq)]
pub enum Later<'a> {
    /// All that are there.
    All,
    /// Those that could be seen in this snapshot.
    SeenIn(&'a Snapshot),
    /// Not at all: they have changed, and cannot be told from those that came since.
    Changed,
}

impl Basis {
    /// What the current transaction reads from.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn of(connection: &mut Connection, metric: &ReadableMetric) -> Result<Self, DbError> {
        let snapshot = Snapshot::of(connection)?;
        // Ratings have to be counted for it, and an exact snapshot does without.
        let state = match metric.known() {
            Some(known) if is_rating(known) && snapshot.is_exact() => None,
            _ => state(connection, metric)?,
        };
        Ok(Self { snapshot, state })
    }

    /// How the current transaction can show the same events.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn later(&self, connection: &mut Connection, metric: &ReadableMetric) -> Result<Later<'_>, DbError> {
        if self.state.is_some() && state(connection, metric)? == self.state {
            return Ok(Later::All);
        }
        let told = self.snapshot.can_be_seen_in(&Snapshot::of(connection)?);
        Ok(if told { Later::SeenIn(&self.snapshot) } else { Later::Changed })
    }
}

/// What changes with the events behind a metric: its row does, and for a rating also the number of ratings,
/// since one that arrives late takes a place between others and changes no number. `None` for a metric that
/// was never counted.
fn state(connection: &mut Connection, metric: &ReadableMetric) -> Result<Option<String>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        state: String,
    }
    let (product, vendor) = match metric.known().filter(|known| is_rating(known)).map(|known| &known.subject) {
        Some(Subject::Product(id)) => (Some(id.as_str()), None),
        Some(Subject::Vendor(id)) => (None, Some(id.as_str())),
        _ => (None, None),
    };
    let row: Option<Row> = sql_query(include_str!("state_of_metric.sql"))
        .bind::<Text, _>(metric.as_str())
        .bind::<Nullable<Text>, _>(product)
        .bind::<Nullable<Text>, _>(vendor)
        .get_result(connection)
        .optional()?;
    Ok(row.map(|row| row.state))
}
