//! Judges the numbers in the database: those of the marketplace by hours, then sellers and products that
//! have enough.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use analytics_core::business::Business;
use analytics_core::catalogue::{Measure, Metric, ScopeKind};
use analytics_core::completeness::Completeness;
use analytics_core::events::Decoder;
use analytics_core::family::Family;
use analytics_core::freshness::TopicReport;
use analytics_core::ids::decode_encoded;
use analytics_core::rollup::Granularity;
use analytics_core::sums;
use analytics_core::time::EventTime;
use analytics_core::topics::EventType;
use analytics_db::read::watched::{self, Sums};
use analytics_db::tables::anomalies::{Found, Judgement};
use analytics_db::{Connection, DbError};
use anomaly_detector::Interval;
use chrono::{DateTime, Days, Duration, NaiveDate, Utc};

use super::judge::{Edges, Judge, Series};
use super::quiet::Quiet;

/// How far back the hours of the marketplace are read, and all days: 8 weeks for what is usual, and 8
/// more for how far numbers are from it.
const DAYS: u64 = 17 * 7;
/// How far back the hours of sellers are read.
const DAYS_OF_HOURS: u64 = 12 * 7;
/// Sellers and products are chosen by their last days but the very last: what drops stays chosen.
const CHOSEN_BY: std::ops::RangeInclusive<u64> = 4..=31;
/// The most sellers whose hours are judged, and the most sellers and products whose days are.
const MOST_BY_HOUR: i64 = 50;
const MOST_SELLERS: i64 = 5_000;
const MOST_PRODUCTS: i64 = 5_000;
/// How many subjects are read at once.
const PIECE: usize = 500;

/// What is judged, and how.
pub(super) struct Watch<'a> {
    pub(super) business: Business,
    pub(super) decoder: &'a Decoder,
    pub(super) reports: &'a [TopicReport],
    /// By the database's clock.
    pub(super) now: DateTime<Utc>,
    pub(super) quiet: &'a Quiet,
    /// How many must be expected in a bucket for a seller or a product to be judged.
    pub(super) floor: u32,
    /// How late numbers may be complete.
    pub(super) grace: Duration,
    /// How long after an order was placed its payment may still make it count: nothing where orders count at once.
    pub(super) payment_time: Duration,
    pub(super) since: DateTime<Utc>,
}

/// The results of a run: the subjects that were judged, each until when, the anomalies, and the last buckets of
/// the marketplace.
pub(super) struct Watched {
    pub(super) subjects: Vec<(String, DateTime<Utc>)>,
    pub(super) found: Vec<Found>,
    pub(super) latest: Vec<Judgement>,
}

