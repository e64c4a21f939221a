//! Ratios of two sums, and averages of stars. Their components are stored and added up rather than
//! the quotients, so that the order in which workers commit does not matter.

use crate::event::Stars;
use crate::sums;

/// The components of a ratio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fraction {
    /// The dividend.
    pub numerator: i64,
    /// The divisor.
    pub denominator: i64,
}

impl Fraction {
    /// Returns the ratio times `scale`, rounded half up; `None` if the denominator is 0, one of the two
    /// is past its range, or the result does not fit into an `i64`.
    #[must_use]
    pub fn value(self, scale: i64) -> Option<i64> {
        let [numerator, denominator] = [sums::known(self.numerator)?, sums::known(self.denominator)?].map(i128::from);
        let doubled = numerator.checked_mul(i128::from(scale))?.checked_mul(2)?;
        let rounded = doubled.checked_add(denominator)?.checked_div(denominator * 2)?;
        i64::try_from(rounded).ok()
    }
}

/// Returns the change from `previous` to `current` in basis points, rounded down; `None` if one of them is unknown,
/// there was nothing before, or the change does not fit into an `i64`.
#[must_use]
pub fn change(current: Option<i64>, previous: Option<i64>) -> Option<i64> {
    let (current, previous) = (i128::from(current?), i128::from(previous?));
    let change = ((current - previous) * 10_000).checked_div_euclid(previous.abs())?;
    i64::try_from(change).ok()
}

/// The number of ratings for each number of stars: index 0 is one star.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Histogram(pub [i64; 5]);

impl Histogram {
    /// Returns the average of the stars times 100, rounded half up; `None` if there are no ratings.
    #[must_use]
    pub fn average(&self) -> Option<i64> {
        Fraction { numerator: self.sum(), denominator: self.count() }.value(100)
    }

    /// Adds to the number of ratings with these stars.
    pub fn add(&mut self, stars: Stars, ratings: i64) {
        if let Some(count) = self.0.get_mut(usize::from(stars.get()) - 1) {
            *count += ratings;
        }
    }

    /// Returns the number of ratings.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.0.iter().sum()
    }

    /// Returns the sum of the stars of all ratings.
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
