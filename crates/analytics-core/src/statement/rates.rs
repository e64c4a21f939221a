//! What a seller's month was besides money: how many views became orders, and which ratings were received.

use crate::catalogue::{Definition, Metric};
use crate::ratios::{Fraction, Histogram};

/// The conversion of a month and the ratings that were received in it, as of the batch of the statement. They are the
/// month's bucket in the series of `conversion_rate` and `seller_rating`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Orders of any currency, and page views.
    pub conversion: Fraction,
    /// The ratings that were received, also those that were replaced later.
    pub ratings: Histogram,
}

impl Rates {
    /// Returns the conversion in basis points, rounded half up; `None` without views, or if it does not fit.
    #[must_use]
    pub fn conversion_value(&self) -> Option<i64> {
        match Metric::ConversionRate.definition() {
            Definition::Ratio { scale, .. } => self.conversion.value(scale),
            _ => None,
        }
    }

    /// Returns the average of the stars times 100, rounded half up; `None` without ratings.
    #[must_use]
    pub fn rating_value(&self) -> Option<i64> {
        self.ratings.average()
    }
}
