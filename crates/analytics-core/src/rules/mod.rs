//! The rules of counting: what an event adds to which measure.
//!
//! A rule counts one measure from the events of one family, either for each part of an event or
//! once for the event. The catalogue determines the scopes and metrics that this adds to. A rule
//! set that has been released is never changed: to count differently, add another set to
//! `VERSIONS`. The rules version is the position of the set in that list, from 1.

pub mod ratings;

use crate::business::Business;
use crate::catalogue::{Measure, ScopeKind};
use crate::deltas::Deltas;
use crate::event::{Content, Event, Part, Sale};
use crate::family::Family;
use crate::money::Currency;
use crate::reversal::Entry;
use crate::rollup::{Moment, Scope};
use crate::topics::EventType;

/// The rules of version 1.
const RULES_1: &[Rule] = &[
    Rule { family: Family::ProductViewed, measure: Measure::Views, amount: Amount::Once },
    Rule { family: Family::UserRegistered, measure: Measure::Signups, amount: Amount::Once },
    Rule { family: Family::OrderCreated, measure: Measure::Orders, amount: Amount::Once },
    Rule {
        family: Family::OrderCreated,
        measure: Measure::Units,
        amount: Amount::OfSale(|sale| sale.quantity.units().into()),
    },
    Rule { family: Family::OrderCreated, measure: Measure::Revenue, amount: Amount::OfSale(|sale| sale.amount.0) },
];

/// What version 2 adds: what reversals take back.
const REVERSALS: &[Rule] = &[
    Rule { family: Family::OrderCancelled, measure: Measure::Refunds, amount: REFUNDED },
    Rule { family: Family::OrderCancelled, measure: Measure::RefundedUnits, amount: REFUNDED_UNITS },
    Rule { family: Family::OrderCancelled, measure: Measure::CancelledOrders, amount: CANCELLED },
    Rule { family: Family::OrderStatusUpdated, measure: Measure::Refunds, amount: REFUNDED },
    Rule { family: Family::OrderStatusUpdated, measure: Measure::RefundedUnits, amount: REFUNDED_UNITS },
    Rule { family: Family::OrderStatusUpdated, measure: Measure::CancelledOrders, amount: CANCELLED },
    Rule { family: Family::OrderRefunded, measure: Measure::Refunds, amount: REFUNDED },
    Rule { family: Family::OrderRefunded, measure: Measure::RefundedUnits, amount: REFUNDED_UNITS },
    Rule { family: Family::OrderRefunded, measure: Measure::ExcessRefunds, amount: EXCESS },
];

const REFUNDED: Amount = Amount::OfEntry(|entry| entry.line.as_ref().map(|_| entry.took.amount));
const REFUNDED_UNITS: Amount = Amount::OfEntry(|entry| entry.line.as_ref().map(|_| entry.took.units));
const CANCELLED: Amount = Amount::OfEntry(|entry| Some(entry.took.cancelled).filter(|cancelled| *cancelled != 0));
const EXCESS: Amount = Amount::OfEntry(|entry| Some(entry.took.excess).filter(|excess| *excess != 0));

/// A rule set: the rules of all its parts.
type RuleSet = &'static [&'static [Rule]];

/// All rule sets, the oldest first.
const VERSIONS: [RuleSet; 2] = [&[RULES_1], &[RULES_1, REVERSALS]];

/// The rules that count new events.
const LATEST: RuleSet = {
    let [.., latest] = VERSIONS;
    latest
};

/// The version of the latest rules, which is stored with each event that they decide.
pub const VERSION: i16 = {
    let (mut version, mut versions) = (0, VERSIONS.as_slice());
    while let [_, later @ ..] = versions {
        (version, versions) = (version + 1, later);
    }
    version
};

/// What is counted from the events of a family.
struct Rule {
    family: Family,
    measure: Measure,
    amount: Amount,
}

/// How much a rule counts.
enum Amount {
    /// 1 for the event, in the total and in every scope that one of its parts belongs to.
    Once,
    /// The given amount of each line; money in the line's currency.
    OfSale(fn(&Sale) -> i64),
    /// The given amount of each entry of a reversal; money in the entry's currency.
    OfEntry(fn(&Entry) -> Option<i64>),
}

/// The event was decided by rules that this version of the program does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event was counted by rules version {0}, but this program supports only versions up to {VERSION}: \
     use a newer version of the program"
)]
pub struct UnknownRules(pub i16);

/// Counts one decided event by the latest rules.
pub fn count(event: &Event, business: Business, deltas: &mut Deltas) {
    apply(LATEST, event, business, deltas);
}

