//! The differences that verify may find: a key, the stored value, and the value that the log gives.

use std::fmt;

use analytics_core::deltas::Rated;
use analytics_core::identity::{EventId, IdentityKey};
use analytics_core::ratios::{Fraction, Histogram};
use analytics_core::rollup::Granularity;
use analytics_core::time::EventTime;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde_json::{Value, json};

/// The columns of a metric that are computed from the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// The value.
    pub value: Option<i64>,
    /// The numerator of a rate or an average.
    pub numerator: Option<i64>,
    /// The denominator.
    pub denominator: Option<i64>,
    /// For an average, the number of ratings with 1 to 5 stars.
    pub histogram: Option<Vec<i64>>,
    /// For a rate or an average, the components as the API shows them.
    pub metadata: Option<Value>,
}

/// One mismatch between the stored numbers and the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A metric.
    Metric {
        /// Its type.
        metric_type: String,
        /// The stored value.
        found: Figures,
        /// The value that the log gives.
        expected: Figures,
    },
    /// A counter's sum in an hour or a day.
    Rollup {
        /// The metric's type.
        metric_type: String,
        /// Whether the bucket is an hour or a day.
        granularity: Granularity,
        /// When the hour or day begins.
        bucket_start: DateTime<Utc>,
        /// The stored value; `None` if there is no row.
        found: Option<i64>,
        /// The value that the log gives.
        expected: Option<i64>,
    },
    /// A user's current rating.
    Rating {
        /// The metric that it counts for.
        metric_type: String,
        /// The user.
        user: String,
        /// The stored rating.
        found: Option<Rated>,
        /// The rating that the log gives.
        expected: Option<Rated>,
    },
    /// An event that was changed after it was counted, or is missing.
    Event {
        /// Its id.
        id: EventId,
        /// What was found instead of the event.
        problem: String,
    },
    /// What was booked for a cancellation or a refund is not what all of those of its order come to.
    Reversal {
        /// The id of its event.
        id: EventId,
        /// The order.
        order: IdentityKey,
    },
    /// A day on which the log has another number of events than were counted.
    EventDay {
        /// The day.
        day: NaiveDate,
        /// The type of the events.
        event_type: String,
        /// Number of events counted.
        counted: i64,
        /// Number of events in the log.
        logged: i64,
    },
    /// A stored statement of a seller that is not the one that was sealed, or does not follow the one before it.
    Statement {
        /// The seller.
        vendor: String,
        /// The first day of its month.
        month: NaiveDate,
        /// Its version.
        version: i32,
        /// What is wrong with it.
        problem: String,
    },
    /// Recounted numbers that do not add up: a defect of the rules, whatever was stored.
    Sum {
        /// The two numbers that should be equal.
        what: String,
        /// The total.
        total: i128,
        /// The sum of its parts.
        parts: i128,
    },
}

impl Figures {
    /// Returns the columns of a counter.
    #[must_use]
    pub fn counter(value: Option<i64>) -> Self {
        Self { value, ..Self::default() }
    }

    /// Returns the columns of a ratio in which 1 is written as `scale`.
    #[must_use]
    pub fn ratio(fraction: Fraction, scale: i64) -> Self {
        let Fraction { numerator, denominator } = fraction;
        Self {
            value: fraction.value(scale),
            numerator: Some(numerator),
            denominator: Some(denominator),
            histogram: None,
            metadata: Some(json!({ "numerator": numerator, "denominator": denominator })),
        }
    }

    /// Returns the columns of an average.
    #[must_use]
    pub fn average(histogram: &Histogram) -> Self {
        let [n1, n2, n3, n4, n5] = histogram.0;
        Self {
            value: histogram.average(),
            numerator: Some(histogram.sum()),
            denominator: Some(histogram.count()),
            histogram: Some(histogram.0.to_vec()),
            metadata: Some(json!({
                "count": histogram.count(), "sum": histogram.sum(),
                "histogram": { "1": n1, "2": n2, "3": n3, "4": n4, "5": n5 },
            })),
        }
    }

    /// Formats the figures for display next to `other`: with the metadata, if nothing else differs.
    fn beside(&self, other: &Self) -> String {
        let text = self.to_string();
        match &self.metadata {
            Some(metadata) if text == other.to_string() => format!("{text}, shown as {metadata}"),
            None if text == other.to_string() => format!("{text}, shown without components"),
            _ => text,
        }
    }

    /// Returns whether everything is zero or missing: a row of zeros is equivalent to no row.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let zero = |number: Option<i64>| number.unwrap_or(0) == 0;
        zero(self.value) && zero(self.numerator) && zero(self.denominator)
    }
}

