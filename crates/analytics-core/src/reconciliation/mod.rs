//! Compares a list of orders, a seller's or the marketplace's own, with what was counted for the seller.
//!
//! Every line gets a [`Verdict`] and every amount that was counted is told of one row only: of the line that it is
//! compared with or, if there is none, of a row of its own. Therefore the [`sums`] of the rows come to the difference
//! between the list and what was counted.

pub mod list;
pub mod sums;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use uuid::Uuid;

use crate::identity::{EventId, order_key};
use crate::maps::{HashMap, HashSet};
use crate::money::{Currency, Minor};
use list::Listed;
use sums::{Period, Sums};

/// What became of a line of the list, or of an order that is in no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is counted as the list has it.
    Counted,
    /// It is counted, and refunds took something back. The list has the amount before or after that.
    Refunded,
    /// It is counted, and cancellations took back as much as refunds or more. The same.
    Cancelled,
    /// It is counted on another day.
    OtherDay,
    /// It is counted with another amount.
    OtherAmount,
    /// It is counted in another currency.
    OtherCurrency,
    /// It is counted, for other sellers only. Told to the marketplace alone.
    OtherSeller,
    /// It is counted, and the sellers of its lines are not known. Told to the marketplace alone.
    Unattributed,
    /// It is logged, and counts once it is paid.
    AwaitingPayment,
    /// Its record was rejected, and is a dead letter.
    DeadLetter,
    /// An earlier line has the same order in the same currency; or all that was counted of the order stands in other
    /// lines.
    Duplicate,
    /// No record of it was counted or rejected.
    NeverSeen,
    /// It is counted in the list's period, and stands in no line.
    NotListed,
}

impl Verdict {
    /// Returns the name of the verdict in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Refunded => "refunded",
            Self::Cancelled => "cancelled",
            Self::OtherDay => "other_day",
            Self::OtherAmount => "other_amount",
            Self::OtherCurrency => "other_currency",
            Self::OtherSeller => "other_seller",
            Self::Unattributed => "unattributed",
            Self::AwaitingPayment => "awaiting_payment",
            Self::DeadLetter => "dead_letter",
            Self::Duplicate => "duplicate",
            Self::NeverSeen => "never_seen",
            Self::NotListed => "not_listed",
        }
    }
}

/// What was counted for the seller of one order in one currency, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Revenue, before anything is taken back.
    pub gross: i64,
    /// What refunds took back of it, whenever that was.
    pub refunded: i64,
    /// What cancellations took back of it, whenever that was.
    pub cancelled: i64,
}

/// An order that was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its event.
    pub event: EventId,
    /// The business day on which it is counted.
    pub day: NaiveDate,
    /// The number of the batch that counted it, if that is still known.
    pub number: Option<i64>,
    /// What is counted for the seller, by currency; empty if it has no line of the order.
    pub amounts: BTreeMap<Currency, Amounts>,
    /// The other sellers that have lines of it.
    pub others: Vec<String>,
}

/// What is known of the order of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It was counted.
    Order(Order),
    /// It was logged, and counts once it is paid.
    Unpaid {
        /// Its event.
        event: EventId,
        /// Whether the seller has a line of it.
        is_of_seller: bool,
    },
    /// Its record was rejected.
    Rejected {
        /// The code of the reason.
        reason: String,
        /// A sentence that names the field. It may quote the record.
        detail: String,
    },
    /// Nothing.
    Nothing,
}

impl Found {
    /// Whether it is an order of which the seller has a line.
    #[must_use]
    pub fn is_of_seller(&self) -> bool {
        match self {
            Self::Order(order) => !order.amounts.is_empty(),
            Self::Unpaid { is_of_seller, .. } => *is_of_seller,
            Self::Rejected { .. } | Self::Nothing => false,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The marketplace, which is told everything.
    Marketplace,
    /// The seller, which is told neither of orders of other sellers nor what records say: a rejected one may be of
    /// another seller.
    Seller,
}

/// A row of the answer: a line of the list, or what was counted and stands in no line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line of the list.
    pub line: Option<u64>,
    /// The order's id; `None` if its record does not show it.
    pub order: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// What the list has.
    pub listed: Option<(Minor, Currency)>,
    /// The day in the list.
    pub listed_day: Option<NaiveDate>,
    /// What is counted. In an `OtherCurrency` row the currency is not that of the list.
    pub counted: Option<(Amounts, Currency)>,
    /// The business day on which it is counted.
    pub counted_day: Option<NaiveDate>,
    /// The number of the batch that counted it.
    pub number: Option<i64>,
    /// Its event.
    pub event: Option<EventId>,
    /// More about the verdict: the earlier line, the other sellers, or why the record was rejected.
    pub detail: String,
}

/// Gives verdicts, and adds them up. Lines are to be judged in the order of the list, and what was counted in the
/// period after them.
pub struct Judge {
    asker: Asker,
    /// The first line of each order and currency.
    first: HashMap<(Uuid, Currency), u64>,
    /// What is told of a row already.
    told: HashSet<(EventId, Currency)>,
    sums: Sums,
}

impl Judge {
    /// Creates a judge of a list.
    #[must_use]
    pub fn new(list: &[Listed], asker: Asker, period: Option<Period>) -> Self {
        let mut first = HashMap::default();
        for listed in list {
            first.entry((identity(listed), listed.currency)).or_insert(listed.line);
        }
        Self { asker, first, told: HashSet::default(), sums: Sums::new(period) }
    }

    /// Judges a line.
    pub fn judge(&mut self, listed: &Listed, found: &Found) -> Row {
        let row = self.verdict(listed, found);
        self.sums.add(&row);
        row
    }

