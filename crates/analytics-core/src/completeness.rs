//! Whether everything that a number is made of was counted up to a time.

use chrono::{DateTime, Utc};

use crate::catalogue::{Definition, Measure};
use crate::events::{Decoder, OrderCounts};
use crate::family::{Family, Shape};
use crate::freshness::TopicReport;
use crate::metric_type::MetricType;
use crate::rules;
use crate::topics::{EventType, Topics};

/// The reports on the topics that feed a number; `None` for a topic that ingest has not reported on.
#[derive(Debug, Clone)]
pub struct Completeness(Vec<Option<TopicReport>>);

impl Completeness {
    /// Of a metric; of every counted topic without one.
    #[must_use]
    pub fn of(known: Option<&MetricType>, decoder: &Decoder, reports: &[TopicReport]) -> Self {
        let families = families(known, decoder.order_counts);
        Self::of_topics(&decoder.topics, reports, |event_type| match event_type {
            EventType::Counted(family) => families.contains(family),
            EventType::Extra(_) | EventType::Adjustment => false,
        })
    }

    /// Of numbers that are made of these measures.
    #[must_use]
    pub fn of_measures(measures: &[Measure], decoder: &Decoder, reports: &[TopicReport]) -> Self {
        let families = of_measures(measures, decoder.order_counts);
        Self::of_topics(&decoder.topics, reports, |event_type| match event_type {
            EventType::Counted(family) => families.contains(family),
            EventType::Extra(_) | EventType::Adjustment => false,
        })
    }

    /// Of the events of one type.
    #[must_use]
    pub fn of_events(name: &str, topics: &Topics, reports: &[TopicReport]) -> Self {
        Self::of_topics(topics, reports, |event_type| event_type.name() == name)
    }

    fn of_topics(topics: &Topics, reports: &[TopicReport], feeds: impl Fn(&EventType) -> bool) -> Self {
        let report = |topic: &str| reports.iter().find(|report| report.topic == topic).cloned();
        let feeding = topics.names().filter(|topic| topics.event_type(topic).is_some_and(&feeds));
        let feeding = feeding.map(|topic| (topics.is_optional(topic), report(topic)));
        // An older ingest does not know of topics that may be absent.
        Self(
            feeding
                .filter(|(is_optional, report)| report.is_some() || !is_optional)
                .map(|(_, report)| report)
                .collect(),
        )
    }

    /// Whether everything of before `end` is counted, seen from `now`.
    #[must_use]
    pub fn is_complete(&self, end: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        end <= now
            && !self.0.is_empty()
            && self.0.iter().all(|report| report.as_ref().is_some_and(|report| report.is_counted_past(end, now)))
    }

    /// Whether ingest has reported on every topic that none of them exists.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|report| report.as_ref().is_some_and(|report| report.partitions == 0))
    }

    /// Whether every topic exists and ingest has reported on it, so that it is known how late it is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let is_known = |report: &TopicReport| report.is_idle() || (report.partitions > 0 && !report.reports.is_empty());
        !self.0.is_empty() && self.0.iter().all(|report| report.as_ref().is_some_and(is_known))
    }
}

/// The families of whose events a metric is made.
fn families(known: Option<&MetricType>, order_counts: OrderCounts) -> Vec<Family> {
    let measures: &[Measure] = match known.map(|known| known.metric.definition()) {
        Some(Definition::Counter { measure, .. } | Definition::Daily { measure }) => &[measure],
        Some(Definition::Ratio { numerator, denominator, .. }) => &[numerator, denominator],
        Some(Definition::Difference { minuend, subtrahend, .. }) => &[minuend, subtrahend],
        Some(Definition::AverageRating { .. }) => return Shape::Rating.families().collect(),
        None => {
            let is_read = |family: &Family| *family != Family::OrderPaid || order_counts == OrderCounts::Paid;
            return Family::ALL.into_iter().filter(|family| family.is_counted() && is_read(family)).collect();
        }
    };
    of_measures(measures, order_counts)
}

fn of_measures(measures: &[Measure], order_counts: OrderCounts) -> Vec<Family> {
    let mut families: Vec<Family> = measures.iter().flat_map(|measure| rules::families_of(*measure)).collect();
    // Then an order counts once a payment is read.
    if order_counts == OrderCounts::Paid && families.contains(&Family::OrderCreated) {
        families.extend([Family::OrderPaid, Family::OrderStatusUpdated]);
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    #[test]
    fn payments_are_waited_for_where_orders_count_when_they_are_paid() {
        let (created, paid) = (OrderCounts::Created, OrderCounts::Paid);
        let (order, payment, status) = (Family::OrderCreated, Family::OrderPaid, Family::OrderStatusUpdated);
        for (metric, order_counts, waited_for, not_waited_for) in [
            ("total_orders", created, &[order][..], &[payment, status][..]),
            ("total_orders", paid, &[order, payment, status], &[]),
            ("seller_revenue:v", created, &[order], &[payment, status]),
            ("seller_revenue:v", paid, &[order, payment, status], &[]),
            ("conversion_rate:v", created, &[order, Family::ProductViewed], &[payment, status]),
            // A cancellation is a status.
            ("total_refunds", created, &[status], &[payment]),
            ("total_net_revenue", created, &[order, status], &[payment]),
            ("total_net_revenue", paid, &[order, payment, status], &[]),
            ("total_views", paid, &[Family::ProductViewed], &[order, payment, status]),
        ] {
            let base = Currency::parse("USD").unwrap();
            let known = MetricType::parse(metric, chrono::NaiveDate::default(), base).unwrap();
            let families = families(Some(&known), order_counts);
            assert!(
                waited_for.iter().all(|family| families.contains(family)),
                "{metric} {order_counts:?}: {families:?}"
            );
            assert!(
                not_waited_for.iter().all(|family| !families.contains(family)),
                "{metric} {order_counts:?}: {families:?}"
            );
        }
        assert!(!families(None, created).contains(&payment) && families(None, created).contains(&status));
        assert!(families(None, paid).contains(&payment));
    }

    #[test]
    fn a_topic_is_absent_if_ingest_says_so_and_not_if_it_says_nothing() {
        let topics = Topics::parse("rating.updated=old,rating.updated=new", "").unwrap();
        let report = |topic: &str, partitions| TopicReport {
            topic: topic.to_owned(),
            partitions,
            is_optional: false,
            last_event_time: None,
            reports: Vec::new(),
        };
        for (reports, is_absent) in [
            (vec![report("old", 0), report("new", 0)], true),
            (vec![report("old", 0), report("new", 1)], false),
            (vec![report("old", 0)], false),
            (vec![], false),
        ] {
            let completeness = Completeness::of_events(Family::RatingUpdated.name(), &topics, &reports);
            assert_eq!(completeness.is_absent(), is_absent, "{reports:?}");
        }
    }
}
