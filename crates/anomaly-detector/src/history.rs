//! The past of a series: the buckets of the last weeks, by number.

use std::collections::VecDeque;

/// A past bucket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Past {
    /// Its value; `None` if it has none.
    pub(crate) value: Option<f64>,
    /// What was usual at its time, before it was scaled by the level, by the [season](Season).
    pub(crate) usual: [Option<f64>; 2],
    /// What was expected, likewise.
    pub(crate) expected: [Option<f64>; 2],
    /// Whether it is part of an anomaly, and so tells nothing about what is usual.
    pub(crate) is_unusual: bool,
}

/// What repeats: the time of the week, or that of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Season {
    Week,
    Day,
}

impl Season {
    pub(crate) const ALL: [Self; 2] = [Self::Week, Self::Day];
}

impl Past {
    pub(crate) fn usual(&self, season: Season) -> Option<f64> {
        self.usual.get(season as usize).copied().flatten()
    }

    pub(crate) fn expected(&self, season: Season) -> Option<f64> {
        self.expected.get(season as usize).copied().flatten()
    }
}

/// The last buckets.
#[derive(Debug)]
pub(crate) struct History {
    buckets: VecDeque<Past>,
    /// The number of the first of them.
    first: i64,
    /// How many are kept.
    kept: usize,
}

impl History {
    pub(crate) fn new(kept: i64) -> Self {
        Self { buckets: VecDeque::new(), first: 0, kept: usize::try_from(kept).unwrap_or(0).max(1) }
    }

    /// Returns the number after that of the last bucket; `None` if there is none.
    pub(crate) fn end(&self) -> Option<i64> {
        let length = i64::try_from(self.buckets.len()).ok()?;
        (length > 0).then(|| self.first.saturating_add(length))
    }

    pub(crate) fn get(&self, number: i64) -> Option<&Past> {
        self.buckets.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Stores a bucket. Those between the last one and this one have no values. A bucket that exists is
    /// replaced: local clocks repeat an hour when they are put back.
    pub(crate) fn put(&mut self, number: i64, past: Past) {
        let end = self.end().unwrap_or(number);
        let missing = usize::try_from(number.saturating_sub(end)).unwrap_or(0);
        if self.buckets.is_empty() || missing >= self.kept {
            self.buckets.clear();
            self.first = number;
        } else {
            self.buckets.extend(std::iter::repeat_n(Past::default(), missing));
        }
        match usize::try_from(number.saturating_sub(self.first)).ok().and_then(|index| self.buckets.get_mut(index)) {
            Some(known) => *known = past,
            None if number >= self.first => self.buckets.push_back(past),
            None => {}
        }
        while self.buckets.len() > self.kept {
            self.buckets.pop_front();
            self.first = self.first.saturating_add(1);
        }
    }

    /// Makes all buckets from this number on usual: what they show is the new level.
    pub(crate) fn accept(&mut self, from: i64) {
        let skipped = usize::try_from(from.saturating_sub(self.first)).unwrap_or(0);
        self.buckets.iter_mut().skip(skipped).for_each(|past| past.is_unusual = false);
    }
}
