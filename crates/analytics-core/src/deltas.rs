//! What a batch of events adds to the metrics: sums, so that batches commute.

use chrono::{DateTime, NaiveDate, Utc};

use crate::calendar::Calendar;
use crate::event::Stars;
use crate::identity::EventId;
use crate::ids::{ProductId, UserId, VendorId};
use crate::maps::HashMap;
use crate::metric_type::{CATALOGUE, Metric, MetricType, Subject, SubjectKind, Unit};
use crate::money::Currency;
use crate::time::EventTime;
use crate::topics::EventType;

/// The business day and hour of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The day.
    pub day: NaiveDate,
    /// When the day began.
    pub day_start: DateTime<Utc>,
    /// When the hour began.
    pub hour_start: DateTime<Utc>,
}

impl Moment {
    /// The day and the hour in which `time` lies.
    #[must_use]
    pub fn of(time: EventTime, calendar: Calendar) -> Self {
        let day = calendar.day(time);
        Self { day, day_start: calendar.day_start(day), hour_start: calendar.hour_start(time) }
    }
}

/// What a rollup row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The whole marketplace.
    Total,
    /// What belongs to no seller.
    Unattributed,
    /// One product.
    Product(ProductId),
    /// One seller.
    Seller(VendorId),
}

/// The width of a rollup's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Granularity {
    /// Hours of the business's clock: for sellers and totals.
    Hour,
    /// Business days: for everything.
    Day,
}

/// One row of the rollups: all counters of one subject, in one currency, in one bucket.
/// The currency is that of revenue; counts of things stand in the base currency's row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    /// When the bucket begins.
    pub start: DateTime<Utc>,
    /// Its width.
    pub granularity: Granularity,
    /// Whom it is about.
    pub scope: Scope,
    /// The currency, unless it is the base currency.
    pub foreign_currency: Option<Currency>,
}

/// The counters of one rollup row; `None` was not counted there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measures {
    /// Page views.
    pub views: Option<i128>,
    /// New accounts.
    pub signups: Option<i128>,
    /// Orders.
    pub orders: Option<i128>,
    /// Units ordered.
    pub units: Option<i128>,
    /// Revenue in minor units.
    pub revenue: Option<i128>,
}

/// The two counts behind a seller's conversion rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conversion {
    /// Orders with the seller in them.
    pub orders: i64,
    /// Views of the seller's products.
    pub views: i64,
}

/// How many ratings of each number of stars: index 0 is one star.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Histogram(pub [i64; 5]);

impl Conversion {
    /// Orders over views in basis points, rounded half up; `None` without views.
    #[must_use]
    pub fn rate(self) -> Option<i64> {
        ratio(self.orders, self.views, 10_000)
    }
}

/// Rounded half up; `None` where nothing is divided or the result does not fit.
fn ratio(numerator: i64, denominator: i64, scale: i128) -> Option<i64> {
    let (numerator, denominator) = (i128::from(numerator), i128::from(denominator));
    let rounded = (numerator * scale * 2 + denominator).checked_div(denominator * 2)?;
    i64::try_from(rounded).ok()
}

impl Histogram {
    /// The average of the stars times 100, rounded half up; `None` without ratings.
    #[must_use]
    pub fn average(&self) -> Option<i64> {
        ratio(self.sum(), self.count(), 100)
    }

    /// Adds ratings of a number of stars.
    pub fn add(&mut self, stars: Stars, ratings: i64) {
        if let Some(count) = self.0.get_mut(usize::from(stars.get()) - 1) {
            *count += ratings;
        }
    }

    /// How many ratings there are.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.0.iter().sum()
    }

    /// The sum of their stars.
    #[must_use]
    pub fn sum(&self) -> i64 {
        (1_i64..).zip(self.0).map(|(stars, count)| stars * count).sum()
    }
}

/// Whose opinion of what: the metric that a rating counts for, and the user.
pub type Opinion = (MetricType, UserId);

/// A rating that stands, or wants to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rated {
    /// The stars given.
    pub stars: Stars,
    /// When.
    pub time: EventTime,
    /// By which event.
    pub event: EventId,
}

impl Rated {
    /// The latest event time stands; of equal times the greater event id, so that the order of
    /// arrival does not matter.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        (self.time, self.event) > (other.time, other.event)
    }
}

/// Everything that a batch adds. Sums are `i128` so that no batch can overflow them; what does
/// not fit the database's `bigint` is refused there.
#[derive(Debug, Default)]
pub struct Deltas {
    /// Counters.
    pub counters: HashMap<MetricType, i128>,
    /// The same by day and by hour.
    pub rollups: HashMap<Bucket, Measures>,
    /// Conversion of sellers.
    pub conversions: HashMap<VendorId, Conversion>,
    /// The latest rating in the batch of each opinion.
    pub ratings: HashMap<Opinion, Rated>,
    /// What was added by hand, by metric type; also to metrics that the catalogue does not have.
    pub adjustments: HashMap<String, i128>,
    /// How many events there were of each type in each business day.
    pub events: HashMap<(NaiveDate, EventType), i64>,
    /// The moments of events by the minute in which they lie, so that not each event has to be looked
    /// up in a timezone. All are of one calendar: the business has only one.
    moments: HashMap<i64, Moment>,
}

