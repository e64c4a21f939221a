//! Deltas: what a batch of events adds to the metrics. They are sums, so that batches commute.

use chrono::{DateTime, NaiveDate, Utc};

use crate::calendar::Calendar;
use crate::catalogue::{Definition, Measure, Metric};
use crate::event::Stars;
use crate::identity::EventId;
use crate::ids::UserId;
use crate::maps::HashMap;
use crate::metric_type::{MetricType, Subject};
use crate::money::Currency;
use crate::ratios::Fraction;
use crate::rollup::{Bucket, Granularity, Measures, Moment, Scope};
use crate::sums;
use crate::time::EventTime;
use crate::topics::EventType;

/// Identifies a rating: the metric that it counts for, and the user who gave it.
pub type RatingKey = (MetricType, UserId);

/// A user's current rating, or one that may become the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rated {
    /// The stars given.
    pub stars: Stars,
    /// The time of the rating's event.
    pub time: EventTime,
    /// The id of that event.
    pub event: EventId,
}

impl Rated {
    /// Whether this rating replaces another one: it does if its event time is later or, for equal
    /// times, if its event id is greater. The order of arrival does not matter.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        (self.time, self.event) > (other.time, other.event)
    }
}

/// Everything that a batch adds. Sums are `i128` so that no batch can overflow them; a sum that
/// does not fit into the database's `bigint` is [marked](crate::sums) there.
#[derive(Debug, Default)]
pub struct Deltas {
    /// The counters, including those of days.
    pub counters: HashMap<MetricType, i128>,
    /// The measures by day and by hour.
    pub rollups: HashMap<Bucket, Measures>,
    /// The components of ratios.
    pub ratios: HashMap<MetricType, Fraction>,
    /// The latest rating in the batch for each user and target.
    pub ratings: HashMap<RatingKey, Rated>,
    /// The sums of adjustments by metric type, including types that the catalogue does not have.
    pub adjustments: HashMap<String, Adjusted>,
    /// The number of events of each type in each business day.
    pub events: HashMap<(NaiveDate, EventType), i64>,
    /// A cache of moments by the minute of the event, which saves a timezone lookup for each event.
    /// All are of one calendar, as the business has only one.
    moments: HashMap<i64, Moment>,
    kept: Kept,
}

/// Which of counters, rollups and ratios are kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kept {
    #[default]
    All,
    /// Only rollups.
    Rollups,
    /// Only the rollups of the finest granularity, from which everything else follows.
    Finest,
}

/// The sum of the adjustments of one metric.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Adjusted {
    /// The sum.
    pub sum: i128,
    /// Whether it is part of a measure: of its rollups on the day of the adjustment, and of every
    /// metric that is derived from it. Otherwise it changes this metric alone: the counter of a day,
    /// or a metric that the catalogue does not have.
    pub to_measure: bool,
}

impl Deltas {
    /// Creates deltas that keep of counters, rollups and ratios only what [`Self::finest`] returns.
    #[must_use]
    pub fn only_finest() -> Self {
        Self { kept: Kept::Finest, ..Self::default() }
    }

    /// Creates deltas that keep no counters and no ratios, which take most of the memory and time.
    #[must_use]
    pub fn only_rollups() -> Self {
        Self { kept: Kept::Rollups, ..Self::default() }
    }

    /// Adds an adjustment.
    pub(crate) fn adjust(&mut self, metric_type: &str, base: Currency, amount: i64, moment: &Moment) {
        let known = MetricType::parse(metric_type, moment.day, base).ok();
        let measured = known.as_ref().and_then(|counter| Some((counter.counts()?, counter.foreign_currency)));
        let adjusted = self.adjustments.entry(metric_type.to_owned()).or_default();
        adjusted.sum += i128::from(amount);
        adjusted.to_measure = measured.is_some();
        if let Some(((measure, scope), foreign_currency)) = measured {
            self.add(measure, &scope, foreign_currency, amount.into(), moment);
        }
    }

    /// Returns the adjustments that are not part of a measure.
    pub fn adjusted_alone(&self) -> impl Iterator<Item = (&str, i128)> {
        let alone = self.adjustments.iter().filter(|(_, adjusted)| !adjusted.to_measure);
        alone.map(|(metric_type, adjusted)| (metric_type.as_str(), adjusted.sum))
    }

    /// Returns the business day and hour that contain `time`.
    pub(crate) fn moment(&mut self, time: EventTime, calendar: Calendar) -> Moment {
        *self.moments.entry(Calendar::minute(time)).or_insert_with(|| Moment::of(time, calendar))
    }

