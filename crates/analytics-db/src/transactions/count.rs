//! Logs a batch in one transaction: either everything is committed or nothing.
//!
//! The transaction takes no lock that writers of other partitions want, and changes no number. It
//! keeps what the batch adds to the numbers as one value, which [`fold`](super::fold) adds later.
//! Every record counts once because the stored offsets move in the same transaction, and only from
//! where this writer expects them.

use std::collections::BTreeMap;

use analytics_core::attribution::ProductVendors;
use analytics_core::business::Business;
use analytics_core::dedupe::Verdict;
use analytics_core::deltas::Deltas;
use analytics_core::directory::Directory;
use analytics_core::event::Event;
use analytics_core::identity::{IdentityKey, record_id};
use analytics_core::maps::HashSet;
use analytics_core::record::{Record, TopicPartition};
use analytics_core::rejection::Rejection;
use analytics_core::rules;
use uuid::Uuid;

use super::runner::run_once;
use super::settling::Settling;
use super::{pay, reverse};
use crate::Connection;
use crate::batch::{Batch, Item, Outcome, Reread, Tally, Written};
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::tables::batches::{self, BatchId, Kind};
use crate::tables::waiting::{self, Taken};
use crate::tables::{
    arrivals, dead_letters, directory, event_days, event_keys, event_log, ingest_offsets, metrics, product_vendors,
    ratings, reversals, rollups,
};

/// Logs a batch. On success everything in it is committed, on an error nothing is. If the answer
/// to COMMIT is lost, the next attempt is [`WriteError::Fenced`], and the stored offsets show
/// whether the batch was committed.
///
/// # Errors
/// [`WriteError`], whose variants say what to do next.
pub fn count(
    connection: &mut Connection,
    batch: &mut Batch,
    business: Business,
    reread: Reread,
) -> Result<Written, WriteError> {
    #[cfg(feature = "mutants")]
    crate::mutant::move_offsets_before_data(connection, batch)?;
    #[cfg(feature = "mutants")]
    crate::mutant::skip_records(batch);
    run_once(connection, "count", |connection| {
        let refused_before = refused_before(connection, batch)?;
        let records = batch.items.len();
        let judged = judge(connection, &mut batch.items, reread)?;
        let counting = log(connection, judged.events, business, Deltas::only_finest())?;
        let mut written = judged.written;
        let logs = ingest_offsets::move_offsets(connection, &batch.consumer_group, &batch.spans, &judged.tallies)?;
        let (group, spans, tallies) = (&batch.consumer_group, &batch.spans, &judged.tallies);
        let (orders, reversed, unpaid_lines) =
            (counting.orders.as_slice(), counting.reversed.as_slice(), counting.unpaid_lines);
        let taken = Taken { group, spans, tallies, logs: &logs, records, orders, reversed, unpaid_lines };
        waiting::store(connection, counting.batch, &taken, &counting.deltas, &counting.vendors)?;
        arrivals::add(connection, &judged.tallies, &judged.rejected)?;
        event_keys::note_repeats(connection, &judged.repeated)?;
        directory::store(connection, &counting.directory)?;
        settle_reread(connection, &refused_before, &judged.outcomes)?;
        written.overflowed = dead_letters::insert(connection, &judged.rejected, &batch.keeping)?;
        Ok(written)
    })
}

/// Finds records of the batch that were rejected when they were read before and can be decoded now:
/// a time that lay in the future has passed, or a limit was raised. Their events are also
/// identified by place, which shows whether a replay has counted them meanwhile. Returns their
/// numbers in the batch and the ids of their dead letters.
fn refused_before(connection: &mut Connection, batch: &mut Batch) -> Result<Vec<(usize, Uuid)>, WriteError> {
    let letters = dead_letters::of_spans(connection, &batch.spans)?;
    let mut before = Vec::new();
    if letters.is_empty() {
        return Ok(before);
    }
    for (number, item) in batch.items.iter_mut().enumerate() {
        let (id, place) = (record_id(&item.record.place), &item.record.place);
        if let (Ok(event), true) = (&mut item.decoded, letters.contains(&id)) {
            event.identify_by_place(place);
            before.push((number, id.0));
        }
    }
    Ok(before)
}

/// Closes the dead letters of records that were read again and could be counted.
fn settle_reread(
    connection: &mut Connection,
    refused_before: &[(usize, Uuid)],
    outcomes: &[Outcome],
) -> Result<(), WriteError> {
    let action = |(number, letter): &(usize, Uuid)| {
        let outcome = outcomes.get(*number).filter(|outcome| outcome.event().is_some())?;
        Some(dead_letters::Action { letter: *letter, action: "reread", actor: "ingest", outcome, corrected: None })
    };
    dead_letters::settle(connection, &refused_before.iter().filter_map(action).collect::<Vec<_>>())
}

/// Events that are logged and to be counted.
pub(super) struct Counting {
    batch: BatchId,
    has_events: bool,
    vendors: ProductVendors,
    directory: Directory,
    deltas: Deltas,
    /// The keys of the orders.
    orders: Vec<Uuid>,
    /// The keys of the orders that reversals and payments are about.
    reversed: Vec<Uuid>,
    /// How many lines the orders have that count once they are paid.
    unpaid_lines: usize,
}

