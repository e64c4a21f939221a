//! Freshness: up to when the numbers are complete, derived from what ingest last reported for each
//! partition. It distinguishes "there were no sales" from "the data has not arrived".
//!
//! A partition is counted up to the last time at which everything in it had been counted, whether
//! or not records arrived since. Nothing is derived from the times in events or records, as those
//! may be wrong or in the future. All times are of the database's clock.

use chrono::{DateTime, Duration, Utc};

/// Greatest age of a report. Ingest reports on each of its partitions every 5 seconds. An older
/// report means that no worker is counting, that the broker does not answer for the partition, or
/// that the database replica is not following its primary.
const SILENT_AFTER: Duration = Duration::seconds(30);
/// Greatest age of information at the time of the report that contains it. Ingest queries the
/// broker every 5 seconds, as often as it reports. Older information means that ingest could not
/// renew it.
const BEFORE_IT_SPOKE: Duration = Duration::seconds(15);
/// A partition that is further behind than this is delayed, if the report itself already said that
/// ingest was not keeping up.
const LATE_AFTER: Duration = Duration::seconds(30);

/// Whether numbers are up to date, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// An optional topic that does not exist.
    Idle,
    /// Counted within seconds.
    Live,
    /// Being counted, but behind.
    Delayed,
    /// No worker is counting, or the state is not known.
    Stalled,
}

/// The latest report of ingest on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionReport {
    /// The time of the report.
    pub heard_at: DateTime<Utc>,
    /// The time at which the broker last returned the end offset of the partition.
    pub ends_known_at: Option<DateTime<Utc>>,
    /// The last time at which everything in the partition had been counted.
    pub caught_up_at: Option<DateTime<Utc>>,
    /// Number of records in the partition that are not consumed.
    pub lag_messages: i64,
    /// The timestamp of the last record that was counted.
    pub last_record_at: Option<DateTime<Utc>>,
}

/// What is known about a topic that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    /// The name of the topic.
    pub topic: String,
    /// Number of its partitions according to the broker; 0 if the topic does not exist.
    pub partitions: i32,
    /// Whether it may be absent.
    pub is_optional: bool,
    /// The latest time of an event that was counted.
    pub last_event_time: Option<DateTime<Utc>>,
    /// The reports on those of its partitions that ingest has reported on.
    pub reports: Vec<PartitionReport>,
}

/// How fresh the numbers of a topic, or of all topics, are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The worst state of any partition or topic.
    pub state: State,
    /// The reason why the state is not live.
    pub reason: Option<&'static str>,
    /// Everything that was in Kafka at this time has been counted. `None` until every partition has
    /// been counted completely at least once, and for a topic that does not exist.
    pub counted_up_to: Option<DateTime<Utc>>,
    /// Number of records that are not counted.
    pub lag_messages: i64,
    /// The time of the least recent of the reports.
    pub heard_at: Option<DateTime<Utc>>,
}

impl PartitionReport {
    fn judge(self, now: DateTime<Utc>) -> (State, Option<&'static str>) {
        // The ages are taken at the time of the report: the report of a worker that has died says
        // nothing about later times, and its age is judged separately.
        let missed = |time: Option<DateTime<Utc>>| time.is_none_or(|time| self.heard_at - time > BEFORE_IT_SPOKE);
        let late = self.caught_up_at.is_none_or(|time| now - time > LATE_AFTER);
        if now - self.heard_at > SILENT_AFTER {
            (State::Stalled, Some("no worker has reported on a partition for more than 30 s"))
        } else if missed(self.ends_known_at) {
            (State::Stalled, Some("the broker does not say where a partition ends"))
        } else if late && missed(self.caught_up_at) {
            (State::Delayed, Some("a partition holds records that are not counted"))
        } else {
            (State::Live, None)
        }
    }
}

impl PartitionReport {
    /// Returns whether all records of before `end` are counted, seen from `now`: a later one is
    /// counted, or a worker that is still reporting found the partition completely counted after
    /// `end`. So an idle partition is not late, and what a worker said before it died proves nothing:
    /// a record of a producer whose clock is fast neither.
    fn is_counted_past(self, end: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let is_living = now - self.heard_at <= SILENT_AFTER;
        self.last_record_at.is_some_and(|time| time.min(self.heard_at) >= end)
            || (is_living && self.caught_up_at.is_some_and(|time| time >= end))
    }
}

