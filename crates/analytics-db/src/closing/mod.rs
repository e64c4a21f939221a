//! Closes months: makes the statements of sellers from the event log, and seals them.
//!
//! `terms` says whether a month can be closed. `contributions` reads from the log what events add to sellers' months;
//! `numbers` reads what the metrics say. `sealing` compares the two and stores the statements, with the conversion and
//! the ratings that `rates` reads. A run of all sellers reads the log once, as of the batch at which it began: each day
//! in a snapshot of its own, so that none lasts long.
//! Sellers whose numbers have changed since, and those that have a statement of the month already that is not what the
//! log says now, are read again, some at a time, each time in one snapshot.

mod contributions;
mod numbers;
mod rates;
mod sealing;
mod seen;
mod terms;

use std::time::Instant;

use analytics_core::business::Business;
use analytics_core::ids::VendorId;
use analytics_core::maps::HashMap;
use analytics_core::month::Month;
use analytics_core::statement::{Account, CannotSeal, PastRange, SigningKey};

use crate::connection::long_snapshot;
use crate::resting::rest;
use crate::tables::batches::AsOf;
use crate::tables::statements;
use crate::transactions::Failure;
use crate::{Connection, DbError};

pub use terms::{NotYet, Terms, terms};

use rates::Received;
use sealing::{Left, Sealing};
use seen::Closing;

/// Number of sellers whose statements are stored in one transaction.
const PIECE: usize = 100;
/// Number of sellers that are read again at once. Each time reads the month once, so it is all of a large marketplace.
const AGAIN: usize = 5_000;
/// How many late events are held in memory at once, about 150 MB with their lines: see [`Order::late_at_once`].
pub const LATE_AT_ONCE: usize = 500_000;

/// What is to be closed.
#[derive(Debug)]
pub struct Order<'a> {
    /// The business.
    pub business: Business,
    /// The month.
    pub month: Month,
    /// The seller; `None` for all.
    pub vendor: Option<VendorId>,
    /// On what terms.
    pub terms: Terms,
    /// The key that signs.
    pub key: &'a SigningKey,
    /// Sellers with more late events than this are read again in parts, each of which reads the month.
    pub late_at_once: usize,
}

/// What a run did: numbers of sellers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Closed {
    /// Those that got their first statement of the month.
    pub closed: usize,
    /// Those that got a later version.
    pub restated: usize,
    /// Those whose last statement still holds.
    pub unchanged: usize,
}

impl Closed {
    const fn plus(self, other: Self) -> Self {
        Self {
            closed: self.closed + other.closed,
            restated: self.restated + other.restated,
            unchanged: self.unchanged + other.unchanged,
        }
    }
}

/// Why statements were not closed. Those that were stored before stay, and another run continues.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A statement cannot be written or signed.
    #[error("a statement cannot be sealed: {0}")]
    Seal(#[from] CannotSeal),
    /// Vendors were stored for logged events since the run began.
    #[error("vendors were stored for logged events while months were closed; run this again")]
    Changed,
    /// The metrics are not what the log comes to.
    #[error(
        "the numbers of {} sellers are not what their events come to, the first is {first:?}: run `analytics-jobs verify --full`, \
         then `analytics-jobs rebuild`; the statements of all others are closed", .count
    )]
    Differs {
        /// How many sellers.
        count: usize,
        /// One of them.
        first: String,
    },
    /// Statements that were closed before are damaged, or of a form that this program does not read.
    #[error(
        "the last statements of {} sellers cannot be read, the first is that of {first:?}: run `analytics-jobs verify --full`; \
         the statements of all others are closed", .count
    )]
    Unreadable {
        /// How many sellers.
        count: usize,
        /// One of them.
        first: String,
    },
    /// The process was asked to stop.
    #[error("stopped; run this again, and it continues")]
    Stopped,
}

impl From<diesel::result::Error> for CloseError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<PastRange> for CloseError {
    fn from(error: PastRange) -> Self {
        Self::Seal(error.into())
    }
}

