//! Batches that are logged and wait to be counted: what they add to the numbers, as
//! `batches.deltas` and `batches.learned` keep it.
//!
//! [`format`](self::format) is how they are kept, and [`sums`] merges those of many batches.

use std::collections::BTreeMap;

use analytics_core::attribution::{ProductVendor, ProductVendors};
use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::ids::ProductId;
use analytics_core::maps::HashMap;
use analytics_core::record::TopicPartition;
use chrono::{DateTime, Utc};
use uuid::Uuid;

mod format;
mod sums;

use format::{Read, Stored, StoredVendor, decoded, encoded, unreadable};
use sums::Sums;

use super::all_taken;
use super::batches::{BatchId, Kind};
use super::ingest_offsets::Counted;
use crate::batch::{Span, Tally};
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// The format of a batch that adds what it keeps, and that of one with reversals, payments or unpaid orders: what these
/// add is decided when it is counted, by a program that knows how.
const DECIDED: i16 = 1;
const TO_DECIDE: i16 = 2;
/// The newest format that this program reads. Batches of a newer one are left to newer programs.
pub(crate) const FORMAT: i16 = TO_DECIDE;

/// About how many sums a line of an order adds to.
const LINE: usize = 10;

/// What a batch took from Kafka.
pub(crate) struct Taken<'a> {
    pub(crate) group: &'a str,
    pub(crate) spans: &'a [Span],
    pub(crate) tallies: &'a BTreeMap<TopicPartition, Tally>,
    /// The logs of the partitions: see [`move_offsets`](super::ingest_offsets::move_offsets).
    pub(crate) logs: &'a std::collections::HashMap<TopicPartition, DateTime<Utc>>,
    pub(crate) records: usize,
    /// The keys of the orders.
    pub(crate) orders: &'a [Uuid],
    /// The keys of the orders that reversals and payments are about.
    pub(crate) reversed: &'a [Uuid],
    /// How many lines the orders have that count once they are paid.
    pub(crate) unpaid_lines: usize,
}

/// Stores a batch that is to be counted.
pub(crate) fn store(
    connection: &mut Connection,
    batch: BatchId,
    taken: &Taken<'_>,
    deltas: &Deltas,
    vendors: &ProductVendors,
) -> Result<(), WriteError> {
    #[cfg(feature = "mutants")]
    let none = Deltas::default();
    #[cfg(feature = "mutants")]
    let deltas = if crate::mutant::drops_deltas() { &none } else { deltas };
    let stored = Stored::of(taken, deltas);
    let learned: Vec<StoredVendor<'_>> = vendors.learned().map(StoredVendor::of).collect();
    let reversed = 10 * taken.reversed.len();
    let weight = stored.weight() + learned.len() + reversed + LINE * taken.unpaid_lines;
    let counted = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let partitions: Vec<String> = taken.spans.iter().map(|span| key(taken.group, &span.partition)).collect();
    let rows = statement(
        "INSERT INTO batches (id, kind, records, weight, format, deltas, learned, partitions, starts, ends, \
                              delivered, digests, logs, orders, reversed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::numeric[], $13, $14, nullif($15, '{}'))",
    )
    .value(batch.0)
    .value(Kind::Ingest.name())
    .value(counted(taken.records))
    .value(counted(weight))
    .value(if taken.reversed.is_empty() && taken.unpaid_lines == 0 { DECIDED } else { TO_DECIDE })
    .value(encoded(&stored)?)
    .value(if learned.is_empty() { None } else { Some(encoded(&learned)?) })
    .column(&partitions)
    .column(taken.spans.iter().map(|span| span.expected.0))
    .column(taken.spans.iter().map(|span| span.next.0))
    .column(taken.spans.iter().map(|span| taken.tally(span).records()))
    .column(taken.spans.iter().map(|span| taken.tally(span).digest.get().to_string()))
    .column(taken.spans.iter().map(|span| taken.logs.get(&span.partition).copied()))
    .column(taken.orders.iter().copied())
    .column(taken.reversed.iter().copied())
    .execute(connection)?;
    all_taken("batches", rows, 1)
}

impl Taken<'_> {
    fn tally(&self, span: &Span) -> Tally {
        self.tallies.get(&span.partition).copied().unwrap_or_default()
    }
}

/// Names a partition. No name of a topic contains a slash.
fn key(group: &str, partition: &TopicPartition) -> String {
    format!("{group}/{}/{}", partition.topic, partition.partition)
}

