//! Reversals: what cancellations and refunds take back of their order.
//!
//! What the reversals of an order come to is a function of the set of them, whatever their order of arrival: they
//! are taken in the order in which they happened, and each takes at most what is left of each line.

mod stored;

use std::collections::BTreeMap;

use crate::event::{Line, Part, Vendor};
use crate::identity::{EventId, Fingerprint, IdentityKey};
use crate::ids::{ProductId, VendorId};
use crate::money::{Amount, Currency, MAX_LINE_MINOR, Quantity};
use crate::time::EventTime;

/// The most items of one reversal.
pub const MOST_ITEMS: usize = 1_000;

/// How often the reversals of one order may look at its lines. What comes after that takes nothing, so that no order
/// keeps all others from being counted: ten thousand lines, a hundred reversals of fifty items.
const MOST_STEPS: usize = 50_000_000;

/// A cancellation or a refund of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reversal {
    /// The natural identity of the order.
    pub order: IdentityKey,
    /// The event of the order, once it is known.
    pub order_event: Option<EventId>,
    /// What it says.
    pub claim: Claim,
    /// What that came to. Empty until the order is counted. For what was booked later than the rest, only the
    /// difference to that.
    pub entries: Vec<Entry>,
}

/// What a reversal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The whole order is cancelled.
    Cancelled,
    /// Some items are cancelled.
    CancelledItems(Vec<Item>),
    /// Something is given back for some items.
    RefundedItems(Vec<Item>),
    /// An amount is given back for the order, whatever its lines.
    Refunded(Told),
}

/// An item of a reversal. It is about the order's lines of this product and vendor; of any, if it names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The product, if one is named.
    pub product: Option<ProductId>,
    /// The vendor, if one is named.
    pub vendor: Option<VendorId>,
    /// How many units; `None` if that is not said.
    pub quantity: Option<Quantity>,
    /// The amount; `None` if that is not said: then the units' share.
    pub amount: Option<Told>,
}

/// An amount as it was told. Without a currency it is in that of the lines that it is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The amount.
    pub amount: Amount,
    /// Its currency.
    pub currency: Option<Currency>,
}

/// What a reversal came to, for one line of its order or for the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line, from 1, with its product and its vendor; `None` for what concerns no line.
    pub line: Option<(i32, Part)>,
    /// The currency; `None` where there is no amount.
    pub currency: Option<Currency>,
    /// What it took.
    pub took: Took,
}

/// What was taken back. Each can be negative in a difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// Units of the line.
    pub units: i64,
    /// Of the line's amount, in minor units.
    pub amount: i64,
    /// What was said beyond what was left, in minor units.
    pub excess: i64,
    /// 1 if it cancels the order as a whole.
    pub cancelled: i64,
}

/// A reversal at its place in time.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// When it happened.
    pub time: EventTime,
    /// Its event, which orders those of the same time.
    pub event: EventId,
    /// What it says.
    pub claim: &'a Claim,
}

impl Took {
    const fn is_nothing(self) -> bool {
        self.units == 0 && self.amount == 0 && self.excess == 0 && self.cancelled == 0
    }

    /// Returns what is missing from `booked`.
    #[must_use]
    pub const fn minus(self, booked: Self) -> Self {
        Self {
            units: self.units - booked.units,
            amount: self.amount - booked.amount,
            excess: self.excess - booked.excess,
            cancelled: self.cancelled - booked.cancelled,
        }
    }
}

/// Decides what the reversals of an order come to: for each, in the order in which they happened, its event and
/// what it took.
#[must_use]
pub fn decide(lines: &[Line], reversals: &[Placed<'_>]) -> Vec<(EventId, Vec<Entry>)> {
    let mut reversals: Vec<_> = reversals.to_vec();
    reversals.sort_unstable_by_key(|placed| (placed.time, placed.event));
    let mut rest = Rest::of(lines);
    reversals.iter().map(|placed| (placed.event, rest.take(placed.claim))).collect()
}

/// What is left of a line.
struct Left<'a> {
    number: i32,
    line: &'a Line,
    amount: i64,
    units: i64,
    took: Took,
}

/// What is left of an order.
struct Rest<'a> {
    lines: Vec<Left<'a>>,
    /// Whether the order is cancelled as a whole.
    is_cancelled: bool,
    /// How many more steps may be taken.
    steps: usize,
}

impl<'a> Rest<'a> {
    fn of(lines: &'a [Line]) -> Self {
        let left = |(number, line): (i32, &'a Line)| Left {
            number,
            line,
            amount: line.sale.amount.0,
            units: line.sale.quantity.units().into(),
            took: Took::default(),
        };
        Self { lines: (1..).zip(lines).map(left).collect(), is_cancelled: false, steps: MOST_STEPS }
    }

