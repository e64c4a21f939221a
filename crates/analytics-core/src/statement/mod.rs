//! What a month came to for a seller: a document that is sealed and never changed.
//!
//! An `account` collects what events add up to and becomes a [`Statement`]. `written` writes it as CSV, which is what
//! is digested, signed and stored: its JSON and its page are made of what `read` reads back. [`check`]
//! needs nothing but the text, so that anybody can check a statement.

mod account;
mod cell;
mod rates;
mod read;
mod signature;
mod written;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::ids::VendorId;
use crate::money::Currency;
use crate::month::Month;

pub use account::{Account, Column, Comparable};
pub use rates::Rates;
pub use read::{Checked, Wrong, check};
pub use signature::{InvalidSigningKey, PublicKey, SigningKey};
pub use written::{CannotSeal, Sealed};

/// A SHA-256 digest. Written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a month came to for a seller, as of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The seller.
    pub vendor: VendorId,
    /// The month.
    pub month: Month,
    /// From 1. A later version restates the month, because something arrived late.
    pub version: u32,
    /// The IANA timezone of the days.
    pub timezone: String,
    /// When it was made, in whole seconds.
    pub closed_at: DateTime<Utc>,
    /// The number of the last batch that it includes.
    pub as_of: i64,
    /// The version of the rules of counting.
    pub rules_version: i16,
    /// The number of the last batch that the proof includes on which it relies; `None` without a proof.
    pub proved_as_of: Option<i64>,
    /// How many dead letters of the month were open. They may be orders that are not counted.
    pub open_dead_letters: i64,
    /// Why the month was not proved, or which records are missing: one sentence each.
    pub gaps: Vec<String>,
    /// The key that signs it; `None` if it is not signed.
    pub key: Option<PublicKey>,
    /// The digest of the seller's statement that was closed before.
    pub previous: Option<Digest>,
    /// The digest of the ids and amounts of the events that it is made of: see [`Account::digest`].
    pub events: Digest,
    /// The numbers, by currency.
    pub currencies: BTreeMap<Currency, Days>,
    /// Conversion and ratings; `None` if it was made before statements had them, in the first form of the CSV.
    pub rates: Option<Rates>,
    /// What it restates; `None` for version 1.
    pub restatement: Option<Restatement>,
}

/// The days on which something was counted.
pub type Days = BTreeMap<NaiveDate, Figures>;

/// The numbers of a day, or their sums. Amounts are in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Orders with something in the currency.
    pub orders: i64,
    /// Units sold.
    pub units: i64,
    /// What was sold, before refunds.
    pub gross: i64,
    /// What cancellations and refunds of this day took back, of orders of any day.
    pub refunds: i64,
    /// What was changed by hand, of revenue less refunds.
    pub adjustments: i64,
}

/// A sum is past the range of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sum is past the range of 64 bits")]
pub struct PastRange;

impl Figures {
    /// Returns what is left: gross less refunds, with adjustments.
    ///
    /// # Errors
    /// [`PastRange`].
    pub fn net(self) -> Result<i64, PastRange> {
        let net = self.gross.checked_sub(self.refunds).and_then(|net| net.checked_add(self.adjustments));
        net.ok_or(PastRange)
    }

    fn plus(self, other: Self) -> Result<Self, PastRange> {
        let add = |a: i64, b: i64| a.checked_add(b).ok_or(PastRange);
        Ok(Self {
            orders: add(self.orders, other.orders)?,
            units: add(self.units, other.units)?,
            gross: add(self.gross, other.gross)?,
            refunds: add(self.refunds, other.refunds)?,
            adjustments: add(self.adjustments, other.adjustments)?,
        })
    }

    /// Returns the sums of days.
    ///
    /// # Errors
    /// [`PastRange`].
    pub fn sum<'a>(days: impl IntoIterator<Item = &'a Self>) -> Result<Self, PastRange> {
        days.into_iter().try_fold(Self::default(), |sum, day| sum.plus(*day))
    }
}

/// What a later version restates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restatement {
    /// The version before.
    pub of: u32,
    /// The events that arrived since, in the order of their ids. Their deltas, in each currency, are the difference
    /// between the two versions.
    pub late: Vec<Late>,
}

/// An event that arrived after the version before was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The event; `None` for what no event explains: a vendor that was attributed afterwards, or a number that was
    /// corrected.
    pub event: Option<Uuid>,
    /// The type of the event, or `correction`.
    pub event_type: String,
    /// When it happened, in milliseconds of UTC.
    pub occurred_at: DateTime<Utc>,
    /// The currency.
    pub currency: Currency,
    /// What it changes of net, in minor units.
    pub delta: i64,
}

/// The type of a [`Late`] that is no event.
pub const CORRECTION: &str = "correction";

#[cfg(test)]
mod tests;