/// Counts what was booked for a reversal, apart from the event, which was counted when it was logged.
pub fn book(event: &Event, business: Business, deltas: &mut Deltas) {
    let moment = deltas.moment(event.time, business.calendar);
    measure(LATEST, event, business, &moment, deltas);
}

/// Counts a logged event again, by the rules that decided it.
///
/// # Errors
/// [`UnknownRules`] if this program does not have that version.
pub fn recount(version: i16, event: &Event, business: Business, deltas: &mut Deltas) -> Result<(), UnknownRules> {
    apply(rules_of(version)?, event, business, deltas);
    Ok(())
}

/// Counts an order that was logged unpaid and is paid now, by the rules that decided it. That it was logged is counted
/// already.
///
/// # Errors
/// [`UnknownRules`] if this program does not have that version.
pub fn count_paid(version: i16, order: &Event, business: Business, deltas: &mut Deltas) -> Result<(), UnknownRules> {
    let moment = deltas.moment(order.time, business.calendar);
    measure(rules_of(version)?, order, business, &moment, deltas);
    Ok(())
}

fn rules_of(version: i16) -> Result<RuleSet, UnknownRules> {
    let index = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
    index.and_then(|index| VERSIONS.get(index)).copied().ok_or(UnknownRules(version))
}

/// Returns the families whose events a measure is counted from.
pub fn families_of(measure: Measure) -> impl Iterator<Item = Family> {
    let counts = move |family: &Family| {
        VERSIONS
            .iter()
            .copied()
            .flatten()
            .copied()
            .flatten()
            .any(|rule| rule.measure == measure && rule.family == *family)
    };
    Family::ALL.into_iter().filter(counts)
}

fn apply(rules: RuleSet, event: &Event, business: Business, deltas: &mut Deltas) {
    let moment = deltas.moment(event.time, business.calendar);
    deltas.logged(&event.event_type, &moment);
    ratings::propose(event, deltas);
    if let Content::Adjustment { metric_type, delta: Some(delta) } = &event.content {
        deltas.adjust(metric_type, business.base_currency, *delta, &moment);
    }
    measure(rules, event, business, &moment, deltas);
}

fn measure(rules: RuleSet, event: &Event, business: Business, moment: &Moment, deltas: &mut Deltas) {
    let EventType::Counted(family) = event.event_type else { return };
    if event.content.is_unpaid() {
        return;
    }
    for rule in rules.iter().copied().flatten().filter(|rule| rule.family == family) {
        rule.count(event, business, moment, deltas);
    }
}

impl Rule {
    fn count(&self, event: &Event, business: Business, moment: &Moment, deltas: &mut Deltas) {
        let (measure, parts) = (self.measure, event.content.parts());
        let foreign = |currency: Option<Currency>| {
            currency.filter(|currency| measure.is_money() && *currency != business.base_currency)
        };
        match self.amount {
            Amount::Once => {
                let mut scopes = vec![Scope::Total];
                scopes.extend(parts.flat_map(|(part, _)| scopes_of(part, measure)));
                scopes.sort_unstable();
                scopes.dedup();
                scopes.iter().for_each(|scope| deltas.add(measure, scope, None, 1, moment));
            }
            Amount::OfSale(amount) => {
                for (part, sale) in parts.filter_map(|(part, sale)| Some((part, sale?))) {
                    for scope in scopes_of(part, measure) {
                        deltas.add(measure, &scope, foreign(Some(sale.currency)), amount(sale).into(), moment);
                    }
                }
            }
            Amount::OfEntry(amount) => {
                for entry in event.content.reversal().map_or(&[][..], |reversal| &reversal.entries) {
                    let Some(amount) = amount(entry) else { continue };
                    let of_line = entry.line.as_ref().map(|(_, part)| scopes_of(part, measure));
                    let of_order = entry.line.is_none().then_some(Scope::Total);
                    for scope in of_line.into_iter().flatten().chain(of_order) {
                        deltas.add(measure, &scope, foreign(entry.currency), amount.into(), moment);
                    }
                }
            }
        }
    }
}

/// Returns the scopes of a part in which a measure is kept.
fn scopes_of(part: &Part, measure: Measure) -> impl Iterator<Item = Scope> {
    let kept = |kind| measure.is_kept_for(kind);
    let total = kept(ScopeKind::Total).then_some(Scope::Total);
    let owner = match part.vendor.id() {
        Some(vendor) => kept(ScopeKind::Seller).then(|| Scope::Seller(vendor.clone())),
        None => kept(ScopeKind::Unattributed).then_some(Scope::Unattributed),
    };
    let product = part.product.as_ref().filter(|_| kept(ScopeKind::Product)).cloned().map(Scope::Product);
    [total, owner, product].into_iter().flatten()
}

#[cfg(test)]
mod tests;
