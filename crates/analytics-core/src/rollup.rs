//! Rollups: each measure by business day and, except for products, by hour.

use chrono::{DateTime, NaiveDate, Utc};

use crate::calendar::Calendar;
use crate::catalogue::{Definition, Measure, Metric, ScopeKind};
use crate::ids::{ProductId, VendorId};
use crate::metric_type::{MetricType, Subject};
use crate::money::Currency;
use crate::time::EventTime;

/// The business day and hour that contain an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The business day.
    pub day: NaiveDate,
    /// The start of the day.
    pub day_start: DateTime<Utc>,
    /// The start of the hour.
    pub hour_start: DateTime<Utc>,
}

impl Moment {
    /// Returns the day and the hour that contain `time`.
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

impl Scope {
    /// Returns the kind of the scope.
    #[must_use]
    pub const fn kind(&self) -> ScopeKind {
        match self {
            Self::Total => ScopeKind::Total,
            Self::Unattributed => ScopeKind::Unattributed,
            Self::Product(_) => ScopeKind::Product,
            Self::Seller(_) => ScopeKind::Seller,
        }
    }

    /// Returns the subject of its metrics.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Total | Self::Unattributed => Subject::Marketplace,
            Self::Product(product) => Subject::Product(product.clone()),
            Self::Seller(vendor) => Subject::Vendor(vendor.clone()),
        }
    }

    /// Returns the scope of this kind for a subject; `None` if the two do not go together.
    fn of(kind: ScopeKind, subject: &Subject) -> Option<Self> {
        match (kind, subject) {
            (ScopeKind::Total, Subject::Marketplace) => Some(Self::Total),
            (ScopeKind::Unattributed, Subject::Marketplace) => Some(Self::Unattributed),
            (ScopeKind::Product, Subject::Product(product)) => Some(Self::Product(product.clone())),
            (ScopeKind::Seller, Subject::Vendor(vendor)) => Some(Self::Seller(vendor.clone())),
            (_, Subject::Marketplace | Subject::Product(_) | Subject::Vendor(_) | Subject::Day(_)) => None,
        }
    }
}

impl MetricType {
    /// Returns the scope of this kind that the metric is about, if its subject has one.
    #[must_use]
    pub fn scope(&self, kind: ScopeKind) -> Option<Scope> {
        Scope::of(kind, &self.subject)
    }

    /// Returns the measure and the scope that a counter sums; `None` for other metrics, and for
    /// counters of days, which are part of their total.
    #[must_use]
    pub fn counts(&self) -> Option<(Measure, Scope)> {
        match self.metric.definition() {
            Definition::Counter { measure, scope } => Some((measure, Scope::of(scope, &self.subject)?)),
            Definition::Daily { .. }
            | Definition::Ratio { .. }
            | Definition::Difference { .. }
            | Definition::AverageRating { .. } => None,
        }
    }
}

/// The width of a rollup's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Granularity {
    /// Business hours: kept for all scopes except products.
    Hour,
    /// Business days: kept for all scopes.
    Day,
}

impl Granularity {
    /// Both granularities.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// Returns the name in `metric_rollups` and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Returns the granularity of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|granularity| granularity.name() == name)
    }

    /// Returns the smallest width that is kept for a kind of scope.
    #[must_use]
    pub const fn finest(scope: ScopeKind) -> Self {
        if Self::Hour.is_kept_for(scope) { Self::Hour } else { Self::Day }
    }

    /// Whether rows of this width are kept for a kind of scope.
    #[must_use]
    pub const fn is_kept_for(self, scope: ScopeKind) -> bool {
        match self {
            Self::Day => true,
            Self::Hour => !matches!(scope, ScopeKind::Product),
        }
    }
}

/// The key of a rollup row: one scope, in one currency, in one bucket of time. The currency only
/// matters for money; all other measures are in the row of the base currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    /// The start of the bucket.
    pub start: DateTime<Utc>,
    /// The width of the bucket.
    pub granularity: Granularity,
    /// What the row is about.
    pub scope: Scope,
    /// The currency, unless it is the base currency.
    pub foreign_currency: Option<Currency>,
}

impl Bucket {
    /// Returns whether it has the smallest width that is kept for its scope.
    #[must_use]
    pub fn is_finest(&self) -> bool {
        self.granularity == Granularity::finest(self.scope.kind())
    }

