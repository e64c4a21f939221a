//! How a batch that waits to be counted is kept: written and read with postcard, which is compact. A change to these
//! structures is a new [`FORMAT`](super::FORMAT).

use std::cmp::Ordering;

use analytics_core::RULES_VERSION;
use analytics_core::attribution::ProductVendor;
use analytics_core::business::Business;
use analytics_core::catalogue::{Measure, ScopeKind};
use analytics_core::deltas::{Deltas, Rated};
use analytics_core::event::Stars;
use analytics_core::identity::EventId;
use analytics_core::ids::{ProductId, UserId, VendorId};
use analytics_core::maps::HashMap;
use analytics_core::metric_type::MetricType;
use analytics_core::money::Currency;
use analytics_core::record::TopicPartition;
use analytics_core::rollup::{Bucket, Granularity, Measures, Scope};
use analytics_core::time::EventTime;
use analytics_core::topics::EventType;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::Taken;
use crate::DbError;
use crate::batch::Span;
use crate::tables::ingest_offsets::Counted;

/// The measures that a batch adds to. What reversals come to is decided when it is counted.
const STORED: [Measure; 5] = [Measure::Views, Measure::Signups, Measure::Orders, Measure::Units, Measure::Revenue];

/// What a batch adds to the numbers.
#[derive(Serialize)]
pub(super) struct Stored<'a> {
    group: &'a str,
    spans: Vec<StoredSpan<'a>>,
    sums: Sorted<'a>,
    ratings: Vec<StoredRating<'a>>,
    events: Vec<StoredEvents<'a>>,
}

/// The sums of a batch, in the order of their buckets.
struct Sorted<'a>(Vec<(StoredBucket<'a>, &'a Measures)>);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(bucket, measures)| StoredSums::of(*bucket, measures)))
    }
}

/// What a batch adds to the numbers, read except for its sums.
pub(super) struct Read<'a> {
    pub(super) group: &'a str,
    pub(super) spans: Vec<StoredSpan<'a>>,
    /// The sums as they are kept, one after the other, in the order of their buckets.
    pub(super) sums: Vec<u8>,
    ratings: Vec<StoredRating<'a>>,
    events: Vec<StoredEvents<'a>>,
}

/// The records of one partition.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredSpan<'a> {
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
pub(super) struct StoredSums<'a> {
    #[serde(borrow)]
    pub(super) bucket: StoredBucket<'a>,
    sums: [Option<i128>; STORED.len()],
}

/// A bucket of the finest granularity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredBucket<'a> {
    /// Start of the bucket, in seconds.
    start: i64,
    #[serde(borrow)]
    scope: StoredScope<'a>,
    /// Empty: the base currency.
    currency: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum StoredScope<'a> {
    Total,
    Unattributed,
    Product(&'a str),
    Seller(&'a str),
}

/// By what they are about, so that the buckets of a counter follow one another.
impl Ord for StoredBucket<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |bucket: &Self| (bucket.scope, bucket.start, bucket.currency);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for StoredBucket<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
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
pub(super) struct StoredVendor<'a> {
    pub(super) product: &'a str,
    vendor: &'a str,
    /// In microseconds.
    time: i64,
    event: Uuid,
}

pub(super) fn encoded(value: &impl Serialize) -> Result<Vec<u8>, DbError> {
    postcard::to_stdvec(value).map_err(|error| DbError::Unusable(format!("deltas cannot be encoded: {error}")))
}

pub(super) fn decoded<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DbError> {
    match postcard::take_from_bytes(bytes).map_err(unreadable)? {
        (value, []) => Ok(value),
        _ => Err(unreadable("it is too long")),
    }
}

/// Reads the first value, and returns it with what follows.
pub(super) fn first<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), DbError> {
    postcard::take_from_bytes(bytes).map_err(unreadable)
}

pub(super) fn unreadable(why: impl std::fmt::Display) -> DbError {
    DbError::Unusable(format!("a batch that waits to be counted cannot be read: {why}"))
}

impl<'a> Stored<'a> {
    pub(super) fn of(taken: &'a Taken<'a>, deltas: &'a Deltas) -> Self {
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
            sums: Sorted(sorted(deltas)),
            ratings: deltas.ratings.iter().map(rating).collect(),
            events: deltas.events.iter().map(events).collect(),
        }
    }

    /// Returns about how many rows of the numbers it changes.
    pub(super) fn weight(&self) -> usize {
        self.sums.0.len() + 2 * self.ratings.len() + self.events.len()
    }
}

