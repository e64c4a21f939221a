//! Judges each bucket by the ones before it.

use chrono::NaiveDateTime;

use crate::history::{History, Past, Season};
use crate::interval::Interval;
use crate::level::{median, midmean, quantile};

/// How many weeks, and without them how many days, make up what is usual.
const WEEKS: i64 = 8;
const DAYS: i64 = 7;
/// How many of these weeks or days must have a value.
const FEWEST_CYCLES: usize = 3;
/// How many days the current level is taken from, and how many of them must have values.
const LEVEL_DAYS: i64 = 7;
const FEWEST_LEVEL_DAYS: usize = 3;
/// How many days back the errors of earlier buckets are compared, and over how many days they must reach
/// before there is a verdict, so that they contain a weekend.
const ERROR_DAYS: i64 = 7 * WEEKS;
const FEWEST_ERROR_DAYS: i64 = 7;
/// How many errors there must be.
const FEWEST_ERRORS: usize = 7;
/// How wide the band is.
struct Width {
    /// How many standard deviations on either side.
    deviations: f64,
    /// Of this share of earlier buckets the error is within the band divided by the margin.
    share: f64,
    margin: f64,
}

/// Of hours and less: there are many of them in a week, and each could be a false alarm.
const OF_HOURS: Width = Width { deviations: 4.0, share: 0.99, margin: 1.6 };
/// Of days.
const OF_DAYS: Width = Width { deviations: 3.0, share: 0.97, margin: 1.3 };
/// A median absolute deviation of a normal distribution is this part of its standard deviation.
const MAD_OF_NORMAL: f64 = 0.6745;
/// The narrowest band, on the scale of square roots, where 1 % of a value is half a percent.
const NARROWEST: f64 = 0.03;
/// Added to counts before their square root is taken, which makes their variance independent of their
/// size (Anscombe 1948).
const ANSCOMBE: f64 = 0.375;
/// The standard deviation of the square root of a count that follows a Poisson distribution.
const POISSON: f64 = 0.5;

/// A bucket to judge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Its start by the local clock, by which the time of the week is taken. Buckets come in order; an hour
    /// may repeat, as it does when clocks are put back.
    pub start: NaiveDateTime,
    /// Its value; `None` if it has none, or if it is not a finite number.
    pub value: Option<f64>,
    /// How much of what is usual may be left because of what is known to have changed around this series:
    /// 1 if nothing has. Any value between what is usual and that share of it is as expected.
    pub factor: f64,
}

impl Bucket {
    /// Returns a bucket that nothing else explains.
    #[must_use]
    pub const fn new(start: NaiveDateTime, value: Option<f64>) -> Self {
        Self { start, value, factor: 1.0 }
    }
}

/// What was expected of a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The value.
    pub observed: f64,
    /// What it should have been about.
    pub expected: f64,
    /// The lowest value that is usual.
    pub lower: f64,
    /// The highest value that is usual.
    pub upper: f64,
    /// How far it is from what was expected: 1 is the edge of the band; negative if it is below.
    pub score: f64,
    /// The share of comparable earlier buckets that were closer to what was expected of them, from 0 to 1.
    pub confidence: f64,
}

/// The direction of an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Less than usual.
    Drop,
    /// More than usual.
    Surge,
}

impl Verdict {
    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Surge => "surge",
        }
    }
}

impl Band {
    /// Returns the direction in which the value is outside of the band, if it is.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        if self.score < -1.0 {
            Some(Verdict::Drop)
        } else if self.score > 1.0 {
            Some(Verdict::Surge)
        } else {
            None
        }
    }
}

/// What a detector says about a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Judgement {
    /// It has no value.
    Missing,
    /// There is too little history for a verdict.
    Unknown,
    /// The value, and what was expected.
    Judged(Band),
}

/// Judges the buckets of one series.
#[derive(Debug)]
pub struct Detector {
    interval: Interval,
    history: History,
    /// Whether all values so far were whole numbers from 0, and whether all were at least 0.
    are_counts: bool,
    are_positive: bool,
    /// The level of each season, and the bucket for which it was calculated.
    levels: [Option<(i64, Option<f64>)>; 2],
}

