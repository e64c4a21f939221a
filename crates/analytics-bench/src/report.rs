//! Bars that figures must reach, and statistics of measurements.

use serde_json::{Map, Value, json};

/// A measured figure with the bar that it must reach.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What is measured, with its unit.
    pub what: String,
    /// The measured figure.
    pub measured: f64,
    /// The bar.
    pub limit: Limit,
}

/// On which side of a bar the good figures are.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

impl Bar {
    /// Returns a figure that must be `bar` or more.
    #[must_use]
    pub fn at_least(bar: f64, what: &str, measured: f64) -> Self {
        Self { what: what.to_owned(), measured, limit: Limit::AtLeast(bar) }
    }

    /// Returns a figure that must be `bar` or less.
    #[must_use]
    pub fn at_most(bar: f64, what: &str, measured: f64) -> Self {
        Self { what: what.to_owned(), measured, limit: Limit::AtMost(bar) }
    }

    /// Whether the figure reaches the bar.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match self.limit {
            Limit::AtLeast(bar) => self.measured >= bar,
            Limit::AtMost(bar) => self.measured <= bar,
        }
    }

    /// Whether the figure misses the bar by a factor of more than two, which noise does not
    /// explain.
    #[must_use]
    pub fn is_grossly_missed(&self) -> bool {
        let half = match self.limit {
            Limit::AtLeast(bar) => Limit::AtLeast(bar / 2.0),
            Limit::AtMost(bar) => Limit::AtMost(bar * 2.0),
        };
        !Self { limit: half, ..self.clone() }.is_met()
    }

    fn json(&self) -> Value {
        let (side, bar) = match self.limit {
            Limit::AtLeast(bar) => ("atLeast", bar),
            Limit::AtMost(bar) => ("atMost", bar),
        };
        json!({ "what": self.what, "measured": rounded(self.measured), side: bar, "met": self.is_met() })
    }
}

/// Adds the bars to the measurements and returns them as one JSON object.
#[must_use]
pub fn object(mut measured: Map<String, Value>, bars: &[Bar]) -> Value {
    measured.insert("bars".into(), bars.iter().map(Bar::json).collect());
    Value::Object(measured)
}

/// Returns the median.
///
/// # Panics
/// If there are no figures.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    percentile(figures, 0.5)
}

/// Returns the percentile for `share` (0 to 1), which is one of the figures.
///
/// # Panics
/// If there are no figures.
#[must_use]
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few figures")]
pub fn percentile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Rounds to three decimals below 10, to one decimal below 1,000, and otherwise to an integer.
#[must_use]
pub fn rounded(figure: f64) -> f64 {
    let scale = if figure.abs() < 10.0 {
        1_000.0
    } else if figure.abs() < 1_000.0 {
        10.0
    } else {
        1.0
    };
    (figure * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_missed_or_grossly_missed() {
        for (bar, met, gross) in [
            (Bar::at_least(0.9, "", 0.9), true, false),
            (Bar::at_least(0.9, "", 0.89), false, false),
            (Bar::at_least(0.9, "", 0.44), false, true),
            (Bar::at_most(50.0, "", 50.0), true, false),
            (Bar::at_most(50.0, "", 99.0), false, false),
            (Bar::at_most(50.0, "", 101.0), false, true),
            (Bar::at_least(0.9, "", f64::NAN), false, true),
        ] {
            assert_eq!((bar.is_met(), bar.is_grossly_missed()), (met, gross), "{bar:?}");
        }
    }

    #[test]
    fn percentiles_are_figures_that_were_measured() {
        let figures: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!((median(&figures), percentile(&figures, 0.99)), (50.0, 99.0));
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
    }
}
