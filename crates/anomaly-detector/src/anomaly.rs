//! Merges judgements of neighbouring buckets into anomalies.

use chrono::{Duration, NaiveDateTime};

use crate::detector::{Band, Bucket, Detector, Judgement, Verdict};
use crate::interval::Interval;

/// How far apart buckets of one anomaly may be, apart from their length.
const GAP_HOURS: i64 = 12;
/// A bucket that is this many times as far away as the edge of the band is an anomaly on its own.
const FAR: f64 = 2.0;
/// Otherwise this many buckets in a row have to be outside of the band.
const IN_A_ROW: usize = 2;
/// What lasts longer than this is the new level.
const LONGEST_DAYS: i64 = 7;

/// When a bucket starts and ends. Not only by the local clock, which can repeat an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<T> {
    /// Its start.
    pub start: T,
    /// Its end.
    pub end: T,
}

/// Buckets in a row, or nearly so, that are outside of what was usual, in one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anomaly<T> {
    /// From the start of the first bucket to the end of the last one.
    pub span: Span<T>,
    /// The direction.
    pub verdict: Verdict,
    /// The bucket that is the furthest outside.
    pub peak: Band,
    /// How many buckets are outside.
    pub buckets: usize,
}

/// The anomalies of a series.
#[derive(Debug)]
pub struct Anomalies<T> {
    detector: Detector,
    interval: Interval,
    /// The last anomaly, and the start of its first and last bucket by the local clock.
    open: Option<(Anomaly<T>, NaiveDateTime, NaiveDateTime)>,
    /// Buckets outside of the band, in one direction, that are not an anomaly yet.
    row: Vec<(Span<T>, NaiveDateTime, Band)>,
}

impl<T: Copy> Anomalies<T> {
    /// Starts a series whose buckets have this length.
    #[must_use]
    pub fn new(interval: Interval) -> Self {
        Self { detector: Detector::new(interval), interval, open: None, row: Vec::new() }
    }

    /// Judges a bucket. Returns the judgement, and the anomaly that ended for good.
    pub fn judge(&mut self, bucket: Bucket, span: Span<T>) -> (Judgement, Option<Anomaly<T>>) {
        let judgement = self.detector.judge(bucket);
        let mut ended = None;
        if let Some((anomaly, _, last)) = self.open
            && bucket.start - last > self.gap()
        {
            ended = Some(anomaly);
            self.open = None;
        }
        let Judgement::Judged(band) = judgement else { return (judgement, ended) };
        let Some(verdict) = band.verdict() else {
            self.row.clear();
            return (judgement, ended);
        };
        if self
            .row
            .last()
            .is_some_and(|(_, at, last)| last.verdict() != Some(verdict) || bucket.start - *at > self.interval.length())
        {
            self.row.clear();
        }
        self.row.push((span, bucket.start, band));
        let is_known = self.open.is_some_and(|(anomaly, ..)| anomaly.verdict == verdict);
        if !is_known && self.row.len() < IN_A_ROW && band.score.abs() < FAR {
            return (judgement, ended);
        }
        if !is_known && let Some((anomaly, ..)) = self.open.take() {
            ended = Some(anomaly);
        }
        for (span, at, band) in std::mem::take(&mut self.row) {
            self.extend(verdict, span, at, band);
        }
        if let Some((_, first, last)) = self.open
            && last - first > Duration::days(LONGEST_DAYS)
        {
            self.detector.accept(first);
        }
        (judgement, ended)
    }

    /// Returns the anomaly that has not ended: neighbours may still join it.
    pub fn open(&self) -> Option<Anomaly<T>> {
        self.open.map(|(anomaly, ..)| anomaly)
    }

    fn gap(&self) -> Duration {
        self.interval.length() + Duration::hours(GAP_HOURS).max(self.interval.length())
    }

    fn extend(&mut self, verdict: Verdict, span: Span<T>, at: NaiveDateTime, band: Band) {
        let (anomaly, _, last) = self.open.get_or_insert((Anomaly { span, verdict, peak: band, buckets: 0 }, at, at));
        (anomaly.span.end, *last) = (span.end, at);
        anomaly.buckets += 1;
        if band.score.abs() > anomaly.peak.score.abs() {
            anomaly.peak = band;
        }
    }
}
