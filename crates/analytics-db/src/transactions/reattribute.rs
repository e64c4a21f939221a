//! Attributes logged views and lines without a vendor to the vendor that is known now.
//!
//! Counting attributes by earlier records only, so that its result never depends on later ones. An
//! operator may decide otherwise afterwards. Then the attribution is changed in the log, and the
//! resulting changes are added to the numbers, in the same transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::event::{Content, Event};
use analytics_core::family::Shape;
use analytics_core::identity::EventId;
use analytics_core::ids::VendorId;
use analytics_core::rules;
use analytics_core::seal::seal;
use serde_json::json;
use uuid::Uuid;

use super::reverse;
use super::runner::run;
use super::settling::Settling;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::tables::audit_log::{self, Action, Entry};
use crate::tables::batches::{self, AsOf, Kind};
use crate::tables::logged_events::{self, Logged};
use crate::tables::{metrics, product_vendors, reversals, rollups};
use crate::{Connection, DbError};

/// Maximum number of events that one transaction changes.
const PIECE: i64 = 2_000;

/// The result for a chunk of the log.
#[derive(Debug, Default)]
pub struct Moved {
    /// Number of events of which a part has a vendor now.
    pub events: usize,
    /// What this adds to the numbers; negative where it subtracts.
    pub deltas: Deltas,
    /// Where the next chunk begins; `None` at the end of the log.
    pub next: Option<EventId>,
}

/// Attributes the next chunk of events after `after` that have no vendor and whose vendor is known
/// now. `actor` is who does it; without one, nothing is changed.
///
/// # Errors
/// [`WriteError`]; then nothing of the chunk is changed.
pub fn reattribute(
    connection: &mut Connection,
    business: Business,
    after: EventId,
    actor: Option<&str>,
) -> Result<Moved, WriteError> {
    run(connection, "reattribute", |connection| {
        let ids = vendorless(connection, after)?;
        let next = ids.last().filter(|_| i64::try_from(ids.len()).is_ok_and(|n| n == PIECE)).map(|id| EventId(*id));
        let lock = actor.map(|_| CountingLock::take(connection)).transpose()?;
        let mut moved = change(connection, business, &ids, lock.as_ref())?;
        moved.next = next;
        if let Some(actor) = actor.filter(|_| moved.events > 0) {
            audit_log::record(connection, &entry(&moved, actor))?;
        }
        Ok(moved)
    })
}

/// Returns what the audit log says about a chunk: by how much it changes each counter.
fn entry(moved: &Moved, actor: &str) -> Entry {
    let changed = moved.deltas.counters.iter().filter(|(_, amount)| **amount != 0);
    let changed: BTreeMap<String, String> =
        changed.map(|(counter, amount)| (counter.to_string(), amount.to_string())).collect();
    let subject = format!("events: {}", moved.events);
    Entry { actor: actor.to_owned(), action: Action::Reattribute, subject, detail: json!({ "changed": changed }) }
}

