//! The one transaction: what a batch of records changes, all of it or nothing.
//!
//! The order of the statements is the design's: identities first, then what may run beside
//! other writers (COPY), then the counting lock and what is counted under it, offsets first.
//! That the offsets move in the same transaction, and only from where this writer believes them
//! to be, is what makes every record count once.

pub mod adjustment;
mod batch;
mod dead_letters;
pub(crate) mod event_days;
mod event_log;
pub(crate) mod fence;
pub mod frozen;
mod keys;
pub(crate) mod metrics;
#[cfg(feature = "mutants")]
mod mutant;
mod product_vendors;
pub(crate) mod ratings;
pub mod reattribution;
pub mod refusal;
pub mod replay;
pub(crate) mod rollups;
mod rows;

use std::collections::BTreeMap;

use analytics_core::attribution::ProductVendors;
use analytics_core::business::Business;
use analytics_core::dedupe::Verdict;
use analytics_core::deltas::Deltas;
use analytics_core::event::Event;
use analytics_core::identity::{EventId, record_id};
use analytics_core::maps::HashSet;
use analytics_core::record::{Record, TopicPartition};
use analytics_core::rejection::{Reason, Rejection};
use analytics_core::rules;
use analytics_core::time::EventTime;
use diesel::Connection as _;
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};
use uuid::Uuid;

pub use batch::{Batch, Item, Keeping, Span, cut};

use crate::{Connection, DbError};

/// Whether the batch's events may be in the log already, under ids that are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reread {
    /// They are new unless their keys say otherwise: the offsets fence keeps it so.
    Unlikely,
    /// Offsets were set back, or another group read the same: look every id up.
    Possible,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Events logged, by type.
    pub events: BTreeMap<String, u64>,
    /// Records that repeated an event.
    pub duplicates: u64,
    /// Of those, events that were found in the log by their id alone.
    pub reread: u64,
    /// Dead letters, by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// Of those, records that were not kept because there was no room for more.
    pub overflowed: u64,
}

impl Written {
    fn count(&mut self, event_type: &str) {
        match self.events.get_mut(event_type) {
            Some(events) => *events += 1,
            None => drop(self.events.insert(event_type.to_owned(), 1)),
        }
    }
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is counted, as this event.
    Counted(EventId),
    /// It repeats an event that was counted before.
    Duplicate(EventId),
    /// It cannot be counted.
    Rejected(Rejection),
}

impl Outcome {
    /// As traces and answers name it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Counted(_) => "counted",
            Self::Duplicate(_) => "duplicate",
            Self::Rejected(_) => "rejected",
        }
    }

    /// The event that it is counted as.
    #[must_use]
    pub const fn event(&self) -> Option<Uuid> {
        match self {
            Self::Counted(event) | Self::Duplicate(event) => Some(event.0),
            Self::Rejected(_) => None,
        }
    }

    /// Why it cannot be counted.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Rejected(Rejection { reason, detail, .. }) => Some(format!("{reason}: {detail}")),
            Self::Counted(_) | Self::Duplicate(_) => None,
        }
    }
}

/// Why a batch was not written. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else moved an offset of the batch: drop it and start from what is stored.
    #[error("another worker owns a partition of the batch, or its offset was set")]
    Fenced,
    /// An event's id is in the log already: write again with [`Reread::Possible`].
    #[error("events of the batch are in the log already")]
    AlreadyLogged,
    /// Others were counting all the time: write again.
    #[error("other writers were counting all the time")]
    Busy,
    /// A sum does not fit PostgreSQL's `bigint`: some record of the batch is refused.
    #[error("a sum is past the limits of bigint")]
    Refused,
    /// The database failed: try again.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        match error {
            // Not an index that an operator added: that is theirs to take away.
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
                if info.table_name().is_some_and(|table| table.starts_with("event_logs"))
                    && info.constraint_name().is_some_and(|name| name.ends_with("_pkey")) =>
            {
                Self::AlreadyLogged
            }
            error => Self::Database(error.into()),
        }
    }
}

/// How long a lock is waited for that somebody else has: longer than anybody needs it who is well.
const LOCK_TIMEOUT: &str = "5s";

/// How long a statement may take, in seconds. A batch that needs longer has to be smaller.
pub const STATEMENT_SECONDS: u64 = 60;

/// A transaction with limits that let no frozen worker block the others, set for the one transaction only so that
/// they hold through a pooler too.
pub(crate) fn limited<T, E: From<Error> + From<DbError>>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    connection.transaction(|connection| {
        limit(connection)?;
        work(connection)
    })
}

fn limit(connection: &mut Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute(&format!(
        "SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'; \
         SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL client_connection_check_interval = '5s'"
    ))?)
}

/// Checks that a table took every row that it was given: a trigger or a rule that an operator added can drop
/// some without a word.
fn all_taken(table: &str, rows: usize, given: usize) -> Result<(), WriteError> {
    if rows == given {
        return Ok(());
    }
    let why = format!("{table} took {rows} of {given} rows: a trigger that is not this service's drops some");
    Err(DbError::Unusable(why).into())
}