/// Attributes events, adds what they add to `deltas`, and logs them.
pub(super) fn log(
    connection: &mut Connection,
    mut events: Vec<&mut Event>,
    business: Business,
    mut deltas: Deltas,
) -> Result<Counting, WriteError> {
    let mut vendors = product_vendors::load(connection, &events)?;
    let mut directory = Directory::default();
    let (mut orders, mut reversed, mut unpaid_lines) = (Vec::new(), Vec::new(), 0);
    for event in &mut events {
        orders.extend(event.order().map(|order| order.0));
        reversed.extend(event.content.reversal().map(|reversal| reversal.order.0));
        reversed.extend(event.content.payment().map(|order| order.0));
        unpaid_lines += if event.content.is_unpaid() { event.content.lines().len() } else { 0 };
        vendors.attribute(event);
        directory.note(event);
        rules::count(event, business, &mut deltas);
    }
    let (batch, has_events) = (batches::new_id(connection)?, !events.is_empty());
    if has_events {
        event_log::copy(connection, batch, &events)?;
    }
    Ok(Counting { batch, has_events, vendors, directory, deltas, orders, reversed, unpaid_lines })
}

impl Counting {
    /// Gives the batch its number, and adds what its events add, without a fold.
    pub(super) fn add(
        &mut self,
        connection: &mut Connection,
        lock: &CountingLock,
        business: Business,
        kind: Kind,
    ) -> Result<(), WriteError> {
        if !self.has_events {
            return Ok(());
        }
        batches::number(connection, lock, self.batch, kind)?;
        let mut affected = reversals::awaited(connection, &self.orders)?;
        affected.append(&mut self.reversed);
        affected.sort_unstable();
        affected.dedup();
        let concerned: Vec<Uuid> = self.orders.iter().chain(&affected).copied().collect();
        let settling = Settling { lock, business, counting: &[], batch: self.batch };
        pay::settle(connection, &settling, &concerned, &mut self.deltas)?;
        reverse::settle(connection, &settling, &affected, &mut self.deltas)?;
        directory::store(connection, &self.directory)?;
        product_vendors::store(connection, lock, &self.vendors)?;
        ratings::settle(connection, lock, &self.deltas.ratings)?;
        metrics::add(connection, lock, &self.deltas)?;
        rollups::add(connection, lock, &self.deltas.rollups)?;
        event_days::add(connection, lock, &self.deltas.events)?;
        metrics::derive(connection, lock)
    }
}

/// A batch whose identities were looked up.
pub(super) struct Judged<'a> {
    pub(super) events: Vec<&'a mut Event>,
    rejected: Vec<(&'a Record, Rejection)>,
    /// For each order that is known already: how many records repeated it.
    repeated: BTreeMap<IdentityKey, i32>,
    tallies: BTreeMap<TopicPartition, Tally>,
    written: Written,
    /// The result for each item.
    pub(super) outcomes: Vec<Outcome>,
}

/// Looks up every identity, and divides the batch into events to count, duplicates and rejections.
pub(super) fn judge<'a>(
    connection: &mut Connection,
    items: &'a mut [Item],
    reread: Reread,
) -> Result<Judged<'a>, WriteError> {
    let claims = event_keys::claim(connection, items)?;
    let mut known = event_keys::known(&claims);
    if reread == Reread::Possible {
        known.ids = event_log::logged(connection, items)?;
    }
    let logged_before: HashSet<_> = known.ids.clone();
    let mut judged = Judged {
        events: Vec::with_capacity(items.len()),
        rejected: Vec::new(),
        repeated: BTreeMap::new(),
        tallies: BTreeMap::new(),
        written: Written::default(),
        outcomes: Vec::with_capacity(items.len()),
    };
    for item in items {
        let tally = judged.tallies.entry(item.record.place.partition.clone()).or_default();
        tally.digest.add(&item.record);
        let written = &mut judged.written;
        let judgement = match &mut item.decoded {
            Ok(event) => match known.judge(event) {
                Verdict::Conflict(rejection) => Err(rejection),
                verdict => Ok((event, verdict)),
            },
            Err(rejection) => Err(rejection.clone()),
        };
        match judgement {
            Ok((event, Verdict::New)) => {
                tally.events += 1;
                tally.last_event = tally.last_event.max(Some(event.time));
                written.count(event.event_type.name());
                judged.outcomes.push(Outcome::Counted(event.id));
                judged.events.push(event);
            }
            Ok((event, _)) => {
                tally.duplicates += 1;
                written.duplicates += 1;
                if let Some(order) = event.order() {
                    *judged.repeated.entry(order).or_default() += 1;
                }
                written.reread += u64::from(logged_before.contains(&event.id));
                judged.outcomes.push(Outcome::Duplicate(event.id));
            }
            Err(rejection) => {
                tally.rejected += 1;
                *written.rejected.entry(rejection.reason).or_default() += 1;
                judged.outcomes.push(Outcome::Rejected(rejection.clone()));
                judged.rejected.push((&item.record, rejection));
            }
        }
    }
    event_keys::correct(connection, &claims, &known)?;
    Ok(judged)
}
