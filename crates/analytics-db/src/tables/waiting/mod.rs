//! Batches that are logged and wait to be counted: what they add to the numbers, as
//! `batches.deltas` and `batches.learned` keep it.
//!
//! The values are written and read with postcard, which is compact. A change to the structures of
//! this file is a new [`FORMAT`].

use std::collections::BTreeMap;

use analytics_core::attribution::{ProductVendor, ProductVendors};
use analytics_core::business::Business;
use analytics_core::catalogue::{Measure, ScopeKind};
use analytics_core::deltas::{Deltas, Rated};
use analytics_core::event::Stars;
use analytics_core::identity::EventId;
use analytics_core::ids::{ProductId, UserId, VendorId};
use analytics_core::metric_type::MetricType;
use analytics_core::money::Currency;
use analytics_core::record::TopicPartition;
use analytics_core::rollup::{Bucket, Granularity, Measures, Scope};
use analytics_core::time::EventTime;
use analytics_core::topics::EventType;
use analytics_core::{RULES_VERSION, maps::HashMap};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
/// The newest format that this program reads.
const FORMAT: i16 = TO_DECIDE;

/// About how many sums a line of an order adds to.
const LINE: usize = 10;

/// The measures that a batch adds to. What reversals come to is decided when it is counted.
const STORED: [Measure; 5] = [Measure::Views, Measure::Signups, Measure::Orders, Measure::Units, Measure::Revenue];

/// What a batch adds to the numbers.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    group: &'a str,
    spans: Vec<StoredSpan<'a>>,
    sums: Vec<StoredSums<'a>>,
    ratings: Vec<StoredRating<'a>>,
    events: Vec<StoredEvents<'a>>,
}

/// The records of one partition.
#[derive(Serialize, Deserialize)]
struct StoredSpan<'a> {
    topic: &'a str,
    partition: i32,
    /// The first offset after the records.
    to: i64,
    last_timestamp: Option<i64>,
    /// How many milliseconds before the transaction the partition was completely consumed, or more.
    caught_up_ago: Option<i64>,
    /// The latest time of an event, in microseconds.
    last_event: Option<i64>,
}

/// The sums of a bucket of the finest granularity.
#[derive(Serialize, Deserialize)]
struct StoredSums<'a> {
    /// Start of the bucket, in seconds.
    start: i64,
    scope: StoredScope<'a>,
    /// Empty: the base currency.
    currency: &'a str,
    sums: [Option<i128>; STORED.len()],
}

#[derive(Serialize, Deserialize)]
enum StoredScope<'a> {
    Total,
    Unattributed,
    Product(&'a str),
    Seller(&'a str),
}

#[derive(Serialize, Deserialize)]
struct StoredRating<'a> {
    metric_type: std::borrow::Cow<'a, str>,
    user: &'a str,
    stars: u8,
    /// In microseconds.
    time: i64,
    event: Uuid,
}

#[derive(Serialize, Deserialize)]
struct StoredEvents<'a> {
    day: NaiveDate,
    event_type: &'a str,
    events: i64,
}

/// The vendor that an event names for a product.
#[derive(Serialize, Deserialize)]
struct StoredVendor<'a> {
    product: &'a str,
    vendor: &'a str,
    /// In microseconds.
    time: i64,
    event: Uuid,
}

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
    let sums = stored.sums.len() + 2 * stored.ratings.len() + learned.len() + stored.events.len();
    let weight = sums + reversed + LINE * taken.unpaid_lines;
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

fn encoded(value: &impl Serialize) -> Result<Vec<u8>, DbError> {
    postcard::to_stdvec(value).map_err(|error| DbError::Unusable(format!("deltas cannot be encoded: {error}")))
}

