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

/// All rule sets, the oldest first.
const VERSIONS: [&[Rule]; 1] = [RULES_1];

/// The rules that count new events.
const LATEST: &[Rule] = {
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

/// Counts a logged event again, by the rules that decided it.
///
/// # Errors
/// [`UnknownRules`] if this program does not have that version.
pub fn recount(version: i16, event: &Event, business: Business, deltas: &mut Deltas) -> Result<(), UnknownRules> {
    let index = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
    let rules = index.and_then(|index| VERSIONS.get(index)).ok_or(UnknownRules(version))?;
    apply(rules, event, business, deltas);
    Ok(())
}

/// Returns the families whose events a measure is counted from.
pub fn families_of(measure: Measure) -> impl Iterator<Item = Family> {
    let counts = move |family: &Family| {
        VERSIONS.iter().copied().flatten().any(|rule| rule.measure == measure && rule.family == *family)
    };
    Family::ALL.into_iter().filter(counts)
}

fn apply(rules: &[Rule], event: &Event, business: Business, deltas: &mut Deltas) {
    let moment = deltas.moment(event.time, business.calendar);
    deltas.logged(&event.event_type, &moment);
    ratings::propose(event, deltas);
    if let Content::Adjustment { metric_type, delta: Some(delta) } = &event.content {
        deltas.adjust(metric_type, business.base_currency, *delta, &moment);
    }
    let EventType::Counted(family) = event.event_type else { return };
    for rule in rules.iter().filter(|rule| rule.family == family) {
        rule.count(event, business, &moment, deltas);
    }
}

impl Rule {
    fn count(&self, event: &Event, business: Business, moment: &Moment, deltas: &mut Deltas) {
        let (measure, parts) = (self.measure, event.content.parts());
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
                    let foreign = Some(sale.currency).filter(|currency| *currency != business.base_currency);
                    let foreign = foreign.filter(|_| measure.is_money());
                    for scope in scopes_of(part, measure) {
                        deltas.add(measure, &scope, foreign, amount(sale).into(), moment);
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
