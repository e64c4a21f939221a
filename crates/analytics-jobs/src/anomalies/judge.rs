//! Judges the series of one subject after another, and remembers which buckets were unusual: what a
//! change of the marketplace explains is no anomaly of its sellers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use analytics_core::calendar::Calendar;
use analytics_db::tables::anomalies::{Found, Judgement as Latest};
use anomaly_detector::{Anomalies, Anomaly, Band, Bucket, Interval, Judgement, Span, Verdict};
use chrono::{DateTime, Utc};

use super::quiet::Quiet;

/// Consecutive buckets: the start of each, and the end of the last.
#[derive(Debug, Clone)]
pub(super) struct Edges {
    pub(super) times: Arc<[DateTime<Utc>]>,
    pub(super) interval: Interval,
}

impl Edges {
    pub(super) fn starts(&self) -> &[DateTime<Utc>] {
        self.times.split_last().map_or(&[], |(_, starts)| starts)
    }

    fn bucket(&self, index: usize) -> Option<Range<DateTime<Utc>>> {
        Some(*self.times.get(index)?..*self.times.get(index + 1)?)
    }

    /// Returns how many buckets end at or before a time.
    pub(super) fn ended_by(&self, time: Option<DateTime<Utc>>) -> usize {
        time.map_or(0, |time| self.times.iter().filter(|edge| **edge <= time).count().saturating_sub(1))
    }

    /// Returns the last buckets from a start on.
    pub(super) fn since(&self, start: DateTime<Utc>) -> Self {
        let times = self.times.iter().copied().filter(|time| *time >= start).collect();
        Self { times, interval: self.interval }
    }
}

/// A series to judge.
pub(super) struct Series {
    pub(super) subject: String,
    pub(super) vendor: Option<String>,
    pub(super) edges: Edges,
    /// The value of each bucket; `None` where there is none.
    pub(super) values: Vec<Option<f64>>,
    /// Everything of before this time is counted.
    pub(super) complete_until: Option<DateTime<Utc>>,
    /// Subjects whose change explains a change of this one, the closest first.
    pub(super) explained_by: Vec<String>,
    /// A subject that this one is divided by: less of it explains more of this one.
    pub(super) divided_by: Option<String>,
}

/// From this part of the way to the edge of the band on, a change is worth explaining others by.
const TELLING: f64 = 0.5;
/// An anomaly goes on until a bucket is closer than this to what was expected, as a part of the way to the edge of the
/// band. Otherwise a value that stays near the edge would end it and open it again, each time with a notification.
const RETURNED: f64 = 0.5;

struct Judged {
    /// The buckets that are not quite as expected, by their starts: observed / expected.
    ratios: BTreeMap<DateTime<Utc>, f64>,
    until: DateTime<Utc>,
    /// Every anomaly, however long ago.
    anomalies: Vec<Seen>,
}

/// When there was an anomaly.
struct Seen {
    span: Span<DateTime<Utc>>,
    verdict: Verdict,
    is_open: bool,
}

/// The results of one run.
pub(super) struct Judge<'a> {
    calendar: Calendar,
    quiet: &'a Quiet,
    /// Anomalies that ended before this time are not reported.
    since: DateTime<Utc>,
    judged: BTreeMap<(String, Interval), Judged>,
    pub(super) found: Vec<Found>,
    /// What was judged, each until when.
    pub(super) subjects: BTreeMap<String, DateTime<Utc>>,
    /// The last bucket of each series.
    pub(super) latest: Vec<Latest>,
}

impl<'a> Judge<'a> {
    pub(super) const fn new(calendar: Calendar, quiet: &'a Quiet, since: DateTime<Utc>) -> Self {
        Self {
            calendar,
            quiet,
            since,
            judged: BTreeMap::new(),
            found: Vec::new(),
            subjects: BTreeMap::new(),
            latest: Vec::new(),
        }
    }