fn decoded<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DbError> {
    match postcard::take_from_bytes(bytes).map_err(unreadable)? {
        (value, []) => Ok(value),
        _ => Err(unreadable("it is too long")),
    }
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

fn unreadable(why: impl std::fmt::Display) -> DbError {
    DbError::Unusable(format!("a batch that waits to be counted cannot be read: {why}"))
}

/// What several batches add together, but for the vendors that they learned.
pub(crate) struct Waiting {
    pub(crate) records: i64,
    /// The [finest](Deltas::only_finest) sums, the ratings and the numbers of events.
    pub(crate) deltas: Deltas,
    /// What is counted of each partition.
    pub(crate) counted: Vec<Counted>,
}

/// Maximum number of batches that are read at once, so that few of their values are in memory.
const AT_ONCE: usize = 8;

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
    let (mut records, mut deltas) = (0, Deltas::only_finest());
    let mut spans: HashMap<(String, TopicPartition), Counted> = HashMap::default();
    for part in batches.chunks(AT_ONCE) {
        let rows: Vec<Row> =
            statement("SELECT b.records, b.logged_at, b.deltas FROM batches b WHERE b.id = ANY ($1) ORDER BY b.id")
                .column(part)
                .load(connection)?;
        for row in rows {
            records += i64::from(row.records);
            let stored: Stored<'_> = decoded(&row.deltas)?;
            for span in &stored.spans {
                span.extend(stored.group, row.logged_at, &mut spans);
            }
            stored.add_to(&mut deltas, business).ok_or_else(|| unreadable("a value"))?;
        }
    }
    Ok(Waiting { records, deltas, counted: spans.into_values().collect() })
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

impl<'a> Stored<'a> {
    fn of(taken: &'a Taken<'a>, deltas: &'a Deltas) -> Self {
        let span = |span: &'a Span| StoredSpan {
            topic: &span.partition.topic,
            partition: span.partition.partition,
            to: span.next.0,
            last_timestamp: span.last_timestamp,
            caught_up_ago: span.progress.caught_up.and_then(|at| i64::try_from(at.elapsed().as_millis()).ok()),
            last_event: taken.tally(span).last_event.map(EventTime::micros),
        };
        let rating = |((target, user), rated): (&'a (MetricType, UserId), &Rated)| StoredRating {
            metric_type: target.to_string().into(),
            user: user.as_str(),
            stars: rated.stars.get(),
            time: rated.time.micros(),
            event: rated.event.0,
        };
        let events = |((day, event_type), events): (&'a (NaiveDate, EventType), &i64)| StoredEvents {
            day: *day,
            event_type: event_type.name(),
            events: *events,
        };
        Self {
            group: taken.group,
            spans: taken.spans.iter().map(span).collect(),
            sums: deltas.finest().map(StoredSums::of).collect(),
            ratings: deltas.ratings.iter().map(rating).collect(),
            events: deltas.events.iter().map(events).collect(),
        }
    }

    /// Adds it to deltas. Returns `None` if something in it is not valid.
    fn add_to(&self, deltas: &mut Deltas, business: Business) -> Option<()> {
        for sums in &self.sums {
            let (bucket, measures) = sums.read()?;
            deltas.add_finest(&bucket, &measures, business.calendar);
        }
        for rating in &self.ratings {
            let target = MetricType::parse(&rating.metric_type, NaiveDate::default(), business.base_currency).ok()?;
            let rated = Rated {
                stars: Stars::new(rating.stars.into())?,
                time: EventTime::from_micros(rating.time),
                event: EventId(rating.event),
            };
            deltas.propose((target, UserId::parse(rating.user).ok()?), rated);
        }
        for StoredEvents { day, event_type, events } in &self.events {
            deltas.add_events(*day, EventType::logged(event_type, RULES_VERSION), *events);
        }
        Some(())
    }
}

impl StoredSpan<'_> {
    /// Notes the span as counted. Spans of a partition come in the order in which they were logged.
    fn extend(&self, group: &str, logged_at: DateTime<Utc>, spans: &mut HashMap<(String, TopicPartition), Counted>) {
        let partition = TopicPartition { topic: self.topic.into(), partition: self.partition };
        let ago = self.caught_up_ago.and_then(TimeDelta::try_milliseconds);
        let caught_up_at = ago.and_then(|ago| logged_at.checked_sub_signed(ago));
        let last_event = self.last_event.and_then(DateTime::from_timestamp_micros);
        let counted = spans.entry((group.to_owned(), partition.clone())).or_insert_with(|| Counted {
            consumer_group: group.to_owned(),
            partition,
            to: self.to,
            last_timestamp: None,
            caught_up_at: None,
            last_event: None,
        });
        (counted.to, counted.last_timestamp) = (self.to, self.last_timestamp);
        counted.caught_up_at = counted.caught_up_at.max(caught_up_at);
        counted.last_event = counted.last_event.max(last_event);
    }
}

impl<'a> StoredSums<'a> {
    fn of((bucket, measures): (&'a Bucket, &Measures)) -> Self {
        let scope = match &bucket.scope {
            Scope::Total => StoredScope::Total,
            Scope::Unattributed => StoredScope::Unattributed,
            Scope::Product(product) => StoredScope::Product(product.as_str()),
            Scope::Seller(vendor) => StoredScope::Seller(vendor.as_str()),
        };
        Self {
            start: bucket.start.timestamp(),
            scope,
            currency: bucket.foreign_currency.map_or("", Currency::code),
            sums: STORED.map(|measure| measures.get(measure)),
        }
    }

    fn read(&self) -> Option<(Bucket, Measures)> {
        let (kind, scope) = match self.scope {
            StoredScope::Total => (ScopeKind::Total, Scope::Total),
            StoredScope::Unattributed => (ScopeKind::Unattributed, Scope::Unattributed),
            StoredScope::Product(product) => (ScopeKind::Product, Scope::Product(ProductId::parse(product).ok()?)),
            StoredScope::Seller(vendor) => (ScopeKind::Seller, Scope::Seller(VendorId::parse(vendor).ok()?)),
        };
        let foreign_currency = match self.currency {
            "" => None,
            code => Some(Currency::parse(code)?),
        };
        let start = DateTime::from_timestamp(self.start, 0)?;
        let bucket = Bucket { start, granularity: Granularity::finest(kind), scope, foreign_currency };
        let mut measures = Measures::default();
        for (measure, sum) in STORED.into_iter().zip(self.sums) {
            sum.into_iter().for_each(|sum| measures.add(measure, sum));
        }
        Some((bucket, measures))
    }
}

impl<'a> StoredVendor<'a> {
    fn of((product, known): (&'a ProductId, &'a ProductVendor)) -> Self {
        Self {
            product: product.as_str(),
            vendor: known.vendor.as_str(),
            time: known.time.micros(),
            event: known.event.0,
        }
    }

    fn read(&self) -> Option<(ProductId, ProductVendor)> {
        let vendor = ProductVendor {
            vendor: VendorId::parse(self.vendor).ok()?,
            time: EventTime::from_micros(self.time),
            event: EventId(self.event),
        };
        Some((ProductId::parse(self.product).ok()?, vendor))
    }
}
