//! The events behind a number, newest first, each with what it added.
//!
//! What an event added is what the rules say of it alone. Of ratings only the last of each user
//! counts: each rating adds its stars and takes away those of the one that it followed in time.

use std::collections::{BTreeSet, HashMap, HashSet};

use analytics_core::business::Business;
use analytics_core::deltas::{Deltas, Histogram, Rated};
use analytics_core::event::{Body, Event, Line};
use analytics_core::identity::EventId;
use analytics_core::ids::UserId;
use analytics_core::metric_type::{Metric, MetricType, Subject, Unit};
use analytics_core::rules;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use uuid::Uuid;

use super::windows::{Window, newest_first};
use super::{RawJson, ReadableMetric, Snapshot};
use crate::logged::{self, Logged};
use crate::{Connection, DbError};

/// A page of the events behind a number.
#[derive(Debug)]
pub struct Explanation {
    /// The events, newest first.
    pub contributions: Vec<Contribution>,
    /// The event after which the next page begins, if there is one.
    pub next: Option<Uuid>,
}

/// An event that is a part of a number.
#[derive(Debug)]
pub struct Contribution {
    /// The event.
    pub event: Event,
    /// When it was counted.
    pub ingested_at: DateTime<Utc>,
    /// What it added.
    pub delta: Delta,
    /// The lines of an order that are in the number.
    pub lines: Vec<Line>,
    /// The rating that it took the place of.
    pub replaced: Option<Rated>,
    /// What an adjustment says: who, why, how much.
    pub said: Option<RawJson>,
}

/// What an event added to a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delta {
    /// To a sum.
    Counter(i64),
    /// To the components of a rate.
    Rate {
        /// Orders.
        numerator: i64,
        /// Views.
        denominator: i64,
    },
    /// To the components of an average.
    Average(Histogram),
}

/// Where events of a number are found: SQL that gives ids. $5 to $1 (exclusive) is a window of ids, $2
/// how many, $3 the subject, $4 the currency, $6 the metric's type, $7 to $8 (exclusive) the ids of the
/// stretches of a day.
type Source = &'static str;

const SIGNUPS: Source = "SELECT id FROM event_logs WHERE event_type = 'user.registered' AND id >= $5 AND id < $1 \
                         ORDER BY id DESC LIMIT $2";
const SIGNUPS_OF_DAY: Source = "SELECT e.id FROM unnest($7, $8) AS s (first, last) JOIN event_logs e \
                                ON e.id >= s.first AND e.id < s.last AND e.event_type = 'user.registered' \
                                WHERE e.id >= $5 AND e.id < $1 ORDER BY e.id DESC LIMIT $2";
const VIEWS: Source = "SELECT id FROM event_logs WHERE event_type = 'product.viewed' AND id >= $5 AND id < $1 \
                       ORDER BY id DESC LIMIT $2";
const VIEWS_OF_PRODUCT: Source = "SELECT id FROM event_logs WHERE event_type = 'product.viewed' AND product_id = $3 \
                                  AND id >= $5 AND id < $1 ORDER BY id DESC LIMIT $2";
const VIEWS_OF_VENDOR: Source = "SELECT id FROM event_logs WHERE event_type = 'product.viewed' AND vendor_id = $3 \
                                 AND id >= $5 AND id < $1 ORDER BY id DESC LIMIT $2";
const RATINGS_OF_PRODUCT: Source = "SELECT id FROM event_logs WHERE event_type = 'rating.updated' AND product_id = $3 \
                                    AND id >= $5 AND id < $1 ORDER BY id DESC LIMIT $2";
const RATINGS_OF_VENDOR: Source = "SELECT id FROM event_logs WHERE event_type = 'rating.updated' AND vendor_id = $3 \
                                   AND id >= $5 AND id < $1 ORDER BY id DESC LIMIT $2";