/// Returns the finest sums of deltas, in the order of their buckets.
pub(super) fn sorted(deltas: &Deltas) -> Vec<(StoredBucket<'_>, &Measures)> {
    let mut sums: Vec<_> = deltas.finest().map(|(bucket, measures)| (StoredBucket::of(bucket), measures)).collect();
    sums.sort_unstable_by_key(|(bucket, _)| *bucket);
    sums
}

impl<'a> Read<'a> {
    /// Reads what was kept of a batch.
    pub(super) fn from(bytes: &'a [u8]) -> Result<Self, DbError> {
        let (group, rest) = first(bytes)?;
        let (spans, rest) = first(rest)?;
        let (sums, rest) = sums_in(rest)?;
        let (ratings, rest) = first(rest)?;
        Ok(Self { group, spans, sums, ratings, events: decoded(rest)? })
    }

    /// Adds its ratings and numbers of events to deltas. Returns `None` if something in it is not valid.
    pub(super) fn add_to(&self, deltas: &mut Deltas, business: Business) -> Option<()> {
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

/// Reads a list of sums. Returns them as they are kept, in the order of their buckets, and what follows.
pub(super) fn sums_in(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), DbError> {
    let (number, list): (u64, _) = first(bytes)?;
    let (mut rest, mut last, mut is_sorted) = (list, None, true);
    for _ in 0..number {
        let (StoredSums { bucket, .. }, after) = first(rest)?;
        is_sorted &= last.is_none_or(|last| last < bucket);
        (last, rest) = (Some(bucket), after);
    }
    let kept = list.get(..list.len() - rest.len()).unwrap_or_default();
    if is_sorted {
        return Ok((kept.to_vec(), rest));
    }
    // A batch of an earlier version.
    let mut sums: Vec<StoredSums<'_>> = decoded(bytes.get(..bytes.len() - rest.len()).unwrap_or_default())?;
    sums.sort_unstable_by_key(|sums| sums.bucket);
    let encoded = encoded(&sums)?;
    let (_, kept): (u64, _) = first(&encoded)?;
    Ok((kept.to_vec(), rest))
}

impl StoredSpan<'_> {
    /// Notes the span as counted. Spans of a partition come in the order in which they were logged.
    pub(super) fn extend(
        &self,
        group: &str,
        logged_at: DateTime<Utc>,
        spans: &mut HashMap<(String, TopicPartition), Counted>,
    ) {
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
    pub(super) fn of(bucket: StoredBucket<'a>, measures: &Measures) -> Self {
        Self { bucket, sums: STORED.map(|measure| measures.get(measure)) }
    }

    pub(super) fn measures(&self) -> Measures {
        let mut measures = Measures::default();
        for (measure, sum) in STORED.into_iter().zip(self.sums) {
            sum.into_iter().for_each(|sum| measures.add(measure, sum));
        }
        measures
    }
}

impl<'a> StoredBucket<'a> {
    fn of(bucket: &'a Bucket) -> Self {
        let scope = match &bucket.scope {
            Scope::Total => StoredScope::Total,
            Scope::Unattributed => StoredScope::Unattributed,
            Scope::Product(product) => StoredScope::Product(product.as_str()),
            Scope::Seller(vendor) => StoredScope::Seller(vendor.as_str()),
        };
        let currency = bucket.foreign_currency.map_or("", Currency::code);
        Self { start: bucket.start.timestamp(), scope, currency }
    }

    /// Returns `None` if something in it is not valid.
    pub(super) fn read(self) -> Option<Bucket> {
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
        Some(Bucket { start, granularity: Granularity::finest(kind), scope, foreign_currency })
    }
}

impl<'a> StoredVendor<'a> {
    pub(super) fn of((product, known): (&'a ProductId, &'a ProductVendor)) -> Self {
        Self {
            product: product.as_str(),
            vendor: known.vendor.as_str(),
            time: known.time.micros(),
            event: known.event.0,
        }
    }

    pub(super) fn read(&self) -> Option<(ProductId, ProductVendor)> {
        let vendor = ProductVendor {
            vendor: VendorId::parse(self.vendor).ok()?,
            time: EventTime::from_micros(self.time),
            event: EventId(self.event),
        };
        Some((ProductId::parse(self.product).ok()?, vendor))
    }
}