/// Counts a batch. On success everything in it is committed, on any error nothing is; after a
/// lost answer to COMMIT the next attempt is [`WriteError::Fenced`], and the stored offset says
/// what was kept.
///
/// # Errors
/// [`WriteError`], by what to do next.
pub fn write(
    connection: &mut Connection,
    batch: &mut Batch,
    business: Business,
    reread: Reread,
) -> Result<Written, WriteError> {
    #[cfg(feature = "mutants")]
    mutant::move_offsets_before_data(connection, batch)?;
    limited(connection, |connection| {
        let refused_before = refused_before(connection, batch)?;
        let judged = judge(connection, &mut batch.items, reread)?;
        let counting = log(connection, judged.events, business)?;
        let mut written = judged.written;

        fence::lock_counting(connection)?;
        fence::move_offsets(connection, &batch.consumer_group, &batch.spans, &judged.tallies)?;
        // Here, where nobody else is, because what room there is for them is one row for all.
        written.overflowed = dead_letters::insert(connection, &judged.rejected, &batch.keeping)?;
        counting.add(connection)?;
        settle_reread(connection, &refused_before, &judged.outcomes)?;
        Ok(written)
    })
}

/// Records of the batch that were refused when they were read before, and can be decoded now: a
/// time that lay ahead has come, a limit was raised. Their places tell whether a replay counted
/// them meanwhile.
fn refused_before(connection: &mut Connection, batch: &mut Batch) -> Result<Vec<(usize, Uuid)>, WriteError> {
    let letters = dead_letters::of_spans(connection, &batch.spans)?;
    let mut before = Vec::new();
    if letters.is_empty() {
        return Ok(before);
    }
    for (number, item) in batch.items.iter_mut().enumerate() {
        let (id, place) = (record_id(&item.record.place), &item.record.place);
        if let (Ok(event), true) = (&mut item.decoded, letters.contains(&id)) {
            event.identify_by_place(place);
            before.push((number, id.0));
        }
    }
    Ok(before)
}

/// Closes the dead letters of records that could be counted now that they were read again.
fn settle_reread(
    connection: &mut Connection,
    refused_before: &[(usize, Uuid)],
    outcomes: &[Outcome],
) -> Result<(), WriteError> {
    let action = |(number, letter): &(usize, Uuid)| {
        let outcome = outcomes.get(*number).filter(|outcome| outcome.event().is_some())?;
        Some(dead_letters::Action { letter: *letter, action: "reread", actor: "ingest", outcome, corrected: None })
    };
    dead_letters::settle(connection, &refused_before.iter().filter_map(action).collect::<Vec<_>>())
}

/// What is to be added once the counting lock is held.
struct Counting {
    vendors: ProductVendors,
    deltas: Deltas,
}

/// Decides and logs events: the part that may run beside other writers.
fn log(connection: &mut Connection, mut events: Vec<&mut Event>, business: Business) -> Result<Counting, WriteError> {
    let mut vendors = product_vendors::load(connection, &events)?;
    let mut deltas = Deltas::default();
    for event in &mut events {
        vendors.attribute(event);
        rules::count(event, business, &mut deltas);
    }
    event_log::copy(connection, &events)?;
    Ok(Counting { vendors, deltas })
}

impl Counting {
    /// Adds what the events come to; the caller holds the counting lock.
    fn add(&self, connection: &mut Connection) -> Result<(), WriteError> {
        let Self { vendors, deltas } = self;
        product_vendors::store(connection, vendors)?;
        ratings::settle(connection, &deltas.ratings)?;
        metrics::add(connection, deltas)?;
        rollups::add(connection, &deltas.rollups)?;
        event_days::add(connection, &deltas.events)
    }
}

/// A batch after its identities were looked up.
struct Judged<'a> {
    events: Vec<&'a mut Event>,
    rejected: Vec<(&'a Record, Rejection)>,
    tallies: BTreeMap<TopicPartition, Tally>,
    written: Written,
    /// What became of each item.
    outcomes: Vec<Outcome>,
}

/// What became of the records of one partition.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    events: i64,
    duplicates: i64,
    rejected: i64,
    last_event: Option<EventTime>,
}

/// Looks every identity up and sorts the batch into events to count, repetitions and rejections.
fn judge<'a>(connection: &mut Connection, items: &'a mut [Item], reread: Reread) -> Result<Judged<'a>, WriteError> {
    let claims = keys::claim(connection, items)?;
    let mut known = keys::known(connection, &claims)?;
    if reread == Reread::Possible {
        known.ids = event_log::logged(connection, items)?;
    }
    let logged_before: HashSet<_> = known.ids.clone();
    let mut judged = Judged {
        events: Vec::with_capacity(items.len()),
        rejected: Vec::new(),
        tallies: BTreeMap::new(),
        written: Written::default(),
        outcomes: Vec::with_capacity(items.len()),
    };
    for item in items {
        let tally = judged.tallies.entry(item.record.place.partition.clone()).or_default();
        let written = &mut judged.written;
        let judgement = match &mut item.decoded {
            Ok(event) => match known.judge(event) {
                Verdict::Conflict(rejection) => Err(rejection),
                verdict => Ok((event, verdict)),
            },
            Err(rejection) => Err(rejection.clone()),
        };
        match judgement {
            Ok((event, Verdict::New)) => {
                tally.events += 1;
                tally.last_event = tally.last_event.max(Some(event.time));
                written.count(event.event_type.name());
                judged.outcomes.push(Outcome::Counted(event.id));
                judged.events.push(event);
            }
            Ok((event, _)) => {
                tally.duplicates += 1;
                written.duplicates += 1;
                written.reread += u64::from(logged_before.contains(&event.id));
                judged.outcomes.push(Outcome::Duplicate(event.id));
            }
            Err(rejection) => {
                tally.rejected += 1;
                *written.rejected.entry(rejection.reason).or_default() += 1;
                judged.outcomes.push(Outcome::Rejected(rejection.clone()));
                judged.rejected.push((&item.record, rejection));
            }
        }
    }
    keys::correct(connection, &claims, &known)?;
    Ok(judged)
}