const ORDERS: Source = "SELECT id FROM event_logs WHERE event_type = 'order.created' AND id >= $5 AND id < $1 \
                        ORDER BY id DESC LIMIT $2";
const ORDERS_IN_CURRENCY: Source = "SELECT DISTINCT event_id FROM order_lines WHERE currency = $4 \
                                    AND event_id >= $5 AND event_id < $1 ORDER BY event_id DESC LIMIT $2";
const ORDERS_OF_NOBODY: Source = "SELECT DISTINCT event_id FROM order_lines WHERE vendor_id IS NULL AND currency = $4 \
                                  AND event_id >= $5 AND event_id < $1 ORDER BY event_id DESC LIMIT $2";
const ORDERS_OF_PRODUCT: Source = "SELECT DISTINCT event_id FROM order_lines WHERE product_id = $3 \
                                   AND ($4 IS NULL OR currency = $4) \
                                   AND event_id >= $5 AND event_id < $1 ORDER BY event_id DESC LIMIT $2";
const ORDERS_OF_VENDOR: Source = "SELECT DISTINCT event_id FROM order_lines WHERE vendor_id = $3 \
                                  AND ($4 IS NULL OR currency = $4) \
                                  AND event_id >= $5 AND event_id < $1 ORDER BY event_id DESC LIMIT $2";
const ADJUSTMENTS: Source = "SELECT id FROM event_logs WHERE event_type = 'metric.adjusted' \
                             AND metadata ->> 'type' = $6 AND id >= $5 AND id < $1 ORDER BY id DESC LIMIT $2";

/// Where the events of a metric are.
fn sources(metric: Option<Metric>) -> &'static [Source] {
    match metric {
        None => &[ADJUSTMENTS],
        Some(Metric::TotalViews) => &[VIEWS, ADJUSTMENTS],
        Some(Metric::ProductViews) => &[VIEWS_OF_PRODUCT, ADJUSTMENTS],
        Some(Metric::SellerViews) => &[VIEWS_OF_VENDOR, ADJUSTMENTS],
        Some(Metric::DailySignups) => &[SIGNUPS_OF_DAY, ADJUSTMENTS],
        Some(Metric::TotalSignups) => &[SIGNUPS, ADJUSTMENTS],
        Some(Metric::TotalOrders | Metric::TotalUnits) => &[ORDERS, ADJUSTMENTS],
        Some(Metric::TotalRevenue) => &[ORDERS_IN_CURRENCY, ADJUSTMENTS],
        Some(Metric::UnattributedRevenue) => &[ORDERS_OF_NOBODY, ADJUSTMENTS],
        Some(Metric::ProductUnits | Metric::ProductRevenue) => &[ORDERS_OF_PRODUCT, ADJUSTMENTS],
        Some(Metric::SellerOrders | Metric::SellerUnits | Metric::SellerRevenue) => &[ORDERS_OF_VENDOR, ADJUSTMENTS],
        Some(Metric::ConversionRate) => &[VIEWS_OF_VENDOR, ORDERS_OF_VENDOR],
        Some(Metric::ProductRating) => &[RATINGS_OF_PRODUCT],
        Some(Metric::SellerRating) => &[RATINGS_OF_VENDOR],
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    ingested_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    said: Option<RawJson>,
}