/// Returns the ids of the next events of which a part names a product and has no vendor although
/// one is known.
fn vendorless(connection: &mut Connection, after: EventId) -> Result<Vec<Uuid>, DbError> {
    row! {
        struct Row {
            id: Uuid,
        }
    }
    let rows: Vec<Row> = statement(include_str!("vendorless.sql"))
        .value(after.0)
        .value(PIECE)
        .column(logged_events::types_of(Shape::Part))
        .load(connection)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Attributes the events. Without the lock nothing is changed.
fn change(
    connection: &mut Connection,
    business: Business,
    ids: &[Uuid],
    lock: Option<&CountingLock>,
) -> Result<Moved, WriteError> {
    let as_of = AsOf::latest(connection)?;
    let logged = logged_events::by_ids(connection, &as_of, ids)?;
    let mut events: Vec<(i16, Event)> = logged
        .into_iter()
        // Events that were changed in the log are skipped, so that their seals stay broken.
        .filter(|logged| logged.tampered.is_none())
        .filter_map(|Logged { rules_version, event, .. }| Some((rules_version, event.ok()?)))
        .collect();
    let vendors = product_vendors::load(connection, &events.iter_mut().map(|(_, event)| event).collect::<Vec<_>>())?;
    let (mut before, mut after) = (Deltas::default(), Deltas::default());
    let mut changed = Vec::new();
    for (version, mut event) in events {
        let was = event.clone();
        let count = |event, deltas: &mut Deltas| rules::recount(version, event, business, deltas);
        if vendors.reattribute(&mut event) && count(&was, &mut before).is_ok() && count(&event, &mut after).is_ok() {
            changed.push((version, event));
        }
    }
    let reversed = move_reversals(connection, business, &as_of, &changed, [&mut before, &mut after])?;
    after.subtract(&before);
    if let Some(lock) = lock.filter(|_| !changed.is_empty()) {
        let batch = batches::new_id(connection)?;
        batches::number(connection, lock, batch, Kind::Reattribution)?;
        store(connection, &changed)?;
        // A reversal may name the vendor that the line has now.
        let reversed: Vec<Uuid> = reversed.into_iter().collect();
        let settling = Settling { lock, business, counting: &[], batch };
        reverse::settle(connection, &settling, &reversed, &mut after)?;
        metrics::add(connection, lock, &after)?;
        rollups::add(connection, lock, &after.rollups)?;
        metrics::derive(connection, lock)?;
    }
    Ok(Moved { events: changed.len(), deltas: after, next: None })
}

/// Adds what was taken back of the changed orders to what was counted before and after: it belongs to whom the lines
/// belong. Returns the keys of those orders of which something was taken back.
fn move_reversals(
    connection: &mut Connection,
    business: Business,
    as_of: &AsOf,
    changed: &[(i16, Event)],
    [before, after]: [&mut Deltas; 2],
) -> Result<BTreeSet<Uuid>, WriteError> {
    let orders: HashMap<Uuid, &Event> = changed
        .iter()
        .filter(|(_, event)| !event.content.lines().is_empty())
        .map(|(_, event)| (event.id.0, event))
        .collect();
    let reversals = reversals::of_order_events(connection, orders.keys().copied().collect())?;
    let events: Vec<Uuid> = reversals.keys().copied().collect();
    let mut reversed = BTreeSet::new();
    for logged in logged_events::by_ids(connection, as_of, &events)? {
        let (Ok(mut event), Some(order)) = (logged.event, reversals.get(&logged.id.0).and_then(|id| orders.get(id)))
        else {
            continue;
        };
        rules::book(&event, business, before);
        if let Content::Reversal(reversal) = &mut event.content {
            reversed.insert(reversal.order.0);
            for (number, part) in reversal.entries.iter_mut().filter_map(|entry| entry.line.as_mut()) {
                let place = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1));
                if let Some(line) = place.and_then(|place| order.content.lines().get(place)) {
                    *part = line.part.clone();
                }
            }
        }
        rules::book(&event, business, after);
    }
    Ok(reversed)
}

/// Changes the attribution in the log.
fn store(connection: &mut Connection, changed: &[(i16, Event)]) -> Result<(), WriteError> {
    let own = |event: &Event| event.content.about().1.map(|vendor| vendor.as_str().to_owned());
    let owned: Vec<Option<String>> = changed.iter().map(|(_, event)| own(event)).collect();
    statement(
        "UPDATE event_logs e SET vendor_id = c.vendor_id, vendor_learned = c.vendor_id IS NOT NULL, seal = c.seal \
         FROM unnest($1, $2, $3) AS c (id, vendor_id, seal) WHERE e.id = c.id",
    )
    .column(changed.iter().map(|(_, event)| event.id.0))
    .column(owned)
    .column(changed.iter().map(|(version, event)| seal(event, *version)))
    .execute(connection)?;
    let lines: Vec<_> =
        changed.iter().flat_map(|(_, event)| (1..).zip(event.content.lines()).map(|line| (event.id, line))).collect();
    statement(
        "UPDATE order_lines l SET vendor_id = c.vendor_id, vendor_learned = c.learned \
         FROM unnest($1, $2, $3, $4) AS c (event_id, line, vendor_id, learned) \
         WHERE l.event_id = c.event_id AND l.line = c.line AND l.vendor_id IS NULL AND c.vendor_id IS NOT NULL",
    )
    .column(lines.iter().map(|(id, _)| id.0))
    .column(lines.iter().map(|(_, (number, _))| *number))
    .column(lines.iter().map(|(_, (_, line))| line.part.vendor.id().map(VendorId::as_str)))
    .column(lines.iter().map(|(_, (_, line))| line.part.vendor.is_learned()))
    .execute(connection)?;
    Ok(())
}