    /// Returns the sums of the row, each with the metric type that it is a part of. `day` is the
    /// business day that contains the bucket.
    pub fn counters(&self, day: NaiveDate, measures: Measures) -> impl Iterator<Item = (MetricType, i128)> {
        Metric::ALL.into_iter().filter_map(move |metric| {
            let (measure, subject) = match metric.definition() {
                Definition::Counter { measure, scope } if scope == self.scope.kind() => (measure, self.scope.subject()),
                Definition::Daily { measure } if self.scope == Scope::Total && self.granularity == Granularity::Day => {
                    (measure, Subject::Day(day))
                }
                Definition::Counter { .. }
                | Definition::Daily { .. }
                | Definition::Ratio { .. }
                | Definition::Difference { .. }
                | Definition::AverageRating { .. } => return None,
            };
            let sum = measures.get(measure)?;
            Some((MetricType { metric, subject, foreign_currency: self.foreign_currency }, sum))
        })
    }
}

/// The sums of one rollup row: each measure has its own column; `None` if it was not counted there.
///
/// There are many of these structures, so nearly all sums take 64 bits each, and none an `Option`.
#[derive(Debug, Clone, Default)]
pub struct Measures {
    sums: [i64; MEASURES],
    /// A bit for each measure that was counted.
    counted: u16,
    /// All sums, once one of them does not fit into 64 bits.
    large: Option<Box<[i128; MEASURES]>>,
}

const MEASURES: usize = Measure::ALL.len();

impl Measures {
    /// Returns the sum of a measure.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Option<i128> {
        if self.counted & 1 << measure as u8 == 0 {
            return None;
        }
        match &self.large {
            Some(large) => large.get(measure as usize).copied(),
            None => self.sums.get(measure as usize).copied().map(i128::from),
        }
    }

    /// Adds to the sum of a measure. Adding 0 to a measure that was not counted makes it 0.
    pub fn add(&mut self, measure: Measure, amount: i128) {
        self.counted |= 1 << measure as u8;
        if self.large.is_none() {
            let Some(sum) = self.sums.get_mut(measure as usize) else { return };
            if let Ok(added) = i64::try_from(i128::from(*sum) + amount) {
                *sum = added;
                return;
            }
        }
        let large = self.large.get_or_insert_with(|| Box::new(self.sums.map(i128::from)));
        large.get_mut(measure as usize).into_iter().for_each(|sum| *sum += amount);
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        for measure in Measure::ALL {
            if let Some(amount) = other.get(measure) {
                self.add(measure, amount);
            }
        }
    }

    /// Subtracts other sums.
    pub(crate) fn subtract(&mut self, other: &Self) {
        for measure in Measure::ALL {
            if let Some(amount) = other.get(measure) {
                self.add(measure, -amount);
            }
        }
    }
}

impl PartialEq for Measures {
    fn eq(&self, other: &Self) -> bool {
        Measure::ALL.into_iter().all(|measure| self.get(measure) == other.get(measure))
    }
}

impl Eq for Measures {}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(scope: Scope) -> Bucket {
        Bucket { start: DateTime::UNIX_EPOCH, granularity: Granularity::Day, scope, foreign_currency: None }
    }

    #[test]
    fn a_measure_is_added_to_its_own_column_and_read_back_as_its_own_metrics() {
        let (product, vendor) = (ProductId::parse("p").unwrap(), VendorId::parse("v").unwrap());
        for measure in Measure::ALL {
            let mut measures = Measures::default();
            measures.add(measure, 7);
            for other in Measure::ALL {
                assert_eq!(measures.get(other), (other == measure).then_some(7), "{measure:?} and {other:?}");
            }
            for scope in
                [Scope::Total, Scope::Unattributed, Scope::Product(product.clone()), Scope::Seller(vendor.clone())]
            {
                for (counter, sum) in bucket(scope).counters(NaiveDate::default(), measures.clone()) {
                    let of_measure = match counter.metric.definition() {
                        Definition::Counter { measure, .. } | Definition::Daily { measure } => measure,
                        other => panic!("{other:?}"),
                    };
                    assert_eq!((of_measure, sum), (measure, 7), "{counter}");
                }
            }
        }
    }

    #[test]
    fn sums_may_be_larger_than_64_bits_and_small_again() {
        let (mut sums, most) = (Measures::default(), i128::from(i64::MAX));
        sums.add(Measure::Views, 3);
        for (amount, sum) in
            [(most, most), (1, most + 1), (most * 5, most * 6 + 1), (-most * 6, 1), (-most - 3, -most - 2)]
        {
            sums.add(Measure::Revenue, amount);
            assert_eq!((sums.get(Measure::Revenue), sums.get(Measure::Views)), (Some(sum), Some(3)));
            assert_eq!(sums.get(Measure::Orders), None);
        }
        sums.add(Measure::Revenue, most + 9);
        let mut same = Measures::default();
        same.add(Measure::Views, 3);
        assert_ne!(sums, same);
        same.add(Measure::Revenue, 7);
        assert_eq!(sums, same, "however the sums came about");
        sums.subtract(&same);
        assert_eq!(
            (sums.get(Measure::Revenue), sums.get(Measure::Views), sums.get(Measure::Units)),
            (Some(0), Some(0), None)
        );
    }
}