impl Difference {
    /// Returns the kind of the difference, as used in proofs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Metric { .. } => "metric",
            Self::Rollup { .. } => "rollup",
            Self::Rating { .. } => "rating",
            Self::Event { .. } => "event",
            Self::Reversal { .. } => "reversal",
            Self::EventDay { .. } => "events",
            Self::Statement { .. } => "statement",
            Self::Sum { .. } => "sum",
        }
    }

    /// Returns the metric that differs, if it is a metric, a rollup or a rating.
    #[must_use]
    pub fn metric_type(&self) -> Option<&str> {
        match self {
            Self::Metric { metric_type, .. } | Self::Rollup { metric_type, .. } | Self::Rating { metric_type, .. } => {
                Some(metric_type)
            }
            Self::Event { .. }
            | Self::Reversal { .. }
            | Self::EventDay { .. }
            | Self::Statement { .. }
            | Self::Sum { .. } => None,
        }
    }

    /// Returns whether it can be repaired from the log. A changed event or statement has to be restored, and
    /// sums that do not add up are a defect.
    #[must_use]
    pub const fn is_repairable(&self) -> bool {
        !matches!(self, Self::Event { .. } | Self::Statement { .. } | Self::Sum { .. })
    }

    /// Returns whether it shows that the log itself is not what was counted: an event was changed
    /// or is missing. Numbers recounted from such a log may be wrong where the stored ones are
    /// right.
    #[must_use]
    pub const fn accuses_the_log(&self) -> bool {
        match self {
            Self::Event { .. } => true,
            Self::EventDay { counted, logged, .. } => *counted > *logged,
            Self::Metric { .. }
            | Self::Rollup { .. }
            | Self::Rating { .. }
            | Self::Reversal { .. }
            | Self::Statement { .. }
            | Self::Sum { .. } => false,
        }
    }

    /// Returns what differs: a metric type, an event id, a day, a statement.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Metric { metric_type, .. } => metric_type.clone(),
            Self::Rollup { metric_type, granularity, bucket_start, .. } => {
                format!(
                    "{metric_type} {} {}",
                    granularity.name(),
                    bucket_start.to_rfc3339_opts(SecondsFormat::Secs, true)
                )
            }
            Self::Rating { metric_type, user, .. } => format!("{metric_type} by {user}"),
            Self::Event { id, .. } | Self::Reversal { id, .. } => id.to_string(),
            Self::EventDay { day, event_type, .. } => format!("{event_type} {day}"),
            Self::Statement { vendor, month, version, .. } => {
                format!("{vendor} {} version {version}", month.format("%Y-%m"))
            }
            Self::Sum { what, .. } => what.clone(),
        }
    }

    /// Returns what is stored, as text.
    #[must_use]
    pub fn found(&self) -> String {
        match self {
            Self::Metric { found, expected, .. } => found.beside(expected),
            Self::Rollup { found, .. } => shown(*found),
            Self::Rating { found, .. } => rated(found.as_ref()),
            Self::Event { problem, .. } | Self::Statement { problem, .. } => problem.clone(),
            Self::Reversal { .. } => "other amounts".into(),
            Self::EventDay { logged, .. } => format!("{logged} in the log"),
            Self::Sum { total, .. } => total.to_string(),
        }
    }

    /// Returns what the log gives, as text.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Metric { found, expected, .. } => expected.beside(found),
            Self::Rollup { expected, .. } => shown(*expected),
            Self::Rating { expected, .. } => rated(expected.as_ref()),
            Self::Event { .. } => "the event that was counted".into(),
            Self::Reversal { .. } => "what the reversals of its order come to".into(),
            Self::EventDay { counted, .. } => format!("{counted} as counted"),
            Self::Statement { .. } => "the statement that was closed".into(),
            Self::Sum { parts, .. } => parts.to_string(),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: found {}, should be {}", self.kind(), self.key(), self.found(), self.expected())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.value))?;
        if let (Some(numerator), Some(denominator)) = (self.numerator, self.denominator) {
            write!(f, " ({numerator} / {denominator})")?;
        }
        if let Some(histogram) = &self.histogram {
            write!(f, " {histogram:?}")?;
        }
        Ok(())
    }
}

fn shown(number: Option<i64>) -> String {
    number.map_or_else(|| "nothing".into(), |number| number.to_string())
}

fn rated(rated: Option<&Rated>) -> String {
    let time = |time: EventTime| time.utc().to_rfc3339_opts(SecondsFormat::Micros, true);
    rated.map_or_else(
        || "nothing".into(),
        |Rated { stars, time: at, event }| format!("{} stars at {} by {event}", stars.get(), time(*at)),
    )
}