    /// Judges the buckets of a series that are complete. Of a subject that is judged by hours and by days, the
    /// hours come first: an anomaly of days is found only if one of its days is not shown by hours.
    pub(super) fn judge(&mut self, series: Series) {
        let Series { subject, vendor, edges, values, complete_until, explained_by, divided_by } = series;
        let interval = edges.interval;
        let explaining: Vec<&Judged> =
            explained_by.iter().filter_map(|name| self.judged.get(&(name.clone(), interval))).collect();
        let divisor = divided_by.and_then(|name| self.judged.get(&(name, interval)));
        // A bucket is judged once those that could explain it are.
        let known = explaining.iter().chain(&divisor).map(|judged| Some(judged.until));
        let complete_until = known.fold(complete_until, Option::min);
        let mut anomalies = Anomalies::new(interval);
        let (mut found, mut ratios, mut last) = (Vec::new(), BTreeMap::new(), None);
        // The days or hours outside of their bands.
        let mut outside = Vec::new();
        let (mut until, mut goes_on) = (None, false);
        for (index, value) in values.into_iter().enumerate().take(edges.ended_by(complete_until)) {
            let Some(bucket) = edges.bucket(index) else { break };
            let value = value.filter(|_| !self.quiet.contains(bucket.start, bucket.end));
            let ratio_of = |judged: &Judged| judged.ratios.get(&bucket.start).copied();
            let factor = explaining.iter().find_map(|judged| ratio_of(judged)).unwrap_or(1.0)
                / divisor.and_then(ratio_of).filter(|ratio| *ratio > 0.0).unwrap_or(1.0);
            let start = self.calendar.local(bucket.start);
            let span = Span { start: bucket.start, end: bucket.end };
            let (judgement, ended) = anomalies.judge(Bucket { start, value, factor }, span);
            found.extend(ended);
            until = Some(bucket.end);
            match judgement {
                Judgement::Judged(band) => {
                    outside.extend(band.verdict().map(|verdict| (span, verdict)));
                    goes_on = anomalies.open().is_some_and(|anomaly| {
                        anomaly.span.end == bucket.end || (goes_on && !has_returned(&anomaly, &band))
                    });
                    if let Some(ratio) = ratio(&band).filter(|_| band.score.abs() > TELLING) {
                        // What explains this one explains what this one explains.
                        ratios.insert(bucket.start, ratio * factor);
                    } else if (factor - 1.0).abs() > f64::EPSILON {
                        ratios.insert(bucket.start, factor);
                    }
                    last = Some((bucket.clone(), band));
                }
                Judgement::Missing | Judgement::Unknown => goes_on = false,
            }
        }
        let (Some(until), Some((bucket, band))) = (until, last) else { return };
        let open = anomalies.open().map(|anomaly| (goes_on, anomaly));
        let ended = found.into_iter().map(|anomaly| (false, anomaly));
        let is_daily = interval >= Interval::DAY;
        self.latest.push(latest(&subject, is_daily, &bucket, &band));
        let by_hour = self.judged.get(&(subject.clone(), Interval::HOUR)).filter(|_| is_daily);
        let mut seen = Vec::new();
        for (is_open, anomaly) in ended.chain(open) {
            let (span, verdict) = (anomaly.span, anomaly.verdict);
            let is_new = by_hour.is_none_or(|hours| !hours.show(&outside, &anomaly));
            if is_new && span.end > self.since {
                // A subject has one open anomaly: that of hours.
                let is_open = is_open && by_hour.is_none_or(|hours| hours.anomalies.iter().all(|seen| !seen.is_open));
                self.found.push(stored(&subject, vendor.as_deref(), is_daily, until, is_open, &anomaly));
            }
            seen.push(Seen { span, verdict, is_open });
        }
        let latest = self.subjects.entry(subject.clone()).or_insert(until);
        *latest = until.max(*latest);
        self.judged.insert((subject, interval), Judged { ratios, until, anomalies: seen });
    }
}

impl Judged {
    /// Whether each day that makes up an anomaly of days, one of those `outside` of their bands, has an anomaly of hours
    /// in the same direction.
    fn show(&self, outside: &[(Span<DateTime<Utc>>, Verdict)], anomaly: &Anomaly<DateTime<Utc>>) -> bool {
        let overlap = |a: &Span<DateTime<Utc>>, b: &Span<DateTime<Utc>>| a.start < b.end && b.start < a.end;
        let mut days =
            outside.iter().filter(|(day, verdict)| *verdict == anomaly.verdict && overlap(day, &anomaly.span));
        days.all(|(day, verdict)| {
            self.anomalies.iter().any(|seen| seen.verdict == *verdict && overlap(&seen.span, day))
        })
    }
}

/// Whether a bucket after an anomaly is so close to what was expected that the anomaly is over.
fn has_returned(anomaly: &Anomaly<DateTime<Utc>>, band: &Band) -> bool {
    band.score * anomaly.peak.score.signum() < RETURNED
}

/// How much of what was expected there is. What was expected may be close to nothing.
fn ratio(band: &Band) -> Option<f64> {
    let ratio = band.observed / band.expected;
    (ratio.is_finite() && ratio >= 0.0).then_some(ratio)
}

fn latest(subject: &str, is_daily: bool, bucket: &Range<DateTime<Utc>>, band: &Band) -> Latest {
    Latest {
        subject: subject.to_owned(),
        is_daily,
        from: bucket.start,
        to: bucket.end,
        observed: band.observed,
        expected: band.expected,
        lower: band.lower,
        upper: band.upper,
    }
}

fn stored(
    subject: &str,
    vendor: Option<&str>,
    is_daily: bool,
    judged_until: DateTime<Utc>,
    is_open: bool,
    anomaly: &Anomaly<DateTime<Utc>>,
) -> Found {
    let peak = anomaly.peak;
    Found {
        subject: subject.to_owned(),
        vendor: vendor.map(str::to_owned),
        is_daily,
        verdict: anomaly.verdict.name(),
        from: anomaly.span.start,
        to: anomaly.span.end,
        judged_until,
        is_open,
        observed: peak.observed,
        expected: peak.expected,
        lower: peak.lower,
        upper: peak.upper,
        confidence: peak.confidence,
    }
}
