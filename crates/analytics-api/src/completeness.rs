//! Whether everything that a metric is made of was counted up to a time.

use analytics_core::catalogue::{Definition, Measure};
use analytics_core::family::{Family, Shape};
use analytics_core::freshness::TopicReport;
use analytics_core::metric_type::MetricType;
use analytics_core::rules;
use analytics_core::topics::EventType;
use chrono::{DateTime, Utc};

use crate::database::Database;
use crate::settings::ApiSettings;

/// The reports on the topics that feed a metric; `None` for a topic that ingest has not reported on.
pub(crate) struct Completeness(Vec<Option<TopicReport>>);

impl Completeness {
    /// Of a metric; of every counted topic without one.
    pub(crate) fn of(known: Option<&MetricType>, database: &Database, settings: &ApiSettings) -> Self {
        let families = families(known);
        let topics = &settings.decoder.topics;
        let feeds = |topic: &&str| match topics.event_type(topic) {
            Some(EventType::Counted(family)) => families.contains(family),
            Some(EventType::Extra(_) | EventType::Adjustment) | None => false,
        };
        let reports = database.reports();
        let report = |topic: &str| reports.iter().find(|report| report.topic == topic).cloned();
        let feeding = topics.names().filter(feeds).map(|topic| (topics.is_optional(topic), report(topic)));
        // An older ingest does not know of topics that may be absent.
        Self(
            feeding
                .filter(|(is_optional, report)| report.is_some() || !is_optional)
                .map(|(_, report)| report)
                .collect(),
        )
    }

    /// Whether everything of before `end` is counted, seen from `now`.
    pub(crate) fn is_complete(&self, end: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        end <= now
            && !self.0.is_empty()
            && self.0.iter().all(|report| report.as_ref().is_some_and(|report| report.is_counted_past(end, now)))
    }
}

/// The families of whose events a metric is made.
fn families(known: Option<&MetricType>) -> Vec<Family> {
    let of_measures = |measures: &[Measure]| measures.iter().flat_map(|measure| rules::families_of(*measure)).collect();
    match known.map(|known| known.metric.definition()) {
        Some(Definition::Counter { measure, .. } | Definition::Daily { measure }) => of_measures(&[measure]),
        Some(Definition::Ratio { numerator, denominator, .. }) => of_measures(&[numerator, denominator]),
        Some(Definition::AverageRating { .. }) => Shape::Rating.families().collect(),
        None => Family::ALL.into_iter().filter(|family| family.is_counted()).collect(),
    }
}
