//! Compares what sellers' events add up to with the metrics, and stores their statements.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, btree_map};

use analytics_core::RULES_VERSION;
use analytics_core::ids::{Encoded, VendorId};
use analytics_core::maps::HashMap;
use analytics_core::money::Currency;
use analytics_core::statement::{
    Account, CORRECTION, Comparable, Days, Figures, Late, PastRange, Restatement, Statement,
};
use chrono::{DateTime, SubsecRound as _, Utc};
use uuid::Uuid;

use super::contributions::{self, Contribution};
use super::rates::Received;
use super::seen::{Closing, Seen};
use super::{Accounts, Check, CloseError, Closed, Order, numbers};
use crate::connection::long_snapshot;
use crate::sql::{row, statement};
use crate::tables::batches::AsOf;
use crate::tables::statements::{self, Head, New, Stored};
use crate::transactions::run;
use crate::{Connection, DbError};

/// How often statements are written again after another run has stored some of them.
const ATTEMPTS: usize = 3;

/// Stores statements of one closing.
pub(super) struct Sealing<'a> {
    pub(super) order: &'a Order<'a>,
    pub(super) closing: &'a Closing,
    pub(super) received: &'a Received,
}

/// What the log says of sellers, and what is stored.
struct Compared {
    numbers: HashMap<String, Comparable>,
    heads: HashMap<String, Head>,
    latest: HashMap<String, Stored>,
    now: DateTime<Utc>,
}

impl Compared {
    fn load(connection: &mut Connection, order: &Order<'_>, vendors: &[&str]) -> Result<Self, DbError> {
        Ok(Self {
            numbers: numbers::of_vendors(connection, order.business, order.month, vendors.iter().copied())?,
            heads: statements::heads(connection, vendors)?,
            latest: statements::latest(connection, order.month, vendors)?,
            now: crate::now(connection)?.trunc_subsecs(0),
        })
    }

    /// Whether the metrics of a seller are what its events add up to.
    fn agrees(&self, vendor: &str, account: &Account) -> Result<bool, PastRange> {
        let none = Comparable::default();
        let numbers = self.numbers.get(&Encoded(vendor).to_string()).unwrap_or(&none);
        Ok(*numbers == account.comparable()?)
    }
}

/// What is to be done for a seller.
enum Due {
    /// Nothing: there are no numbers, or its last statement holds.
    Nothing { is_closed: bool },
    /// A first statement.
    First,
    /// A later version.
    Next(Box<Statement>),
    /// Nothing can be: its last statement is not what was sealed, or of a form that this program does not read.
    Unreadable,
}

impl Due {
    fn of(compared: &Compared, vendor: &str, account: &Account) -> Result<Self, CloseError> {
        let Some(latest) = compared.latest.get(vendor) else {
            let is_empty = account.currencies().is_empty();
            return Ok(if is_empty { Self::Nothing { is_closed: false } } else { Self::First });
        };
        let before = match latest.checked() {
            Ok(checked) => checked.statement,
            Err(why) => {
                log::error!("the statement of {vendor:?} that was closed last cannot be read: {why}");
                return Ok(Self::Unreadable);
            }
        };
        // Views and ratings that came later are no reason for a version: see docs/decisions/32-statements.md.
        if before.events == account.digest() && before.currencies == *account.currencies() {
            return Ok(Self::Nothing { is_closed: true });
        }
        Ok(Self::Next(Box::new(before)))
    }
}

