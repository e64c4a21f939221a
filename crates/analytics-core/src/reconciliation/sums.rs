//! The sums of a comparison.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, TimeDelta};

use super::{Amounts, Row, Verdict};
use crate::money::{Currency, Minor};

/// The period of a list: whole business days, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
}

/// The most days from the first to the last of a period.
pub const MOST_DAYS: i64 = 400;

impl Period {
    /// Whether it is longer than a list may be.
    #[must_use]
    pub fn is_too_long(self) -> bool {
        self.to.signed_duration_since(self.from).num_days() > MOST_DAYS
    }

    /// Returns its last days, as many as a period may have.
    fn last_days(self) -> Self {
        let first = self.to.checked_sub_signed(TimeDelta::days(MOST_DAYS)).unwrap_or(self.from);
        Self { from: self.from.max(first), to: self.to }
    }

    /// Returns whether a day is in the period.
    #[must_use]
    pub fn contains(self, day: NaiveDate) -> bool {
        (self.from..=self.to).contains(&day)
    }

    /// Returns the shortest period with this one and a day.
    #[must_use]
    pub fn with(this: Option<Self>, day: NaiveDate) -> Self {
        this.map_or(Self { from: day, to: day }, |this| Self { from: this.from.min(day), to: this.to.max(day) })
    }
}

/// The sum of some rows in one currency, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// The number of rows that have an amount in the currency.
    pub rows: u64,
    /// What the list has.
    pub listed: i128,
    /// What is counted, before anything is taken back.
    pub counted: i128,
    /// What refunds took back of that.
    pub refunded: i128,
    /// What cancellations took back of that.
    pub cancelled: i128,
}

impl Sum {
    /// Returns by how much the list has more than was counted.
    #[must_use]
    pub const fn difference(self) -> i128 {
        self.listed - self.counted
    }
}

/// The sums of all rows.
#[derive(Debug, Clone)]
pub struct Sums {
    /// The period that was given.
    given: Option<Period>,
    /// The days on which orders of the list are counted.
    found: Option<Period>,
    by_verdict: BTreeMap<(Currency, Verdict), Sum>,
    /// By the day of counting, what the lines were compared with.
    compared: BTreeMap<(Currency, NaiveDate), Sum>,
    in_period: BTreeMap<Currency, i128>,
}

impl Sums {
    pub(super) const fn new(given: Option<Period>) -> Self {
        Self { given, found: None, by_verdict: BTreeMap::new(), compared: BTreeMap::new(), in_period: BTreeMap::new() }
    }

    pub(super) fn period(&self) -> Option<Period> {
        match self.given {
            Some(given) => Some(given),
            None => self.found.map(Period::last_days),
        }
    }

    pub(super) fn add(&mut self, row: &Row) {
        // A row of another currency is a row of both.
        let currencies: BTreeSet<Currency> =
            row.listed.iter().map(|(_, currency)| *currency).chain(row.counted.iter().map(|(_, own)| *own)).collect();
        for currency in currencies {
            self.by_verdict.entry((currency, row.verdict)).or_default().rows += 1;
        }
        if let Some((Minor(amount), currency)) = row.listed {
            self.by_verdict.entry((currency, row.verdict)).or_default().listed += i128::from(amount);
        }
        let Some((Amounts { gross, refunded, cancelled }, currency)) = row.counted else { return };
        let sum = self.by_verdict.entry((currency, row.verdict)).or_default();
        sum.counted += i128::from(gross);
        sum.refunded += i128::from(refunded);
        sum.cancelled += i128::from(cancelled);
        if let (Some(day), Some(_)) = (row.counted_day, row.line) {
            let of_day = self.compared.entry((currency, day)).or_default();
            of_day.rows += 1;
            of_day.counted += i128::from(gross);
            self.found = Some(Period::with(self.found, day));
        }
    }

    pub(super) fn counted_in_period(&mut self, currency: Currency, gross: i64) {
        *self.in_period.entry(currency).or_default() += i128::from(gross);
    }

    /// Returns the currencies of all rows, in the order of their codes.
    #[must_use]
    pub fn currencies(&self) -> Vec<Currency> {
        let currencies = self.by_verdict.keys().map(|(currency, _)| *currency).chain(self.in_period.keys().copied());
        currencies.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the sums of a currency, by verdict.
    pub fn by_verdict(&self, of: Currency) -> impl Iterator<Item = (Verdict, Sum)> + '_ {
        let of_currency = self.by_verdict.iter().filter(move |((currency, _), _)| *currency == of);
        of_currency.map(|((_, verdict), sum)| (*verdict, *sum))
    }

    /// Returns what lines were compared with that is counted on a day outside the period: the rows, and by how much
    /// that lowers what the rows come to.
    #[must_use]
    pub fn outside_period(&self, of: Currency) -> Sum {
        let is_outside = |day: NaiveDate| self.period().is_none_or(|period| !period.contains(day));
        let outside = self.compared.iter().filter(|((currency, day), _)| *currency == of && is_outside(*day));
        outside.fold(Sum::default(), |all, (_, sum)| Sum {
            rows: all.rows + sum.rows,
            counted: all.counted - sum.counted,
            ..all
        })
    }

    /// Returns the sum of the list and what was counted in the period, which is read by itself. Its difference is the
    /// sum of the differences of all verdicts and of [`Self::outside_period`].
    #[must_use]
    pub fn total(&self, of: Currency) -> Sum {
        let all = self.by_verdict(of).fold(Sum::default(), |all, (_, sum)| Sum {
            rows: all.rows + sum.rows,
            listed: all.listed + sum.listed,
            counted: all.counted,
            refunded: all.refunded + sum.refunded,
            cancelled: all.cancelled + sum.cancelled,
        });
        Sum { counted: self.in_period.get(&of).copied().unwrap_or(0), ..all }
    }
}