impl Detector {
    /// Creates the detector of a series whose buckets have this length.
    #[must_use]
    pub fn new(interval: Interval) -> Self {
        let kept = interval.weeks(WEEKS).max(interval.days(ERROR_DAYS)) + interval.per_hour() + 1;
        Self { interval, history: History::new(kept), are_counts: true, are_positive: true, levels: [None; 2] }
    }

    /// Judges a bucket by the ones before it, and remembers it.
    pub fn judge(&mut self, bucket: Bucket) -> Judgement {
        let bucket = Bucket { factor: if bucket.factor.is_finite() { bucket.factor } else { 1.0 }, ..bucket };
        let number = self.interval.number(bucket.start);
        let value = bucket.value.filter(|value| value.is_finite());
        if let Some(value) = value {
            self.are_positive &= value >= 0.0;
            #[expect(clippy::float_cmp, reason = "whole numbers are exact")]
            let is_whole = value == value.trunc();
            self.are_counts &= self.are_positive && is_whole;
        }
        let mut past = Past { value, ..Past::default() };
        for season in Season::ALL {
            let usual = self.usual(season, number);
            let expected = usual.and_then(|usual| self.at_level(season, number, usual));
            if let (Some(slot), Some(of)) =
                (past.usual.get_mut(season as usize), past.expected.get_mut(season as usize))
            {
                (*slot, *of) = (usual, expected);
            }
        }
        let judged = value.map(|value| {
            Season::ALL.into_iter().find_map(|season| {
                let usual = past.expected(season)?;
                let explained = usual * bucket.factor;
                let expected = value.max(usual.min(explained)).min(usual.max(explained));
                self.compare(season, number, value, expected)
            })
        });
        past.is_unusual = match judged {
            Some(Some(band)) => band.verdict().is_some(),
            _ => false,
        } || (bucket.factor - 1.0).abs() > f64::EPSILON;
        self.history.put(number, past);
        match judged {
            None => Judgement::Missing,
            Some(None) => Judgement::Unknown,
            Some(Some(band)) => Judgement::Judged(band),
        }
    }

    /// Takes what the series shows since this bucket as its new level.
    pub fn accept(&mut self, from: NaiveDateTime) {
        self.history.accept(self.interval.number(from));
        self.levels = [None; 2];
    }

    /// Returns what is usual at the time of a bucket.
    fn usual(&self, season: Season, number: i64) -> Option<f64> {
        let back = |cycle: i64| match season {
            Season::Week => self.interval.weeks(cycle),
            Season::Day => self.interval.days(cycle),
        };
        let cycles = match season {
            Season::Week => WEEKS,
            Season::Day => DAYS,
        };
        let of = |with_unusual: bool| -> Vec<f64> {
            let past = (1..=cycles).filter_map(|cycle| self.history.get(number.checked_sub(back(cycle))?));
            past.filter(|past| with_unusual || !past.is_unusual).filter_map(|past| past.value).collect()
        };
        let mut values = of(false);
        if values.len() < FEWEST_CYCLES {
            values = of(true);
        }
        if values.len() < FEWEST_CYCLES {
            return None;
        }
        if self.are_counts { midmean(&mut values) } else { median(&mut values) }
    }

    /// Scales what is usual to the level of the last days.
    fn at_level(&mut self, season: Season, number: i64, usual: f64) -> Option<f64> {
        let hour = number.div_euclid(self.interval.per_hour());
        let known = self.levels.get(season as usize).copied().flatten().filter(|(of, _)| *of == hour);
        let level = known.map_or_else(|| self.level(season, number), |(_, level)| level);
        if let Some(slot) = self.levels.get_mut(season as usize) {
            *slot = Some((hour, level));
        }
        let expected = match level {
            None => usual,
            Some(level) if self.are_positive => usual * level,
            Some(level) => usual + level,
        };
        expected.is_finite().then_some(expected)
    }

    /// Returns by how much the last days were above what was usual for them: the median of the days' ratios,
    /// or of their mean differences if values can be negative.
    fn level(&self, season: Season, number: i64) -> Option<f64> {
        let mut days: Vec<f64> = (0..LEVEL_DAYS).filter_map(|day| self.level_of_day(season, number, day)).collect();
        if days.len() < FEWEST_LEVEL_DAYS { None } else { median(&mut days) }
    }