    fn verdict(&mut self, listed: &Listed, found: &Found) -> Row {
        let row = |verdict, detail: String| Row {
            line: Some(listed.line),
            order: Some(listed.order.as_str().to_owned()),
            verdict,
            listed: Some((listed.amount, listed.currency)),
            listed_day: listed.day,
            counted: None,
            counted_day: None,
            number: None,
            event: None,
            detail,
        };
        match self.first.get(&(identity(listed), listed.currency)) {
            Some(first) if *first != listed.line => return row(Verdict::Duplicate, format!("of line {first}")),
            _ => {}
        }
        match (found, self.asker) {
            (Found::Order(order), _) if !order.amounts.is_empty() => {
                let Some((currency, amounts)) = self.take(listed, order) else {
                    return row(Verdict::Duplicate, "all that was counted of the order stands in other lines".into());
                };
                let verdict = if currency == listed.currency {
                    compared(listed, amounts, order.day)
                } else {
                    Verdict::OtherCurrency
                };
                Row {
                    counted: Some((amounts, currency)),
                    counted_day: Some(order.day),
                    number: order.number,
                    event: Some(order.event),
                    ..row(verdict, String::new())
                }
            }
            (Found::Order(order), Asker::Marketplace) => {
                let verdict = if order.others.is_empty() { Verdict::Unattributed } else { Verdict::OtherSeller };
                Row {
                    counted_day: Some(order.day),
                    number: order.number,
                    event: Some(order.event),
                    ..row(verdict, order.others.join(" "))
                }
            }
            (Found::Unpaid { event, .. }, Asker::Marketplace) | (Found::Unpaid { event, is_of_seller: true }, _) => {
                Row { event: Some(*event), ..row(Verdict::AwaitingPayment, String::new()) }
            }
            (Found::Rejected { reason, detail }, Asker::Marketplace) => {
                row(Verdict::DeadLetter, format!("{reason}: {detail}"))
            }
            (Found::Rejected { reason, .. }, Asker::Seller) => row(Verdict::DeadLetter, reason.clone()),
            (Found::Order(_) | Found::Unpaid { .. }, Asker::Seller) | (Found::Nothing, _) => {
                row(Verdict::NeverSeen, String::new())
            }
        }
    }

    /// Takes the amount with which a line is to be compared, so that no other row tells of it: that in the line's
    /// currency or else one that no line of the list names. `None` if there is no such.
    fn take(&mut self, listed: &Listed, order: &Order) -> Option<(Currency, Amounts)> {
        let id = identity(listed);
        let is_left = |currency: &Currency| !self.told.contains(&(order.event, *currency));
        let own = order.amounts.get_key_value(&listed.currency).filter(|(currency, _)| is_left(currency));
        let mut others = order.amounts.iter().filter(|(currency, _)| !self.first.contains_key(&(id, **currency)));
        let (currency, amounts) = own.or_else(|| others.find(|(currency, _)| is_left(currency)))?;
        self.told.insert((order.event, *currency));
        Some((*currency, *amounts))
    }

    /// Notes an amount that was counted in the period. Returns whether it stands in no line: then it is to be told by
    /// [`Self::not_listed`].
    pub fn counted_in_period(&mut self, event: EventId, currency: Currency, gross: i64) -> bool {
        self.sums.counted_in_period(currency, gross);
        !self.told.contains(&(event, currency))
    }

    /// Makes the row of what stands in no line.
    pub fn not_listed(&mut self, unlisted: Unlisted) -> Row {
        let Unlisted { order, event, day, number, counted } = unlisted;
        let row = Row {
            line: None,
            order,
            verdict: Verdict::NotListed,
            listed: None,
            listed_day: None,
            counted: Some(counted),
            counted_day: Some(day),
            number,
            event: Some(event),
            detail: String::new(),
        };
        self.sums.add(&row);
        row
    }

    /// Returns the period. Without one that was given, it is from the first to the last day on which an order of the
    /// lines so far is counted.
    #[must_use]
    pub fn period(&self) -> Option<Period> {
        self.sums.period()
    }

    /// Returns the sums of the rows.
    #[must_use]
    pub const fn sums(&self) -> &Sums {
        &self.sums
    }
}

/// What was counted in the period and stands in no line.
#[derive(Debug, Clone)]
pub struct Unlisted {
    /// The order's id, if its record shows it.
    pub order: Option<String>,
    /// Its event.
    pub event: EventId,
    /// The business day on which it is counted.
    pub day: NaiveDate,
    /// The number of the batch that counted it, if that is still known.
    pub number: Option<i64>,
    /// What is counted.
    pub counted: (Amounts, Currency),
}

/// Compares a line with what was counted in its currency.
fn compared(listed: &Listed, amounts: Amounts, day: NaiveDate) -> Verdict {
    let Amounts { gross, refunded, cancelled } = amounts;
    let back = refunded.saturating_add(cancelled);
    let Minor(amount) = listed.amount;
    if amount != gross && amount != gross.saturating_sub(back) {
        Verdict::OtherAmount
    } else if back != 0 && cancelled >= refunded {
        Verdict::Cancelled
    } else if back != 0 {
        Verdict::Refunded
    } else if listed.day.is_some_and(|listed| listed != day) {
        Verdict::OtherDay
    } else {
        Verdict::Counted
    }
}

/// Lines with the same identity are about the same order.
fn identity(listed: &Listed) -> Uuid {
    order_key(&listed.order, None).0
}

/// Returns an amount in minor units as a decimal number of the currency: `12.50`.
#[must_use]
pub fn major(minor: i128, currency: Currency) -> String {
    let digits = usize::try_from(currency.minor_digits()).unwrap_or(0);
    let written = format!("{:0width$}", minor.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = written.split_at(written.len().saturating_sub(digits));
    let sign = if minor < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests;
