//! Generated series, and the anomalies that the detector finds in them.

use anomaly_detector::{Anomalies, Anomaly, Bucket, Interval, Judgement, Span};
use chrono::{DateTime, Duration, NaiveDateTime};

/// A Monday.
const START: i64 = 1_767_571_200;

/// A series from a Monday on.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) interval: Interval,
    pub(crate) values: Vec<Option<f64>>,
}

impl Series {
    /// Creates a series of so many days from the mean at each hour since its start, with noise of so many
    /// parts of the mean.
    pub(crate) fn new(interval: &str, days: i64, noise: f64, mean: impl Fn(f64) -> f64) -> Self {
        let interval: Interval = interval.parse().unwrap();
        let (mut random, length) = (Random(7), interval.length());
        let count = i32::try_from(Duration::days(days).num_minutes() / length.num_minutes()).unwrap();
        let hours = |index: i32| f64::from(index) * length.as_seconds_f64() / 3600.0;
        let value = |index| {
            let mean = mean(hours(index));
            Some(mean + mean.abs() * noise * random.normal())
        };
        Self { interval, values: (0..count).map(value).collect() }
    }

    /// Rounds values to counts, of at least 0.
    pub(crate) fn counted(mut self) -> Self {
        self.values.iter_mut().flatten().for_each(|value| *value = value.round().max(0.0));
        self
    }

    /// Changes the values from an hour since the start on, for so many hours.
    pub(crate) fn changed(mut self, from: i64, hours: i64, change: impl Fn(f64) -> Option<f64>) -> Self {
        for index in self.index(from)..self.index(from + hours) {
            self.values[index] = self.values[index].and_then(&change);
        }
        self
    }

    fn index(&self, hour: i64) -> usize {
        usize::try_from(hour * 60 / self.interval.length().num_minutes()).unwrap()
    }

    pub(crate) fn at(&self, index: usize) -> NaiveDateTime {
        let start = DateTime::from_timestamp(START, 0).unwrap().naive_utc();
        start + self.interval.length() * i32::try_from(index).unwrap()
    }

    pub(crate) fn judgements(&self) -> Vec<Judgement> {
        self.judged().0
    }

    pub(crate) fn anomalies(&self) -> Vec<Anomaly<NaiveDateTime>> {
        self.judged().1
    }

    fn judged(&self) -> (Vec<Judgement>, Vec<Anomaly<NaiveDateTime>>) {
        let (mut anomalies, mut found, mut judgements) = (Anomalies::new(self.interval), Vec::new(), Vec::new());
        for (index, value) in self.values.iter().enumerate() {
            let (start, end) = (self.at(index), self.at(index + 1));
            let (judgement, ended) = anomalies.judge(Bucket::new(start, *value), Span { start, end });
            judgements.push(judgement);
            found.extend(ended);
        }
        found.extend(anomalies.open());
        (judgements, found)
    }

    /// Returns the hour since the start.
    pub(crate) fn hour(&self, time: NaiveDateTime) -> i64 {
        (time - self.at(0)).num_hours()
    }
}

/// A generator of random numbers (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
    }

    /// Draws from about a normal distribution.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.fraction()).sum::<f64>() - 6.0
    }
}

/// A day with more in the afternoon, and a week with more at its end.
pub(crate) fn rhythm(hour: f64) -> f64 {
    let day = (hour / 24.0).floor().rem_euclid(7.0);
    let weekend = if day >= 5.0 { 1.4 } else { 1.0 };
    weekend * (1.0 + 0.6 * ((hour % 24.0 - 9.0) * std::f64::consts::PI / 12.0).sin())
}