impl Failure for CloseError {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

/// Fails once the process was asked to stop. Called between statements, so that what was begun is rolled back.
type Check<'a> = &'a dyn Fn() -> Result<(), CloseError>;

/// What sellers' events add up to, by their ids.
type Accounts = HashMap<String, Account>;

/// Closes a month. Safe to repeat, and to run several times at once: a statement is stored once.
///
/// # Errors
/// [`CloseError`].
pub fn close(connection: &mut Connection, order: &Order<'_>, wanted: &dyn Fn() -> bool) -> Result<Closed, CloseError> {
    let check = || if wanted() { Ok(()) } else { Err(CloseError::Stopped) };
    let (mut done, mut again, mut left) = (Closed::default(), Vec::new(), Left::default());
    let mut whole = None;
    match &order.vendor {
        Some(vendor) => again.push(vendor.as_str().to_owned()),
        None => {
            check()?;
            let began = Instant::now();
            let (closing, mut received) = long_snapshot(connection, |connection| {
                let closing = Closing::begin_in(connection, order.month)?;
                Ok::<_, CloseError>((closing, Received::views(connection, order, None)?))
            })?;
            rest(connection, began.elapsed(), check)?;
            let mut accounts = read(connection, order, &closing, &mut received, &check)?;
            // Also those without events: what is stated or counted of them must be nothing.
            for vendor in statements::vendors(connection, order.month)? {
                accounts.entry(vendor).or_default();
            }
            for vendor in numbers::vendors(connection, order.business, order.month)? {
                accounts.entry(vendor).or_default();
            }
            let mut accounts: Vec<(String, Account)> = accounts.into_iter().collect();
            accounts.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            for piece in accounts.chunks(PIECE) {
                check()?;
                let began = Instant::now();
                let (closed, moved) =
                    Sealing { order, closing: &closing, received: &received }.seal(connection, piece)?;
                done = done.plus(closed);
                again.extend(moved);
                rest(connection, began.elapsed(), check)?;
            }
            whole = Some(closing);
        }
    }
    let mut parts: Vec<&[String]> = again.chunks(AGAIN).rev().collect();
    while let Some(vendors) = parts.pop() {
        check()?;
        let Some((closed, of_these)) = sealing::again(connection, order, vendors, &check)? else {
            let (first, second) = vendors.split_at(vendors.len() / 2);
            parts.extend([second, first]);
            continue;
        };
        done = done.plus(closed);
        left.differ.extend(of_these.differ);
        left.unreadable.extend(of_these.unreadable);
    }
    if let Some(first) = left.differ.first() {
        return Err(CloseError::Differs { count: left.differ.len(), first: first.clone() });
    }
    if let Some(first) = left.unreadable.first() {
        return Err(CloseError::Unreadable { count: left.unreadable.len(), first: first.clone() });
    }
    if let Some(closing) = whole {
        closing.finish(connection)?;
    }
    Ok(done)
}

/// Reads all sellers' events of the month, and their ratings, as of the batch at which a closing began: a day at a time.
fn read(
    connection: &mut Connection,
    order: &Order<'_>,
    closing: &Closing,
    received: &mut Received,
    check: Check<'_>,
) -> Result<Accounts, CloseError> {
    let as_of = |connection: &mut Connection| AsOf::at(connection, closing.as_of)?.map_err(|_| CloseError::Changed);
    let mut accounts = Accounts::default();
    for day in order.month.ranges(order.business.calendar) {
        check()?;
        let began = Instant::now();
        long_snapshot(connection, |connection| {
            let as_of = as_of(connection)?;
            Ok::<_, CloseError>(received.add_ratings(connection, &as_of, &day, None)?)
        })?;
        rest(connection, began.elapsed(), check)?;
    }
    for day in order.month.days() {
        check()?;
        let began = Instant::now();
        long_snapshot(connection, |connection| {
            let as_of = as_of(connection)?;
            contributions::of_day(connection, order.business, day, None, &mut |contribution| {
                if as_of.sees(contribution.batch) {
                    contribution.add_to(&mut accounts)?;
                }
                Ok(())
            })
        })?;
        rest(connection, began.elapsed(), check)?;
    }
    Ok(accounts)
}