impl Watch<'_> {
    pub(super) fn run(&self, connection: &mut Connection) -> Result<Watched, DbError> {
        let (hours, days) = (self.hours(), self.days());
        let mut judge = Judge::new(self.business.calendar, self.quiet, self.since);
        let total_hours = watched::totals(connection, Granularity::Hour, hours.starts())?;
        let total_days = watched::totals(connection, Granularity::Day, days.starts())?;
        // Hours first: see `Judge::judge`.
        self.totals(&mut judge, &hours, &total_hours);
        self.totals(&mut judge, &days, &total_days);
        self.events(connection, &mut judge, &days)?;
        // Few enough to be exported, unlike those of sellers and products.
        let latest = std::mem::take(&mut judge.latest);
        self.sellers_by_hour(connection, &mut judge, &hours, &days)?;
        self.sellers_by_day(connection, &mut judge, &days)?;
        self.products(connection, &mut judge, &days)?;
        let Judge { mut found, mut subjects, .. } = judge;
        if !total_hours.is_empty() {
            subjects.insert("freshness".to_owned(), self.now);
            found.extend(self.lateness(&hours));
        }
        Ok(Watched { subjects: subjects.into_iter().collect(), found, latest })
    }

    fn today(&self) -> NaiveDate {
        self.business.calendar.day(EventTime::from(self.now))
    }

    fn days_ago(&self, days: u64) -> DateTime<Utc> {
        self.business.calendar.day_start(self.today().checked_sub_days(Days::new(days)).unwrap_or_default())
    }

    /// Returns the business hours that are over.
    fn hours(&self) -> Edges {
        let calendar = self.business.calendar;
        let mut times = vec![self.days_ago(DAYS)];
        while let Some(next) = times.last().map(|last| calendar.next_hour(EventTime::from(*last)))
            && next <= self.now
        {
            times.push(next);
        }
        Edges { times: times.into(), interval: Interval::HOUR }
    }

    /// Returns the business days that are over.
    fn days(&self) -> Edges {
        let times: BTreeSet<DateTime<Utc>> = (0..=DAYS).map(|days| self.days_ago(days)).collect();
        Edges { times: Arc::from_iter(times), interval: Interval::DAY }
    }

    /// Returns the end of the last bucket of which everything is counted.
    fn complete_until(&self, completeness: &Completeness, edges: &Edges) -> Option<DateTime<Utc>> {
        edges.times.iter().rev().find(|end| completeness.is_complete(**end, self.now)).copied()
    }

    fn complete(&self, measures: &[Measure], edges: &Edges) -> Option<DateTime<Utc>> {
        let complete_until =
            self.complete_until(&Completeness::of_measures(measures, self.decoder, self.reports), edges)?;
        let is_of_orders = |measure: &Measure| matches!(measure, Measure::Orders | Measure::Units | Measure::Revenue);
        // The last hours would look low for as long as their orders can still be paid.
        let settled = self.now - self.payment_time;
        Some(if measures.iter().any(is_of_orders) { complete_until.min(settled) } else { complete_until })
    }

    /// Judges the totals: views, signups, orders, conversion, and revenue in each currency.
    fn totals(&self, judge: &mut Judge<'_>, edges: &Edges, rows: &[Sums]) {
        let mut by_currency: BTreeMap<&str, Vec<&Sums>> = BTreeMap::new();
        for row in rows {
            by_currency.entry(&row.currency).or_default().push(row);
        }
        let series = |subject: &str, measures: &[Measure], values, explained_by: &[&str]| Series {
            subject: subject.to_owned(),
            vendor: None,
            edges: edges.clone(),
            values,
            complete_until: self.complete(measures, edges),
            explained_by: explained_by.iter().map(|name| (*name).to_owned()).collect(),
            divided_by: None,
        };
        let base = by_currency.get("").map_or(&[][..], Vec::as_slice);
        let of = |measure| counts(edges, base, measure);
        let (views, orders) = (of(Measure::Views), of(Measure::Orders));
        judge.judge(series("total_views", &[Measure::Views], views.clone(), &[]));
        judge.judge(series("total_signups", &[Measure::Signups], of(Measure::Signups), &[]));
        judge.judge(series("total_orders", &[Measure::Orders], orders.clone(), &[]));
        let rates = orders.into_iter().zip(views).map(|(orders, views)| rate(orders?, views?)).collect();
        // Fewer orders with as many views are one anomaly, not two, and so are fewer views with as many orders.
        let conversion = series("total_conversion", &[Measure::Orders, Measure::Views], rates, &["total_orders"]);
        judge.judge(Series { divided_by: Some("total_views".to_owned()), ..conversion });
        for (currency, rows) in by_currency {
            let subject =
                Metric::TotalRevenue.name().to_owned() + if currency.is_empty() { "" } else { ":" } + currency;
            let values = counts(edges, &rows, Measure::Revenue);
            if !is_steady(&values) {
                continue;
            }
            judge.judge(series(&subject, &[Measure::Revenue], values, &["total_orders"]));
        }
    }

    /// Judges the days of event types whose totals were not judged.
    fn events(&self, connection: &mut Connection, judge: &mut Judge<'_>, days: &Edges) -> Result<(), DbError> {
        let first = self.today().checked_sub_days(Days::new(DAYS)).unwrap_or_default();
        let mut by_type: BTreeMap<String, HashMap<DateTime<Utc>, i64>> = BTreeMap::new();
        for row in watched::events_by_day(connection, first)? {
            let start = self.business.calendar.day_start(row.day);
            by_type.entry(row.event_type).or_default().insert(start, row.events);
        }
        let with_totals = [Family::ProductViewed, Family::UserRegistered, Family::OrderCreated].map(Family::name);
        for (event_type, counts) in by_type {
            let topics = &self.decoder.topics;
            let is_followed = topics
                .names()
                .filter_map(|topic| topics.event_type(topic))
                .any(|known| known.name() == event_type && !matches!(known, EventType::Adjustment));
            if with_totals.contains(&event_type.as_str()) || !is_followed {
                continue;
            }
            let first = counts.keys().min().copied();
            let value =
                |start: &DateTime<Utc>| (first? <= *start).then(|| number(counts.get(start).copied().unwrap_or(0)));
            let completeness = Completeness::of_events(&event_type, topics, self.reports);
            judge.judge(Series {
                subject: format!("events:{event_type}"),
                vendor: None,
                values: days.starts().iter().map(value).collect(),
                edges: days.clone(),
                complete_until: self.complete_until(&completeness, days),
                explained_by: Vec::new(),
                divided_by: None,
            });
        }
        Ok(())
    }

    /// Judges the hours of the sellers that have enough in every one.
    fn sellers_by_hour(
        &self,
        connection: &mut Connection,
        judge: &mut Judge<'_>,
        hours: &Edges,
        days: &Edges,
    ) -> Result<(), DbError> {
        let floor = i64::from(self.floor) * 24;
        let sellers = self.busiest(connection, ScopeKind::Seller, &SELLER, days, floor, MOST_BY_HOUR)?;
        let edges = hours.since(self.days_ago(DAYS_OF_HOURS));
        self.subjects(connection, judge, ScopeKind::Seller, &edges, &sellers)
    }

    /// Judges the days of sellers, also of those whose hours are judged: products have days only, which
    /// their seller's explain.
    fn sellers_by_day(&self, connection: &mut Connection, judge: &mut Judge<'_>, days: &Edges) -> Result<(), DbError> {
        let floor = i64::from(self.floor);
        let sellers = self.busiest(connection, ScopeKind::Seller, &SELLER, days, floor, MOST_SELLERS)?;
        self.subjects(connection, judge, ScopeKind::Seller, days, &sellers)
    }

    fn products(&self, connection: &mut Connection, judge: &mut Judge<'_>, days: &Edges) -> Result<(), DbError> {
        let floor = i64::from(self.floor);
        let products = self.busiest(connection, ScopeKind::Product, &PRODUCT, days, floor, MOST_PRODUCTS)?;
        self.subjects(connection, judge, ScopeKind::Product, days, &products)
    }

    /// Returns the sellers or products of which at least `floor` are expected a day, by one of the measures.
    fn busiest(
        &self,
        connection: &mut Connection,
        scope: ScopeKind,
        measures: &[(Measure, &str)],
        days: &Edges,
        floor: i64,
        most: i64,
    ) -> Result<Vec<String>, DbError> {
        let chosen: Vec<DateTime<Utc>> = CHOSEN_BY.map(|day| self.days_ago(day)).collect();
        let chosen: Vec<DateTime<Utc>> = chosen.into_iter().filter(|start| days.starts().contains(start)).collect();
        let at_least = floor.saturating_mul(i64::try_from(chosen.len()).unwrap_or(i64::MAX)).max(1);
        let mut subjects = BTreeSet::new();
        for (measure, _) in measures.iter().filter(|(measure, _)| !measure.is_money()) {
            subjects.extend(watched::busiest(connection, scope, *measure, &chosen, at_least, most)?);
        }
        Ok(subjects.into_iter().collect())
    }

    fn subjects(
        &self,
        connection: &mut Connection,
        judge: &mut Judge<'_>,
        scope: ScopeKind,
        edges: &Edges,
        subjects: &[String],
    ) -> Result<(), DbError> {
        let width = if edges.interval < Interval::DAY { Granularity::Hour } else { Granularity::Day };
        let (measures, per) = match scope {
            ScopeKind::Product => (&PRODUCT[..], "product"),
            ScopeKind::Seller | ScopeKind::Total | ScopeKind::Unattributed => (&SELLER[..], "seller"),
        };
        let complete: Vec<_> = measures.iter().map(|(measure, _)| self.complete(&[*measure], edges)).collect();
        for piece in subjects.chunks(PIECE) {
            let decoded = |subject: &String| Some((subject.clone(), decode_encoded(subject)?));
            let by_subject: HashMap<String, String> = piece.iter().filter_map(decoded).collect();
            let owners: HashMap<String, String> = match scope {
                ScopeKind::Product => {
                    let ids: Vec<String> = by_subject.into_values().collect();
                    watched::owners(connection, &ids)?.into_iter().map(|row| (row.subject, row.vendor_id)).collect()
                }
                _ => by_subject,
            };
            let rows = watched::of_subjects(connection, scope, width, piece, edges.starts())?;
            for rows in rows.chunk_by(|a, b| a.subject == b.subject) {
                let Some(subject) = rows.first().map(|row| row.subject.as_str()) else { continue };
                let rows: Vec<&Sums> = rows.iter().collect();
                let vendor = owners.get(subject);
                for ((measure, name), complete_until) in measures.iter().zip(&complete) {
                    let values = counts(edges, &rows, *measure);
                    // Amounts are large whole numbers also where a single order makes them up.
                    let is_enough = if measure.is_money() {
                        self.has_enough(&counts(edges, &rows, Measure::Orders))
                    } else {
                        self.has_enough(&values)
                    };
                    if !is_enough {
                        continue;
                    }
                    let seller = vendor
                        .filter(|_| scope == ScopeKind::Product)
                        .map(|vendor| format!("seller_{name}:{}", analytics_core::ids::Encoded(vendor)));
                    let own_orders = measure.is_money().then(|| format!("{per}_orders:{subject}"));
                    let total = Some(format!("total_{name}"));
                    judge.judge(Series {
                        subject: format!("{per}_{name}:{subject}"),
                        vendor: vendor.cloned(),
                        edges: edges.clone(),
                        values,
                        complete_until: *complete_until,
                        explained_by: [own_orders, seller, total].into_iter().flatten().collect(),
                        divided_by: None,
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether a bucket has as many as the floor, on average.
    fn has_enough(&self, values: &[Option<f64>]) -> bool {
        let known: Vec<f64> = values.iter().flatten().copied().collect();
        let sum: f64 = known.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "few buckets")]
        let mean = sum / known.len().max(1) as f64;
        mean >= f64::from(self.floor)
    }

    /// Returns the anomaly of the numbers themselves, if they are not complete in time.
    fn lateness(&self, hours: &Edges) -> Option<Found> {
        let completeness = Completeness::of(None, self.decoder, self.reports);
        let complete_until = self.complete_until(&completeness, hours);
        // Since when is not known if nothing was ever complete.
        let overdue = || hours.times.iter().rev().copied().find(|end| self.now - *end > self.grace);
        let from = complete_until.or_else(|| overdue().map(|end| end - Duration::hours(1)))?;
        let due = hours.times.iter().copied().find(|end| *end > from)?;
        let late = self.now - due;
        (late > self.grace).then(|| Found {
            subject: "freshness".to_owned(),
            vendor: None,
            is_daily: false,
            verdict: if completeness.is_known() { "delayed" } else { "unknown" },
            from,
            to: self.now,
            judged_until: self.now,
            is_open: true,
            observed: late.as_seconds_f64(),
            expected: 0.0,
            lower: 0.0,
            upper: self.grace.as_seconds_f64(),
            confidence: 1.0,
        })
    }
}

/// What is judged of a seller and of a product, and how its metrics are called. Revenue comes after the
/// orders that explain it.
const SELLER: [(Measure, &str); 3] =
    [(Measure::Views, "views"), (Measure::Orders, "orders"), (Measure::Revenue, "revenue")];
const PRODUCT: [(Measure, &str); 2] = [(Measure::Views, "views"), (Measure::Orders, "orders")];

/// Returns the counts of each bucket: from the first one on 0 if there is none.
fn counts(edges: &Edges, rows: &[&Sums], measure: Measure) -> Vec<Option<f64>> {
    let mut values = vec![None; edges.starts().len()];
    let index = |row: &&Sums| usize::try_from(row.place - 1).ok();
    let counted = || rows.iter().filter(|row| row.get(measure).is_some());
    let Some(first) = counted().filter_map(index).min() else { return values };
    values.iter_mut().skip(first).for_each(|value| *value = Some(0.0));
    for row in counted() {
        if let Some(value) = index(row).and_then(|index| values.get_mut(index)) {
            *value = row.get(measure).and_then(sums::known).map(number);
        }
    }
    values
}

/// Whether at least nine of ten buckets have revenue, so that several orders make up each. How many orders a currency
/// has is not counted.
fn is_steady(values: &[Option<f64>]) -> bool {
    let known = || values.iter().flatten();
    known().filter(|value| **value > 0.0).count() * 10 >= known().count() * 9
}

/// The fewest views of a bucket that has a conversion.
const FEWEST_VIEWS: f64 = 30.0;

/// Orders by views, in basis points.
fn rate(orders: f64, views: f64) -> Option<f64> {
    (views >= FEWEST_VIEWS).then(|| orders / views * 10_000.0)
}

#[expect(clippy::cast_precision_loss, reason = "a forecast needs no more than 15 digits")]
const fn number(sum: i64) -> f64 {
    sum as f64
}