impl Sealing<'_> {
    /// Stores the first statements of sellers, in one transaction. Returns those that have to be read again.
    pub(super) fn seal(
        &self,
        connection: &mut Connection,
        accounts: &[(String, Account)],
    ) -> Result<(Closed, Vec<String>), CloseError> {
        run(connection, "close statements", |connection| {
            let vendors: Vec<&str> = accounts.iter().map(|(vendor, _)| vendor.as_str()).collect();
            let compared = Compared::load(connection, self.order, &vendors)?;
            let (mut done, mut again, mut new) = (Closed::default(), Vec::new(), Vec::new());
            for (vendor, account) in accounts {
                let agrees = compared.agrees(vendor, account)?;
                match Due::of(&compared, vendor, account)? {
                    Due::Nothing { is_closed } if agrees => done.unchanged += usize::from(is_closed),
                    Due::First if agrees => new.push(self.first(&compared, vendor, account)?),
                    Due::Nothing { .. } | Due::First | Due::Next(_) | Due::Unreadable => again.push(vendor.clone()),
                }
            }
            let stored = statements::store(connection, self.closing.id, &new)?;
            done.closed = stored.len();
            again.extend(new.into_iter().map(|new| new.vendor).filter(|vendor| !stored.contains(vendor)));
            Ok((done, again))
        })
    }

    fn first(&self, compared: &Compared, vendor: &str, account: &Account) -> Result<New, CloseError> {
        self.statement(compared, vendor, account, 1, None)
    }

    fn statement(
        &self,
        compared: &Compared,
        vendor: &str,
        account: &Account,
        version: u32,
        restatement: Option<Restatement>,
    ) -> Result<New, CloseError> {
        let Order { business, month, terms, key, .. } = self.order;
        let head = compared.heads.get(vendor);
        let statement = Statement {
            vendor: VendorId::parse(vendor)
                .map_err(|why| DbError::Unusable(format!("the seller {vendor:?} in the log {why}")))?,
            month: *month,
            version,
            timezone: business.calendar.name().to_owned(),
            closed_at: compared.now,
            as_of: self.closing.as_of,
            rules_version: RULES_VERSION,
            proved_as_of: terms.proved_as_of,
            open_dead_letters: terms.open_dead_letters,
            gaps: terms.gaps.iter().chain(&terms.drift).cloned().collect(),
            key: None,
            previous: head.map(|head| head.digest),
            events: account.digest(),
            currencies: account.currencies().clone(),
            rates: Some(self.received.rates(vendor, account)?),
            restatement,
        };
        let position = head.map_or(0, |head| head.position).saturating_add(1);
        let (closed_at, key_of) = (compared.now, key.public());
        let sealed = statement.seal(Some(key))?;
        Ok(New { vendor: vendor.to_owned(), month: *month, version, position, closed_at, key: key_of, sealed })
    }
}

/// Sellers that get no statement.
#[derive(Default)]
pub(super) struct Left {
    /// Those whose metrics are not what their events add up to.
    pub(super) differ: Vec<String>,
    /// Those whose last statement cannot be read.
    pub(super) unreadable: Vec<String>,
}

/// Reads some sellers again, in one snapshot with the metrics, and stores what is due. Returns `None`, and stores
/// nothing, if more of their events are late than are held at once, unless it is one seller.
pub(super) fn again(
    connection: &mut Connection,
    order: &Order<'_>,
    vendors: &[String],
    check: Check<'_>,
) -> Result<Option<(Closed, Left)>, CloseError> {
    let mut attempt = 1;
    loop {
        // Another run may store the same statements.
        match long_snapshot(connection, |connection| again_in(connection, order, vendors, check)) {
            Err(CloseError::Database(error)) if attempt < ATTEMPTS && error.is_temporary() => attempt += 1,
            done => return done,
        }
    }
}

fn again_in(
    connection: &mut Connection,
    order: &Order<'_>,
    vendors: &[String],
    check: Check<'_>,
) -> Result<Option<(Closed, Left)>, CloseError> {
    let as_of = AsOf::latest(connection)?;
    let names: Vec<&str> = vendors.iter().map(String::as_str).collect();
    let compared = Compared::load(connection, order, &names)?;
    let mut seen: HashMap<i64, Seen> = HashMap::default();
    for closing in compared.latest.values().map(|latest| latest.closing_id) {
        if let Entry::Vacant(entry) = seen.entry(closing) {
            entry.insert(Seen::by(connection, closing)?);
        }
    }
    let most = if vendors.len() > 1 { order.late_at_once } else { usize::MAX };
    let (mut accounts, mut late) = (Accounts::default(), LateEvents::default());
    for vendor in vendors {
        accounts.entry(vendor.clone()).or_default();
    }
    for day in order.month.days() {
        check()?;
        contributions::of_day(connection, order.business, day, Some(vendors), &mut |contribution| {
            if as_of.sees(contribution.batch) && late.count <= most {
                let before = compared.latest.get(&contribution.vendor).and_then(|latest| seen.get(&latest.closing_id));
                if before.is_some_and(|before| !before.sees(contribution.batch)) {
                    late.add(&contribution)?;
                }
                contribution.add_to(&mut accounts)?;
            }
            Ok(())
        })?;
        if late.count > most {
            return Ok(None);
        }
    }
    let closing = Closing::begin_in(connection, order.month)?;
    let received = Received::load(connection, order, vendors, check)?;
    let sealing = Sealing { order, closing: &closing, received: &received };
    let (mut done, mut left, mut new) = (Closed::default(), Left::default(), Vec::new());
    for vendor in vendors {
        let Some(account) = accounts.get(vendor) else { continue };
        if !compared.agrees(vendor, account)? {
            left.differ.push(vendor.clone());
            continue;
        }
        match Due::of(&compared, vendor, account)? {
            Due::Unreadable => left.unreadable.push(vendor.clone()),
            Due::Nothing { is_closed } => done.unchanged += usize::from(is_closed),
            Due::First => {
                done.closed += 1;
                new.push(sealing.first(&compared, vendor, account)?);
            }
            Due::Next(before) => {
                done.restated += 1;
                let late = late.explain(connection, order, vendor, &before, account)?;
                let restatement = Restatement { of: before.version, late };
                let version = before.version.saturating_add(1);
                new.push(sealing.statement(&compared, vendor, account, version, Some(restatement))?);
            }
        }
    }
    let stored = statements::store(connection, closing.id, &new)?;
    if stored.len() < new.len() {
        // Visible to this snapshot, but stored meanwhile: only another snapshot can tell what is due.
        return Err(DbError::Busy.into());
    }
    Ok(Some((done, left)))
}