    fn level_of_day(&self, season: Season, number: i64, day: i64) -> Option<f64> {
        let per_day = self.interval.per_day();
        let end = number.checked_sub(day * per_day)?;
        let (mut values, mut usuals, mut count) = (0.0, 0.0, 0_i64);
        for past in (end - per_day..end).filter_map(|number| self.history.get(number)) {
            if let (Some(value), Some(usual), false) = (past.value, past.usual(season), past.is_unusual) {
                (values, usuals, count) = (values + value, usuals + usual, count + 1);
            }
        }
        if count * 2 < per_day {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "few buckets make up a day")]
        let level = if self.are_positive { values / usuals } else { (values - usuals) / count as f64 };
        level.is_finite().then_some(level)
    }

    fn compare(&self, season: Season, number: i64, observed: f64, expected: f64) -> Option<Band> {
        let errors = self.errors(season, number)?;
        let half = self.half_width(&errors, expected);
        let error = self.error(observed, expected);
        let closer = errors.partition_point(|earlier| *earlier < error.abs());
        #[expect(clippy::cast_precision_loss, reason = "few errors")]
        let confidence = closer as f64 / (errors.len() + 1) as f64;
        let (lower, upper) = (self.value_at(expected, -half), self.value_at(expected, half));
        let band = Band { observed, expected, lower, upper, score: error / half, confidence };
        (band.score.is_finite() && lower.is_finite() && upper.is_finite()).then_some(band)
    }

    /// Returns the sizes of the errors of earlier buckets of about the same time of the day, sorted.
    fn errors(&self, season: Season, number: i64) -> Option<Vec<f64>> {
        let oldest = number.checked_sub(self.interval.days(FEWEST_ERROR_DAYS))?;
        let around = self.interval.per_hour().min(self.interval.per_day() / 24);
        let step = usize::try_from((around / 2).max(1)).unwrap_or(1);
        let mut errors = Vec::new();
        let mut oldest_error = number;
        for day in 1..=ERROR_DAYS {
            let same = number - self.interval.days(day);
            for near in (same - around..=same + around).step_by(step).filter(|near| *near < number) {
                let Some(past) = self.history.get(near) else { continue };
                if let (Some(value), Some(expected), false) = (past.value, past.expected(season), past.is_unusual) {
                    errors.push(self.error(value, expected).abs());
                    oldest_error = oldest_error.min(near);
                }
            }
        }
        if errors.len() < FEWEST_ERRORS || oldest_error > oldest {
            return None;
        }
        errors.sort_unstable_by(f64::total_cmp);
        Some(errors)
    }

    /// Returns how far a value is from what was expected: relative to it on the scale of square roots, where
    /// counts of any size vary alike; as a difference if values can be negative.
    fn error(&self, observed: f64, expected: f64) -> f64 {
        if !self.are_positive {
            return observed - expected;
        }
        let root = |value: f64| (value.max(0.0) + self.offset()).sqrt();
        let size = root(expected);
        if size > 0.0 { (root(observed) - size) / size } else { root(observed) }
    }

    const fn offset(&self) -> f64 {
        if self.are_counts { ANSCOMBE } else { 0.0 }
    }

    /// Returns the value whose error is `error`.
    fn value_at(&self, expected: f64, error: f64) -> f64 {
        if !self.are_positive {
            return expected + error;
        }
        let size = (expected.max(0.0) + self.offset()).sqrt();
        let root = if size > 0.0 { size.mul_add(error, size) } else { error };
        (root.max(0.0).powi(2) - self.offset()).max(0.0)
    }

    /// Returns the largest error that is usual.
    fn half_width(&self, errors: &[f64], expected: f64) -> f64 {
        let Width { deviations, share, margin } = if self.interval < Interval::DAY { OF_HOURS } else { OF_DAYS };
        let deviation = quantile(errors, 0.5).unwrap_or(0.0) / MAD_OF_NORMAL;
        let largest = quantile(errors, share).unwrap_or(0.0);
        let measured = (deviations * deviation).max(margin * largest);
        if !self.are_positive {
            return measured.max(f64::MIN_POSITIVE);
        }
        let counted = if self.are_counts { deviations * POISSON / (expected.max(0.0) + ANSCOMBE).sqrt() } else { 0.0 };
        measured.max(counted).max(NARROWEST)
    }
}