/// The vendors of products that waiting batches have learned, for the given products. To be read
/// before `product_vendors`: a batch that is counted in between is found in both, and never in none.
pub(crate) fn learned(
    connection: &mut Connection,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(ProductId, ProductVendor)>, DbError> {
    row! {
        struct Row {
            id: i64,
            learned: Vec<u8>,
        }
    }
    let (mut found, mut last) = (Vec::new(), i64::MIN);
    loop {
        let rows: Vec<Row> = statement(
            "SELECT b.id, b.learned FROM batches b WHERE b.number IS NULL AND b.format <= $1 \
             AND b.learned IS NOT NULL AND b.id > $2 ORDER BY b.id LIMIT $3",
        )
        .value(FORMAT)
        .value(last)
        .value(i64::try_from(AT_ONCE).unwrap_or(i64::MAX))
        .load(connection)?;
        let Some(row) = rows.last() else { return Ok(found) };
        last = row.id;
        for row in rows {
            vendors_in(&row.learned, &wanted, |product, vendor| found.push((product, vendor)))?;
        }
    }
}

/// Reads the vendors of the wanted products from what a batch has learned.
fn vendors_in(
    learned: &[u8],
    wanted: impl Fn(&str) -> bool,
    mut found: impl FnMut(ProductId, ProductVendor),
) -> Result<(), DbError> {
    let vendors: Vec<StoredVendor<'_>> = decoded(learned)?;
    for vendor in vendors.into_iter().filter(|vendor| wanted(vendor.product)) {
        let (product, vendor) = vendor.read().ok_or_else(|| unreadable("an id"))?;
        found(product, vendor);
    }
    Ok(())
}

/// What several batches add together, but for the vendors that they learned.
pub(crate) struct Waiting {
    pub(crate) records: i64,
    pub(crate) sums: Sums,
    /// The ratings and the numbers of events, and sums that are [decided](super::reversals) when they are counted.
    pub(crate) deltas: Deltas,
    /// What is counted of each partition.
    pub(crate) counted: Vec<Counted>,
}

/// Maximum number of batches that are read at once, so that few of their values are in memory.
const AT_ONCE: usize = 2;

/// Returns the ids of the batches that have waited longest, until their weights sum to `at_most`; at
/// least one, if any waits.
pub(crate) fn longest(connection: &mut Connection, _: &CountingLock, at_most: i64) -> Result<Vec<i64>, DbError> {
    row! {
        struct Row {
            id: i64,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT w.id FROM ( \
             SELECT b.id, sum(b.weight) OVER (ORDER BY b.id) - b.weight AS before FROM batches b \
             WHERE b.number IS NULL AND b.format <= $1 AND b.deltas IS NOT NULL) AS w \
         WHERE w.before < $2 OR w.before = 0 ORDER BY w.id",
    )
    .value(FORMAT)
    .value(at_most)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Adds up what the given batches add.
pub(crate) fn load(
    connection: &mut Connection,
    _: &CountingLock,
    business: Business,
    batches: &[i64],
) -> Result<Waiting, DbError> {
    row! {
        struct Row {
            records: i32,
            logged_at: DateTime<Utc>,
            deltas: Vec<u8>,
        }
    }
    let (mut records, mut sums, mut deltas) = (0, Sums::default(), Deltas::only_finest());
    let mut spans: HashMap<(String, TopicPartition), Counted> = HashMap::default();
    for part in batches.chunks(AT_ONCE) {
        let rows: Vec<Row> =
            statement("SELECT b.records, b.logged_at, b.deltas FROM batches b WHERE b.id = ANY ($1) ORDER BY b.id")
                .column(part)
                .load(connection)?;
        for row in rows {
            records += i64::from(row.records);
            let read = Read::from(&row.deltas)?;
            for span in &read.spans {
                span.extend(read.group, row.logged_at, &mut spans);
            }
            read.add_to(&mut deltas, business).ok_or_else(|| unreadable("a value"))?;
            sums.push(read.sums);
        }
    }
    Ok(Waiting { records, sums, deltas, counted: spans.into_values().collect() })
}

/// Returns the vendors of products that the given batches have learned.
pub(crate) fn learned_by(
    connection: &mut Connection,
    _: &CountingLock,
    batches: &[i64],
) -> Result<ProductVendors, DbError> {
    row! {
        struct Row {
            learned: Vec<u8>,
        }
    }
    let mut vendors = ProductVendors::default();
    for part in batches.chunks(AT_ONCE) {
        let rows: Vec<Row> =
            statement("SELECT b.learned FROM batches b WHERE b.id = ANY ($1) AND b.learned IS NOT NULL")
                .column(part)
                .load(connection)?;
        for row in rows {
            vendors_in(&row.learned, |_| true, |product, vendor| vendors.learn(&product, vendor))?;
        }
    }
    Ok(vendors)
}