    /// Adds to a measure in one scope: to its rollups, and to every metric that uses it. Adding 0
    /// creates the entries: a counted zero is stored as 0.
    pub(crate) fn add(
        &mut self,
        measure: Measure,
        scope: &Scope,
        foreign_currency: Option<Currency>,
        amount: i128,
        moment: &Moment,
    ) {
        if measure.is_kept_for(scope.kind()) {
            for (granularity, start) in [(Granularity::Hour, moment.hour_start), (Granularity::Day, moment.day_start)] {
                self.roll_up(measure, scope, foreign_currency, granularity, start, amount);
            }
        }
        if self.kept != Kept::All {
            return;
        }
        for metric in Metric::ALL {
            let metric_type = |subject| MetricType { metric, subject, foreign_currency };
            match metric.definition() {
                Definition::Counter { measure: counted, scope: kind } if (counted, kind) == (measure, scope.kind()) => {
                    *self.counters.entry(metric_type(scope.subject())).or_default() += amount;
                }
                Definition::Daily { measure: counted } if counted == measure && *scope == Scope::Total => {
                    *self.counters.entry(metric_type(Subject::Day(moment.day))).or_default() += amount;
                }
                Definition::Ratio { numerator, denominator, scope: kind, .. } if kind == scope.kind() => {
                    if numerator == measure {
                        let ratio = self.ratios.entry(metric_type(scope.subject())).or_default();
                        ratio.numerator = sums::add(ratio.numerator, sums::stored(amount));
                    }
                    if denominator == measure {
                        let ratio = self.ratios.entry(metric_type(scope.subject())).or_default();
                        ratio.denominator = sums::add(ratio.denominator, sums::stored(amount));
                    }
                }
                Definition::Difference { minuend, subtrahend, scope: kind } if kind == scope.kind() => {
                    if minuend == measure {
                        *self.counters.entry(metric_type(scope.subject())).or_default() += amount;
                    }
                    if subtrahend == measure {
                        *self.counters.entry(metric_type(scope.subject())).or_default() -= amount;
                    }
                }
                Definition::Counter { .. }
                | Definition::Daily { .. }
                | Definition::Ratio { .. }
                | Definition::Difference { .. }
                | Definition::AverageRating { .. } => {}
            }
        }
    }

    /// Returns the sums by the finest granularity that is kept for each scope. Everything else in
    /// the counters, rollups and ratios follows from them: see [`Self::add_finest`].
    pub fn finest(&self) -> impl Iterator<Item = (&Bucket, &Measures)> {
        self.rollups.iter().filter(|(bucket, _)| bucket.is_finest())
    }

    /// Adds the sums of a bucket that [`Self::finest`] returned.
    pub fn add_finest(&mut self, bucket: &Bucket, measures: &Measures, calendar: Calendar) {
        let moment = self.moment(bucket.start.into(), calendar);
        for measure in Measure::ALL {
            if let Some(amount) = measures.get(measure) {
                self.add(measure, &bucket.scope, bucket.foreign_currency, amount, &moment);
            }
        }
    }

    /// Proposes a rating. The one that [replaces](Rated::replaces) the other is kept.
    pub fn propose(&mut self, key: RatingKey, rated: Rated) {
        let proposed = self.ratings.entry(key).or_insert(rated);
        if rated.replaces(proposed) {
            *proposed = rated;
        }
    }

    fn roll_up(
        &mut self,
        measure: Measure,
        scope: &Scope,
        foreign_currency: Option<Currency>,
        granularity: Granularity,
        start: DateTime<Utc>,
        amount: i128,
    ) {
        let is_kept = match self.kept {
            Kept::All | Kept::Rollups => granularity.is_kept_for(scope.kind()),
            Kept::Finest => granularity == Granularity::finest(scope.kind()),
        };
        if is_kept {
            let bucket = Bucket { start, granularity, scope: scope.clone(), foreign_currency };
            self.rollups.entry(bucket).or_default().add(measure, amount);
        }
    }

    /// Adds to the part of a counter that one rollup bucket holds. Does nothing for metrics that
    /// are not counters, for counters of days, and for granularities that are not kept for the
    /// scope.
    pub fn add_to_rollup(
        &mut self,
        counter: &MetricType,
        granularity: Granularity,
        start: DateTime<Utc>,
        amount: i128,
    ) {
        if let Some((measure, scope)) = counter.counts() {
            self.roll_up(measure, &scope, counter.foreign_currency, granularity, start, amount);
        }
    }

    /// Subtracts the counters, rollups and ratios of other deltas. The result is the difference
    /// between the two.
    pub fn subtract(&mut self, other: &Self) {
        for (counter, amount) in &other.counters {
            *self.counters.entry(counter.clone()).or_default() -= amount;
        }
        for (bucket, measures) in &other.rollups {
            self.rollups.entry(bucket.clone()).or_default().subtract(measures);
        }
        for (ratio, fraction) in &other.ratios {
            let left = self.ratios.entry(ratio.clone()).or_default();
            left.numerator -= fraction.numerator;
            left.denominator -= fraction.denominator;
        }
    }

    /// Counts events of a type on a day.
    pub fn add_events(&mut self, day: NaiveDate, event_type: EventType, events: i64) {
        *self.events.entry((day, event_type)).or_default() += events;
    }

    /// Counts the event for its type and day, regardless of what else it adds to.
    pub(crate) fn logged(&mut self, event_type: &EventType, moment: &Moment) {
        *self.events.entry((moment.day, event_type.clone())).or_default() += 1;
    }
}