    fn take(&mut self, claim: &Claim) -> Vec<Entry> {
        let (mut excess, mut cancelled) = (Vec::new(), 0);
        let items = match claim {
            Claim::Cancelled | Claim::Refunded(_) => 1,
            Claim::CancelledItems(items) | Claim::RefundedItems(items) => items.len(),
        };
        let Some(steps) = self.steps.checked_sub(items.saturating_mul(self.lines.len())) else {
            excess.extend(self.all_of(claim));
            return self.entries(excess, cancelled);
        };
        self.steps = steps;
        match claim {
            Claim::Cancelled => {
                self.lines.iter_mut().for_each(Left::take_all);
                // Its identity may have been forgotten when it was said again.
                cancelled = i64::from(!self.is_cancelled);
                self.is_cancelled = true;
            }
            Claim::CancelledItems(items) => items.iter().for_each(|item| match item.quantity {
                Some(quantity) => drop(self.take_units(item, quantity)),
                None => self.lines.iter_mut().filter(|left| left.is_of(item)).for_each(Left::take_all),
            }),
            Claim::RefundedItems(items) => items.iter().for_each(|item| match item.amount {
                Some(told) => excess.extend(self.take_amount(item, told)),
                None => excess.extend(self.take_units(item, item.quantity.unwrap_or(Quantity::ONE))),
            }),
            Claim::Refunded(told) => excess.extend(self.split(*told)),
        }
        self.entries(excess, cancelled)
    }

    /// Returns what a claim tells, all of which is too much.
    fn all_of(&self, claim: &Claim) -> Vec<(Currency, i64)> {
        let told: Vec<Told> = match claim {
            Claim::Cancelled | Claim::CancelledItems(_) => Vec::new(),
            Claim::RefundedItems(items) => items.iter().filter_map(|item| item.amount).collect(),
            Claim::Refunded(told) => vec![*told],
        };
        let minor = |told: Told| {
            let currency = told.currency.or_else(|| self.fallback())?;
            Some((currency, told.minor(currency)))
        };
        told.into_iter().filter_map(minor).collect()
    }

    /// Takes the share of some units, of the earliest lines first, and returns what of it was too much. Units that are
    /// not left are worth what those of the earliest line were.
    fn take_units(&mut self, item: &Item, quantity: Quantity) -> Vec<(Currency, i64)> {
        let mut units = i64::from(quantity.units());
        let mut excess = Vec::new();
        // Lines without units are taken as a whole, unless others have some.
        let has_units = |left: &Left<'_>| left.line.sale.quantity.units() > 0;
        let some_have = self.lines.iter().any(|left| left.is_of(item) && has_units(left));
        for left in self.lines.iter_mut().filter(|left| left.is_of(item) && has_units(left) == some_have) {
            if units == 0 {
                break;
            }
            let of_line = units.min(left.units);
            let too_much = left.take_share(of_line);
            excess.push((left.currency(), too_much));
            units -= of_line;
        }
        let earliest =
            self.lines.iter().filter(|left| left.is_of(item)).find_map(|left| Some((left, left.share(units)?)));
        excess.extend(earliest.map(|(left, share)| (left.currency(), share)));
        excess
    }

    /// Takes an amount, of the earliest lines first, and returns what was too much.
    fn take_amount(&mut self, item: &Item, told: Told) -> Option<(Currency, i64)> {
        let of_item = |left: &&mut Left<'_>| left.is_of(item);
        let currency = told.currency.or_else(|| self.lines.iter().find(|left| left.is_of(item)).map(Left::currency));
        let currency = currency.or_else(|| self.fallback())?;
        let (mut amount, mut units) = (told.minor(currency), item.quantity.map_or(0, |units| units.units().into()));
        for left in self.lines.iter_mut().filter(of_item).filter(|left| left.currency() == currency) {
            if amount == 0 && units == 0 {
                break;
            }
            let (of_line, units_of_line) = (amount.min(left.amount), units.min(left.units));
            left.take(of_line, units_of_line);
            (amount, units) = (amount - of_line, units - units_of_line);
        }
        Some((currency, amount))
    }

