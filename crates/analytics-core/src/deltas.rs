//! What a batch of events adds to the metrics: sums, so that batches commute.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::calendar::Calendar;
use crate::event::Stars;
use crate::identity::EventId;
use crate::ids::{ProductId, UserId, VendorId};
use crate::metric_type::{Metric, MetricType, Subject, Unit};
use crate::money::Currency;
use crate::time::EventTime;

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

impl Histogram {
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
    pub(crate) fn replaces(&self, other: &Self) -> bool {
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
}

impl Deltas {
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
        for (start, granularity) in [(moment.day_start, Granularity::Day), (moment.hour_start, Granularity::Hour)] {
            if let Some(scope) = scope(metric, &subject, granularity) {
                let bucket = Bucket { start, granularity, scope, foreign_currency };
                let measure = self.rollups.entry(bucket).or_default().of(metric.unit());
                if let Some(measure) = measure {
                    *measure = Some(measure.unwrap_or(0) + amount);
                }
            }
        }
        *self.counters.entry(MetricType { metric, subject, foreign_currency }).or_default() += amount;
    }

    /// The conversion of a seller, to add to.
    pub(crate) fn conversion(&mut self, vendor: &VendorId) -> &mut Conversion {
        self.conversions.entry(vendor.clone()).or_default()
    }
}

impl Measures {
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
