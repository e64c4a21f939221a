//! Values that are divided: ratios of two sums, and averages of stars. Their components are what is added
//! up, so that it does not matter in which order workers commit.

use crate::event::Stars;

/// The components of a ratio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fraction {
    /// What is divided.
    pub numerator: i64,
    /// By what.
    pub denominator: i64,
}

impl Fraction {
    /// The ratio, with 1 written as `scale`, rounded half up; `None` where the denominator is 0 or the
    /// result does not fit.
    #[must_use]
    pub fn value(self, scale: i64) -> Option<i64> {
        let (numerator, denominator) = (i128::from(self.numerator), i128::from(self.denominator));
        let doubled = numerator.checked_mul(i128::from(scale))?.checked_mul(2)?;
        let rounded = doubled.checked_add(denominator)?.checked_div(denominator * 2)?;
        i64::try_from(rounded).ok()
    }
}

/// How many ratings there are of each number of stars: index 0 is one star.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Histogram(pub [i64; 5]);

impl Histogram {
    /// The average of the stars times 100, rounded half up; `None` without ratings.
    #[must_use]
    pub fn average(&self) -> Option<i64> {
        Fraction { numerator: self.sum(), denominator: self.count() }.value(100)
    }

    /// Adds ratings of a number of stars.
    pub fn add(&mut self, stars: Stars, ratings: i64) {
        if let Some(count) = self.0.get_mut(usize::from(stars.get()) - 1) {
            *count += ratings;
        }
    }

    /// How many ratings there are.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.0.iter().sum()
    }

    /// The sum of their stars.
    #[must_use]
    pub fn sum(&self) -> i64 {
        (1_i64..).zip(self.0).map(|(stars, count)| stars * count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_rounded_half_up() {
        for (numerator, denominator, value) in [
            (1, 3, Some(3_333)),
            (2, 3, Some(6_667)),
            (1, 8, Some(1_250)),
            (1, 20_000, Some(1)),
            (1, 20_001, Some(0)),
            (3, 2, Some(15_000)),
            (0, 5, Some(0)),
            (5, 0, None),
            (i64::MAX, 1, None),
        ] {
            assert_eq!(Fraction { numerator, denominator }.value(10_000), value, "{numerator} / {denominator}");
        }
    }
}