/// What late events add to net, by seller, event and currency.
#[derive(Default)]
struct LateEvents {
    by_seller: HashMap<String, BTreeMap<(Uuid, Currency), i64>>,
    count: usize,
}

impl LateEvents {
    fn add(&mut self, contribution: &Contribution) -> Result<(), PastRange> {
        let own = self.by_seller.entry(contribution.vendor.clone()).or_default();
        let entry = own.entry((contribution.event, contribution.currency));
        self.count += usize::from(matches!(entry, btree_map::Entry::Vacant(_)));
        let delta = entry.or_default();
        *delta = delta.checked_add(contribution.net()).ok_or(PastRange)?;
        Ok(())
    }

    /// Lists the late events of a seller. What they do not explain of the difference to the version before is listed,
    /// too, so that the deltas are the difference.
    fn explain(
        &mut self,
        connection: &mut Connection,
        order: &Order<'_>,
        vendor: &str,
        before: &Statement,
        account: &Account,
    ) -> Result<Vec<Late>, CloseError> {
        row! {
            struct Row {
                id: Uuid,
                event_type: String,
                created_at: DateTime<Utc>,
            }
        }
        let own = self.by_seller.remove(vendor).unwrap_or_default();
        let ids: Vec<Uuid> = own.keys().map(|(event, _)| *event).collect();
        let rows: Vec<Row> = statement("SELECT id, event_type, created_at FROM event_logs WHERE id = ANY ($1)")
            .column(ids)
            .load(connection)?;
        let events: HashMap<Uuid, Row> = rows.into_iter().map(|row| (row.id, row)).collect();
        let mut missing = difference(account.currencies(), &before.currencies)?;
        let mut late = Vec::new();
        for ((event, currency), delta) in own {
            let Some(row) = events.get(&event) else { continue };
            let left = missing.entry(currency).or_default();
            *left = left.checked_sub(delta).ok_or(PastRange)?;
            let occurred_at = row.created_at.trunc_subsecs(3);
            late.push(Late { event: Some(event), event_type: row.event_type.clone(), occurred_at, currency, delta });
        }
        missing.retain(|_, delta| *delta != 0);
        if late.is_empty() && missing.is_empty() {
            // Only the attribution of what adds up to nothing has changed.
            missing.insert(order.business.base_currency, 0);
        }
        let (event_type, occurred_at) = (CORRECTION.to_owned(), order.month.end(order.business.calendar));
        late.extend(missing.into_iter().map(|(currency, delta)| Late {
            event: None,
            event_type: event_type.clone(),
            occurred_at,
            currency,
            delta,
        }));
        Ok(late)
    }
}

/// Returns by how much the net of each currency differs.
fn difference(
    now: &BTreeMap<Currency, Days>,
    before: &BTreeMap<Currency, Days>,
) -> Result<BTreeMap<Currency, i64>, PastRange> {
    let mut missing: BTreeMap<Currency, i64> = BTreeMap::new();
    for (currency, days) in now {
        *missing.entry(*currency).or_default() = Figures::sum(days.values())?.net()?;
    }
    for (currency, days) in before {
        let own = missing.entry(*currency).or_default();
        *own = own.checked_sub(Figures::sum(days.values())?.net()?).ok_or(PastRange)?;
    }
    Ok(missing)
}