/// A page of the events behind a metric: at most `limit`, older than the event `before`; only those that
/// could be seen in a snapshot, if one is given.
///
/// # Errors
/// [`DbError`].
pub fn explain(
    connection: &mut Connection,
    metric: &ReadableMetric,
    business: Business,
    snapshot: Option<&Snapshot>,
    before: Option<Uuid>,
    limit: usize,
) -> Result<Explanation, DbError> {
    let mut rows = candidates(connection, metric, business, before, limit.saturating_add(1))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(|row| row.id).filter(|_| more);
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let unseen = unseen(connection, snapshot, &ids)?;
    let mut logged: HashMap<Uuid, Logged> =
        logged::by_ids(connection, &ids)?.into_iter().map(|logged| (logged.id.0, logged)).collect();
    let followed = match metric.known() {
        Some(known) if is_rating(known) => Followed::load(connection, known, logged.values(), business, snapshot)?,
        _ => Followed::default(),
    };
    let contribution = |row: Row| {
        let Logged { rules_version, event, .. } = logged.remove(&row.id).filter(|_| !unseen.contains(&row.id))?;
        // What cannot be read was not counted again either; verify names it.
        let event = event.ok()?;
        let mut deltas = Deltas::default();
        rules::recount(rules_version, &event, business, &mut deltas).ok()?;
        let replaced = followed.by(&event);
        let delta = delta(metric, &deltas, replaced)?;
        let lines = metric.known().map_or_else(Vec::new, |known| lines(&event, known, business));
        Some(Contribution { ingested_at: row.ingested_at, delta, lines, replaced, said: row.said, event })
    };
    Ok(Explanation { contributions: rows.into_iter().filter_map(contribution).collect(), next })
}

fn unseen(connection: &mut Connection, snapshot: Option<&Snapshot>, ids: &[Uuid]) -> Result<HashSet<Uuid>, DbError> {
    snapshot.map_or_else(|| Ok(HashSet::new()), |snapshot| snapshot.unseen(connection, ids))
}