impl Deltas {
    /// The day and the hour in which `time` lies.
    pub(crate) fn moment(&mut self, time: EventTime, calendar: Calendar) -> Moment {
        *self.moments.entry(Calendar::minute(time)).or_insert_with(|| Moment::of(time, calendar))
    }

    /// Adds to a counter and to its rollups. Adding zero makes the row: a counted zero is 0.
    pub(crate) fn add(
        &mut self,
        metric: Metric,
        subject: Subject,
        foreign_currency: Option<Currency>,
        amount: i64,
        moment: &Moment,
    ) {
        let amount = i128::from(amount);
        let counter = MetricType { metric, subject, foreign_currency };
        self.add_to_rollup(&counter, Granularity::Day, moment.day_start, amount);
        self.add_to_rollup(&counter, Granularity::Hour, moment.hour_start, amount);
        *self.counters.entry(counter).or_default() += amount;
    }

    /// Adds to the part of a counter that lies in one bucket, if the counter has such parts.
    pub fn add_to_rollup(
        &mut self,
        counter: &MetricType,
        granularity: Granularity,
        start: DateTime<Utc>,
        amount: i128,
    ) {
        let Some(scope) = scope(counter.metric, &counter.subject, granularity) else { return };
        let bucket = Bucket { start, granularity, scope, foreign_currency: counter.foreign_currency };
        if let Some(measure) = self.rollups.entry(bucket).or_default().of(counter.metric.unit()) {
            *measure = Some(measure.unwrap_or(0) + amount);
        }
    }

    /// Takes away what other deltas add: what is left turns the one into the other.
    pub fn subtract(&mut self, other: &Self) {
        for (counter, amount) in &other.counters {
            *self.counters.entry(counter.clone()).or_default() -= amount;
        }
        for (bucket, measures) in &other.rollups {
            self.rollups.entry(bucket.clone()).or_default().subtract(measures);
        }
        for (vendor, conversion) in &other.conversions {
            let left = self.conversion(vendor);
            left.orders -= conversion.orders;
            left.views -= conversion.views;
        }
    }

    /// Takes note of an event, whatever else it adds to.
    pub(crate) fn logged(&mut self, event_type: &EventType, moment: &Moment) {
        *self.events.entry((moment.day, event_type.clone())).or_default() += 1;
    }

    /// The conversion of a seller, to add to.
    pub(crate) fn conversion(&mut self, vendor: &VendorId) -> &mut Conversion {
        self.conversions.entry(vendor.clone()).or_default()
    }
}

impl Bucket {
    /// The counters that the row holds, each as the metric that it is a part of.
    /// `day` is the business day in which the bucket lies.
    pub fn counters(&self, day: NaiveDate, mut measures: Measures) -> impl Iterator<Item = (MetricType, i128)> {
        CATALOGUE.into_iter().filter_map(move |(metric, ..)| {
            let subject = self.subject(metric, day)?;
            let sum = (*measures.of(metric.unit())?)?;
            Some((MetricType { metric, subject, foreign_currency: self.foreign_currency }, sum))
        })
    }

    /// The subject of a metric that has its counter in this row.
    fn subject(&self, metric: Metric, day: NaiveDate) -> Option<Subject> {
        match (&self.scope, metric.subject()) {
            (Scope::Unattributed, SubjectKind::Marketplace) => {
                (metric == Metric::UnattributedRevenue).then_some(Subject::Marketplace)
            }
            (Scope::Total, SubjectKind::Marketplace) => {
                (metric != Metric::UnattributedRevenue).then_some(Subject::Marketplace)
            }
            (Scope::Total, SubjectKind::Day) => (self.granularity == Granularity::Day).then_some(Subject::Day(day)),
            (Scope::Product(product), SubjectKind::Product) => Some(Subject::Product(product.clone())),
            (Scope::Seller(vendor), SubjectKind::Vendor) => Some(Subject::Vendor(vendor.clone())),
            _ => None,
        }
    }
}

impl Measures {
    fn subtract(&mut self, other: &Self) {
        for unit in [Unit::Views, Unit::Users, Unit::Orders, Unit::Units, Unit::MinorUnits] {
            if let (Some(left), Some(Some(amount))) = (self.of(unit), { *other }.of(unit).copied()) {
                *left = Some(left.unwrap_or(0) - amount);
            }
        }
    }

    fn of(&mut self, unit: Unit) -> Option<&mut Option<i128>> {
        match unit {
            Unit::Views => Some(&mut self.views),
            Unit::Users => Some(&mut self.signups),
            Unit::Orders => Some(&mut self.orders),
            Unit::Units => Some(&mut self.units),
            Unit::MinorUnits => Some(&mut self.revenue),
            Unit::BasisPoints | Unit::HundredthsOfStars => None,
        }
    }
}

/// The rollup row that a counter belongs to, if it has one of this granularity: hours are kept
/// for sellers and totals. The day's signups are the day's row of all signups.
fn scope(metric: Metric, subject: &Subject, granularity: Granularity) -> Option<Scope> {
    match (subject, granularity) {
        (Subject::Day(_), _) | (Subject::Product(_), Granularity::Hour) => None,
        (Subject::Product(product), Granularity::Day) => Some(Scope::Product(product.clone())),
        (Subject::Vendor(vendor), _) => Some(Scope::Seller(vendor.clone())),
        (Subject::Marketplace, _) if metric == Metric::UnattributedRevenue => Some(Scope::Unattributed),
        (Subject::Marketplace, _) => Some(Scope::Total),
    }
}