impl TopicReport {
    /// Whether it is an optional topic that does not exist. Nothing is missing then.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.is_optional && self.partitions == 0
    }

    /// Returns whether the topic's records of before `end` are all counted, seen from `now`.
    #[must_use]
    pub fn is_counted_past(&self, end: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        if self.is_idle() {
            return true;
        }
        let partitions = usize::try_from(self.partitions).unwrap_or(0);
        partitions > 0
            && self.reports.len() >= partitions
            && self.reports.iter().all(|report| report.is_counted_past(end, now))
    }

    /// Returns the freshness of the topic at the time `now`: that of its worst partition.
    #[must_use]
    pub fn judge(&self, now: DateTime<Utc>) -> Freshness {
        let verdicts = self.reports.iter().map(|report| report.judge(now));
        let worst = verdicts.max_by_key(|(state, _)| *state);
        let unheard = usize::try_from(self.partitions).is_ok_and(|partitions| self.reports.len() < partitions);
        let (state, reason) = match worst {
            _ if self.is_idle() => (State::Idle, Some("the topic does not exist; it is optional")),
            _ if self.partitions == 0 => (State::Stalled, Some("the topic does not exist")),
            None if self.is_optional => (State::Delayed, Some("the topic was created and is not counted yet")),
            None => (State::Stalled, Some("no partition has been counted yet")),
            Some((State::Live, _)) if unheard => (State::Delayed, Some("a partition has not been counted yet")),
            Some(verdict) => verdict,
        };
        let caught_up: Option<Vec<DateTime<Utc>>> = self.reports.iter().map(|report| report.caught_up_at).collect();
        let counted_up_to = caught_up.filter(|_| !unheard).and_then(|times| times.into_iter().min());
        Freshness {
            state,
            reason,
            counted_up_to,
            lag_messages: self.reports.iter().map(|report| report.lag_messages).sum(),
            heard_at: self.reports.iter().map(|report| report.heard_at).min(),
        }
    }
}

