//! Adds up the events of a seller's month, one after the other, in memory that does not grow with them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Days, Digest, Figures, PastRange};
use crate::money::Currency;

/// What a seller's events of a month add up to.
///
/// Events are given by day; of each day first the lines of orders, then what was taken back, then what was changed by
/// hand, each in the order of the ids of their events.
#[derive(Debug, Clone, Default)]
pub struct Account {
    currencies: BTreeMap<Currency, Days>,
    /// Adjustments of refunds, by currency and day. In [`Figures`] they are a part of the adjustments.
    refunds_adjusted: BTreeMap<(Currency, NaiveDate), i64>,
    /// Orders of any currency: one with lines in two currencies is counted once.
    orders: BTreeMap<NaiveDate, i64>,
    /// The last order, and the last one of each currency.
    last: Option<Uuid>,
    last_of: BTreeMap<Currency, Uuid>,
    events: Sha256,
}

/// What an adjustment changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The number of orders.
    Orders,
    /// The number of units.
    Units,
    /// Revenue.
    Revenue,
    /// Refunds.
    Refunds,
}

/// What a day came to, as the metrics count it: adjustments are a part of the number that they adjust, and orders and
/// units are those of all currencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparable {
    /// Orders by day.
    pub orders: BTreeMap<NaiveDate, i64>,
    /// Units by day.
    pub units: BTreeMap<NaiveDate, i64>,
    /// Revenue by currency and day.
    pub revenue: BTreeMap<(Currency, NaiveDate), i64>,
    /// Refunds by currency and day.
    pub refunds: BTreeMap<(Currency, NaiveDate), i64>,
}

impl Account {
    /// Adds a line of an order.
    ///
    /// # Errors
    /// [`PastRange`].
    pub fn sold(
        &mut self,
        day: NaiveDate,
        (order, line): (Uuid, i32),
        currency: Currency,
        units: i64,
        amount: i64,
    ) -> Result<(), PastRange> {
        self.events.update(format!("{order},order,{line},{currency},{units},{amount}\n"));
        let is_new = self.last_of.insert(currency, order) != Some(order);
        if self.last.replace(order) != Some(order) {
            add(self.orders.entry(day).or_default(), 1)?;
        }
        let figures = self.on(currency, day);
        add(&mut figures.orders, i64::from(is_new))?;
        add(&mut figures.units, units)?;
        add(&mut figures.gross, amount)
    }

    /// Adds what a cancellation or a refund took back of a line of an order.
    ///
    /// # Errors
    /// [`PastRange`].
    pub fn refunded(
        &mut self,
        day: NaiveDate,
        (event, line): (Uuid, i32),
        currency: Currency,
        amount: i64,
    ) -> Result<(), PastRange> {
        self.events.update(format!("{event},refund,{line},{currency},{amount}\n"));
        add(&mut self.on(currency, day).refunds, amount)
    }

    /// Adds what was changed by hand. Orders and units are changed in the base currency.
    ///
    /// # Errors
    /// [`PastRange`].
    pub fn adjusted(
        &mut self,
        day: NaiveDate,
        event: Uuid,
        column: Column,
        currency: Currency,
        delta: i64,
    ) -> Result<(), PastRange> {
        let name = match column {
            Column::Orders => "orders",
            Column::Units => "units",
            Column::Revenue => "revenue",
            Column::Refunds => "refunds",
        };
        self.events.update(format!("{event},adjustment,{name},{currency},{delta}\n"));
        let figures = self.on(currency, day);
        match column {
            Column::Orders => {
                add(&mut figures.orders, delta)?;
                add(self.orders.entry(day).or_default(), delta)
            }
            Column::Units => add(&mut figures.units, delta),
            Column::Revenue => add(&mut figures.adjustments, delta),
            Column::Refunds => {
                add(&mut figures.adjustments, delta.checked_neg().ok_or(PastRange)?)?;
                add(self.refunds_adjusted.entry((currency, day)).or_default(), delta)
            }
        }
    }

    fn on(&mut self, currency: Currency, day: NaiveDate) -> &mut Figures {
        self.currencies.entry(currency).or_default().entry(day).or_default()
    }

    /// Returns the numbers by currency.
    #[must_use]
    pub const fn currencies(&self) -> &BTreeMap<Currency, Days> {
        &self.currencies
    }

    /// Returns the SHA-256 digest of one line for each of what was added, in the order in which it was added:
    /// `<event>,order,<line>,<currency>,<units>,<amount>`, `<event>,refund,<line>,<currency>,<amount>` or
    /// `<event>,adjustment,<column>,<currency>,<delta>`, each followed by a line feed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(self.events.clone().finalize().into())
    }

    /// Returns the number of orders: one with lines in two currencies is counted once.
    ///
    /// # Errors
    /// [`PastRange`].
    pub fn orders(&self) -> Result<i64, PastRange> {
        let mut orders = 0;
        self.orders.values().try_for_each(|number| add(&mut orders, *number))?;
        Ok(orders)
    }

    /// Returns the numbers as the metrics count them. What is 0 is left out.
    ///
    /// # Errors
    /// [`PastRange`].
    pub fn comparable(&self) -> Result<Comparable, PastRange> {
        let mut comparable = Comparable { orders: self.orders.clone(), ..Comparable::default() };
        for (currency, days) in &self.currencies {
            for (day, figures) in days {
                let adjusted = self.refunds_adjusted.get(&(*currency, *day)).copied().unwrap_or(0);
                let mut revenue = figures.gross;
                add(&mut revenue, figures.adjustments)?;
                add(&mut revenue, adjusted)?;
                let mut refunds = figures.refunds;
                add(&mut refunds, adjusted)?;
                add(comparable.units.entry(*day).or_default(), figures.units)?;
                comparable.revenue.insert((*currency, *day), revenue);
                comparable.refunds.insert((*currency, *day), refunds);
            }
        }
        comparable.forget_zeros();
        Ok(comparable)
    }
}

impl Comparable {
    /// Leaves out what is 0: nothing that was counted and a counted zero are the same to a statement.
    pub fn forget_zeros(&mut self) {
        self.orders.retain(|_, number| *number != 0);
        self.units.retain(|_, number| *number != 0);
        self.revenue.retain(|_, amount| *amount != 0);
        self.refunds.retain(|_, amount| *amount != 0);
    }
}

fn add(sum: &mut i64, amount: i64) -> Result<(), PastRange> {
    *sum = sum.checked_add(amount).ok_or(PastRange)?;
    Ok(())
}