fn candidates(
    connection: &mut Connection,
    metric: &ReadableMetric,
    business: Business,
    before: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Row>, DbError> {
    let known = metric.known();
    let (mut subject, mut stretches) = (None, Vec::new());
    match known.map(|known| &known.subject) {
        Some(Subject::Product(id)) => subject = Some(id.as_str()),
        Some(Subject::Vendor(id)) => subject = Some(id.as_str()),
        Some(Subject::Day(date)) => stretches = business.calendar.day_ranges(*date),
        Some(Subject::Marketplace) | None => {}
    }
    let money = known.filter(|known| known.metric.unit() == Unit::MinorUnits);
    let currency = money.map(|known| known.foreign_currency.unwrap_or(business.base_currency).code());
    let sources: Vec<String> =
        sources(known.map(|known| known.metric)).iter().map(|source| format!("({source})")).collect();
    // An array, so that each event is looked up by its id, whatever is known of the window.
    let sql = format!(
        "SELECT e.id, e.ingested_at, CASE WHEN e.event_type = 'metric.adjusted' THEN e.metadata END AS said \
         FROM event_logs e WHERE e.id = ANY(ARRAY({})) AND e.id >= $5 AND e.id < $1 \
         ORDER BY e.id DESC LIMIT $2",
        sources.join(" UNION ")
    );
    let lowest = |time: DateTime<Utc>| EventId::lowest_at(time.into()).0;
    let first: Vec<Uuid> = stretches.iter().map(|stretch| lowest(stretch.start)).collect();
    let last: Vec<Uuid> = stretches.iter().map(|stretch| lowest(stretch.end)).collect();
    // An adjustment of a day may have been made on any other.
    let range = Window { to: before.unwrap_or(Window::ALL.to), ..Window::ALL };
    newest_first(range, limit, |window, limit| {
        let rows = sql_query(&sql)
            .bind::<SqlUuid, _>(window.to)
            .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind::<Nullable<Text>, _>(subject)
            .bind::<Nullable<Text>, _>(currency)
            .bind::<SqlUuid, _>(window.from)
            .bind::<Text, _>(metric.as_str())
            .bind::<Array<SqlUuid>, _>(&first)
            .bind::<Array<SqlUuid>, _>(&last)
            .load(connection)?;
        Ok(rows)
    })
}

/// What an event added to the metric; `None` where it is no part of it.
fn delta(metric: &ReadableMetric, deltas: &Deltas, replaced: Option<Rated>) -> Option<Delta> {
    let Some(known) = metric.known() else { return adjusted(metric, deltas) };
    match known.metric {
        Metric::ConversionRate => {
            let conversion = deltas.conversions.get(known.vendor()?)?;
            Some(Delta::Rate { numerator: conversion.orders, denominator: conversion.views })
        }
        Metric::ProductRating | Metric::SellerRating => {
            let ((_, _), rated) = deltas.ratings.iter().find(|((target, _), _)| target == known)?;
            let mut histogram = Histogram::default();
            histogram.add(rated.stars, 1);
            replaced.into_iter().for_each(|replaced| histogram.add(replaced.stars, -1));
            Some(Delta::Average(histogram))
        }
        _ => {
            let counted = deltas.counters.get(known).and_then(|sum| i64::try_from(*sum).ok());
            counted.map(Delta::Counter).or_else(|| adjusted(metric, deltas))
        }
    }
}

fn adjusted(metric: &ReadableMetric, deltas: &Deltas) -> Option<Delta> {
    let sum = deltas.adjustments.get(metric.as_str())?;
    i64::try_from(*sum).ok().map(Delta::Counter)
}

/// The lines of an order that are in the number: a seller's own, a product's, or all.
fn lines(event: &Event, known: &MetricType, business: Business) -> Vec<Line> {
    let money = known.metric.unit() == Unit::MinorUnits;
    let currency = known.foreign_currency.unwrap_or(business.base_currency);
    let counts = |line: &&Line| {
        let of_subject = match &known.subject {
            Subject::Product(product) => line.product.as_ref() == Some(product),
            Subject::Vendor(vendor) => line.vendor.id() == Some(vendor),
            Subject::Marketplace => known.metric != Metric::UnattributedRevenue || line.vendor.id().is_none(),
            Subject::Day(_) => false,
        };
        of_subject && (!money || line.currency == currency)
    };
    event.lines().iter().filter(counts).cloned().collect()
}

pub(super) const fn is_rating(known: &MetricType) -> bool {
    matches!(known.metric, Metric::ProductRating | Metric::SellerRating)
}

/// All ratings of some users of one target, in the order in which they stood.
#[derive(Default)]
struct Followed(HashMap<UserId, Vec<Rated>>);

impl Followed {
    fn load<'a>(
        connection: &mut Connection,
        target: &MetricType,
        events: impl Iterator<Item = &'a Logged>,
        business: Business,
        snapshot: Option<&Snapshot>,
    ) -> Result<Self, DbError> {
        let users: BTreeSet<&str> =
            events.filter_map(|logged| logged.event.as_ref().ok()?.user.as_ref()).map(UserId::as_str).collect();
        let ratings = logged::ratings_of_target(connection, &users.into_iter().collect::<Vec<_>>(), &target.subject)?;
        let unseen = unseen(connection, snapshot, &ratings.iter().map(|logged| logged.id.0).collect::<Vec<_>>())?;
        let mut followed: HashMap<UserId, Vec<Rated>> = HashMap::new();
        for logged in ratings.into_iter().filter(|logged| !unseen.contains(&logged.id.0)) {
            let mut deltas = Deltas::default();
            let Ok(event) = logged.event else { continue };
            if rules::recount(logged.rules_version, &event, business, &mut deltas).is_err() {
                continue;
            }
            for ((rated, user), rating) in deltas.ratings {
                if rated == *target {
                    followed.entry(user).or_default().push(rating);
                }
            }
        }
        Ok(Self(followed))
    }

    /// The rating that this one took the place of: the latest before it in time.
    fn by(&self, event: &Event) -> Option<Rated> {
        let (Body::Rating { stars, .. }, Some(user)) = (&event.body, &event.user) else { return None };
        let own = Rated { stars: *stars, time: event.time, event: event.id };
        let earlier = self.0.get(user)?.iter().filter(|rated| own.replaces(rated) && rated.event != own.event);
        earlier.copied().reduce(|a, b| if b.replaces(&a) { b } else { a })
    }
}