impl Freshness {
    /// Returns the freshness of numbers that depend on all of these topics. A topic that does not
    /// exist does not affect `counted_up_to`, but makes the state stalled, as data may be missing,
    /// unless it is optional.
    #[must_use]
    pub fn of_all(topics: &[(TopicReport, Self)]) -> Self {
        let existing = || topics.iter().filter(|(report, _)| report.partitions > 0).map(|(_, judged)| judged);
        let counted: Option<Vec<DateTime<Utc>>> = existing().map(|judged| judged.counted_up_to).collect();
        let judged = topics.iter().filter(|(report, _)| !report.is_idle()).map(|(_, judged)| judged);
        let worst = judged.max_by_key(|judged| judged.state);
        Self {
            state: worst.map_or(State::Stalled, |judged| judged.state),
            reason: worst.map_or(Some("nothing has been counted yet"), |judged| judged.reason),
            counted_up_to: counted.and_then(|times| times.into_iter().min()),
            lag_messages: existing().map(|judged| judged.lag_messages).sum(),
            heard_at: existing().filter_map(|judged| judged.heard_at).min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn now() -> DateTime<Utc> {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn ago(seconds: i64) -> DateTime<Utc> {
        now() - Duration::seconds(seconds)
    }

    /// Creates a report. The first three arguments are ages in seconds.
    fn report(heard: i64, end: Option<i64>, caught_up: Option<i64>, lag_messages: i64) -> PartitionReport {
        let (ends_known_at, caught_up_at) = (end.map(ago), caught_up.map(ago));
        PartitionReport { heard_at: ago(heard), ends_known_at, caught_up_at, lag_messages, last_record_at: None }
    }

    fn topic(partitions: i32, reports: Vec<PartitionReport>) -> TopicReport {
        // The time of an event must not matter; this one is in the future.
        TopicReport { topic: "t".into(), partitions, is_optional: false, last_event_time: Some(ago(-HOUR)), reports }
    }

    fn optional(topic: TopicReport) -> TopicReport {
        TopicReport { is_optional: true, ..topic }
    }

    #[test]
    fn a_topic_is_counted_past_a_time_if_each_of_its_partitions_is() {
        let (end, now) = (ago(60), ago(0));
        let with = |last_record: Option<i64>, report: PartitionReport| PartitionReport {
            last_record_at: last_record.map(ago),
            ..report
        };
        for (what, topic, is_counted) in [
            ("a later record is counted", topic(1, vec![with(Some(50), report(45, None, None, 5))]), true),
            ("a record of a fast clock", topic(1, vec![with(Some(-600), report(70, None, None, 5))]), false),
            ("an idle partition, which a living worker counted", topic(1, vec![report(3, Some(4), Some(4), 0)]), true),
            ("what a worker said before it died", topic(1, vec![report(31, Some(31), Some(31), 0)]), false),
            ("an older record", topic(1, vec![with(Some(70), report(3, Some(4), Some(70), 5))]), false),
            ("one partition of two", topic(2, vec![report(3, Some(4), Some(4), 0)]), false),
            ("no topic", topic(0, vec![]), false),
            ("no optional topic", optional(topic(0, vec![])), true),
            ("an optional topic that is not counted", optional(topic(1, vec![])), false),
        ] {
            assert_eq!(topic.is_counted_past(end, now), is_counted, "{what}");
        }
    }

    #[test]
    fn each_state_of_a_topic_is_judged_right() {
        let fresh = || report(3, Some(4), Some(4), 0);
        for (what, topic, state, counted_up_to) in [
            ("idle", topic(1, vec![fresh()]), State::Live, Some(4)),
            ("busy", topic(1, vec![report(1, Some(2), Some(8), 500)]), State::Live, Some(8)),
            ("behind", topic(1, vec![report(1, Some(2), Some(600), 500)]), State::Delayed, Some(600)),
            ("a transaction left open", topic(1, vec![report(1, Some(2), Some(80), 16)]), State::Delayed, Some(80)),
            ("never caught up", topic(1, vec![report(1, Some(2), None, 500)]), State::Delayed, None),
            ("silent for a while", topic(1, vec![report(29, Some(31), Some(33), 0)]), State::Live, Some(33)),
            ("dead", topic(1, vec![report(31, Some(31), Some(31), 0)]), State::Stalled, Some(31)),
            ("dead for long", topic(1, vec![report(HOUR, Some(HOUR), Some(HOUR), 0)]), State::Stalled, Some(HOUR)),
            (
                "alive, and the broker is silent",
                topic(1, vec![report(1, Some(31), Some(32), 0)]),
                State::Stalled,
                Some(32),
            ),
            ("alive, and the broker was never asked", topic(1, vec![report(1, None, None, 0)]), State::Stalled, None),
            (
                "one behind, others fresh",
                topic(2, vec![fresh(), report(1, Some(2), Some(HOUR), 9)]),
                State::Delayed,
                Some(HOUR),
            ),
            (
                "one dead, others fresh",
                topic(2, vec![report(99, Some(99), Some(99), 0), fresh()]),
                State::Stalled,
                Some(99),
            ),
            ("one not counted yet", topic(2, vec![fresh()]), State::Delayed, None),
            ("none counted yet", topic(2, vec![]), State::Stalled, None),
            ("it does not exist", topic(0, vec![]), State::Stalled, None),
            ("it is optional and does not exist", optional(topic(0, vec![])), State::Idle, None),
            ("it was created just now", optional(topic(1, vec![])), State::Delayed, None),
            ("it was deleted", optional(topic(0, vec![report(99, Some(99), Some(99), 0)])), State::Idle, Some(99)),
            ("an optional one, idle", optional(topic(1, vec![fresh()])), State::Live, Some(4)),
            (
                "an optional one, dead",
                optional(topic(1, vec![report(31, Some(31), Some(31), 0)])),
                State::Stalled,
                Some(31),
            ),
        ] {
            let judged = topic.judge(now());
            assert_eq!((judged.state, judged.counted_up_to), (state, counted_up_to.map(ago)), "{what}");
            assert_eq!(judged.reason.is_none(), state == State::Live, "{what}");
        }
    }

    #[test]
    fn all_topics_are_as_fresh_as_the_worst() {
        let judged = |topic: TopicReport| {
            let freshness = topic.judge(now());
            (topic, freshness)
        };
        let fresh = || judged(topic(1, vec![report(3, Some(4), Some(4), 0)]));
        let late = || judged(topic(1, vec![report(1, Some(2), Some(600), 5)]));
        let absent = || judged(topic(0, vec![]));
        let idle = || judged(optional(topic(0, vec![])));
        let new = || judged(topic(1, vec![report(1, Some(2), None, 7)]));
        for (topics, state, counted_up_to, lag) in [
            (vec![fresh(), fresh()], State::Live, Some(4), 0),
            (vec![fresh(), late()], State::Delayed, Some(600), 5),
            (vec![fresh(), absent()], State::Stalled, Some(4), 0),
            (vec![fresh(), new()], State::Delayed, None, 7),
            (vec![fresh(), idle()], State::Live, Some(4), 0),
            (vec![idle(), late()], State::Delayed, Some(600), 5),
            (vec![idle()], State::Stalled, None, 0),
            (vec![], State::Stalled, None, 0),
        ] {
            let all = Freshness::of_all(&topics);
            assert_eq!((all.state, all.counted_up_to, all.lag_messages), (state, counted_up_to.map(ago), lag));
        }
    }
}