    /// Splits an amount over all lines in its currency, in proportion to what is left of them: first rounded
    /// down, then one minor unit more for those with the largest remainders, of equal ones the earliest. Returns
    /// what was too much.
    fn split(&mut self, told: Told) -> Option<(Currency, i64)> {
        let currency = told.currency.or_else(|| self.fallback())?;
        let amount = told.minor(currency);
        let mut lines: Vec<_> = self.lines.iter_mut().filter(|left| left.currency() == currency).collect();
        let whole: i128 = lines.iter().map(|left| i128::from(left.amount)).sum();
        let taken = i128::from(amount).min(whole);
        if taken > 0 {
            let share = |left: &Left<'_>| {
                let product = i128::from(left.amount) * taken;
                (product / whole, product % whole)
            };
            let mut rest = taken;
            let mut shares: Vec<(usize, i128, i128)> = Vec::with_capacity(lines.len());
            for (place, left) in lines.iter().enumerate() {
                let (down, remainder) = share(left);
                rest -= down;
                shares.push((place, down, remainder));
            }
            shares.sort_unstable_by_key(|(place, _, remainder)| (std::cmp::Reverse(*remainder), *place));
            for (place, down, _) in shares {
                let more = i128::from(rest > 0);
                rest -= more;
                if let Some(left) = lines.get_mut(place) {
                    left.take(i64::try_from(down + more).unwrap_or(left.amount), 0);
                }
            }
        }
        let excess = i64::try_from(i128::from(amount) - taken).unwrap_or_default();
        Some((currency, excess))
    }

    /// Returns the currency of an amount that names none and is about no line: that of the order's first line.
    fn fallback(&self) -> Option<Currency> {
        self.lines.first().map(Left::currency)
    }

    /// Returns what was taken since the last call.
    fn entries(&mut self, excess: Vec<(Currency, i64)>, cancelled: i64) -> Vec<Entry> {
        let of_line = |left: &mut Left<'_>| {
            let took = std::mem::take(&mut left.took);
            let entry =
                Entry { line: Some((left.number, left.line.part.clone())), currency: Some(left.currency()), took };
            (!took.is_nothing()).then_some(entry)
        };
        let mut entries: Vec<Entry> = self.lines.iter_mut().filter_map(of_line).collect();
        if cancelled > 0 {
            entries.push(Entry { line: None, currency: None, took: Took { cancelled, ..Took::default() } });
        }
        let mut by_currency: BTreeMap<Currency, i64> = BTreeMap::new();
        for (currency, excess) in excess {
            let sum = by_currency.entry(currency).or_default();
            *sum = sum.saturating_add(excess);
        }
        let of_order = |(currency, excess)| {
            let took = Took { excess, ..Took::default() };
            (!took.is_nothing()).then_some(Entry { line: None, currency: Some(currency), took })
        };
        entries.extend(by_currency.into_iter().filter_map(of_order));
        entries
    }
}

impl Left<'_> {
    const fn currency(&self) -> Currency {
        self.line.sale.currency
    }

    fn is_of(&self, item: &Item) -> bool {
        let Part { product, vendor } = &self.line.part;
        // A line whose vendor nobody knows is found by its product alone.
        let is_unknown = *vendor == Vendor::Unknown && item.product.is_some();
        item.product.as_ref().is_none_or(|wanted| product.as_ref() == Some(wanted))
            && item.vendor.as_ref().is_none_or(|wanted| is_unknown || vendor.id() == Some(wanted))
    }

    const fn take(&mut self, amount: i64, units: i64) {
        self.amount -= amount;
        self.units -= units;
        self.took.amount += amount;
        self.took.units += units;
    }

    const fn take_all(&mut self) {
        self.take(self.amount, self.units);
    }

    /// Takes units and their share of the line's amount, as far as it is left, and returns what is not left of it. The
    /// shares of all units are the whole amount, however they are divided.
    fn take_share(&mut self, units: i64) -> i64 {
        let before = i64::from(self.line.sale.quantity.units()) - self.units;
        let (Some(shares_before), Some(shares)) = (self.share(before), self.share(before + units)) else {
            self.take_all();
            return 0;
        };
        let share = shares - shares_before;
        let taken = share.clamp(0, self.amount);
        self.take(taken, units);
        share - taken
    }

    /// Returns what some units of the line are worth, rounded half up, in minor units, at most 10^12; `None` if the line
    /// has no units.
    fn share(&self, units: i64) -> Option<i64> {
        let of_line = i128::from(self.line.sale.quantity.units());
        let product = 2 * i128::from(self.line.sale.amount.0) * i128::from(units) + of_line;
        let share = product.checked_div(2 * of_line)?;
        Some(i64::try_from(share).unwrap_or(MAX_LINE_MINOR).min(MAX_LINE_MINOR))
    }
}

impl Told {
    /// Returns the amount in minor units, at most 10^12.
    fn minor(self, currency: Currency) -> i64 {
        self.amount.times(Quantity::ONE, currency).map_or(MAX_LINE_MINOR, |minor| minor.0)
    }
}

impl Reversal {
    /// Whether it cancels the whole order.
    #[must_use]
    pub const fn is_whole_cancellation(&self) -> bool {
        matches!(self.claim, Claim::Cancelled)
    }

    /// Adds what it says to a hash. What it came to is not part of it: that changes with other reversals.
    pub(crate) fn fingerprint(&self, common: Fingerprint) -> Fingerprint {
        common.text(&self.order.0.to_string()).text(&self.claim.to_json())
    }
}

#[cfg(test)]
mod tests;
