//! What was measured, against what is to be reached.

use serde_json::{Map, Value, json};

/// Something that must be at least, or at most, so much.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What is measured, with its unit.
    pub what: String,
    /// What it came to.
    pub measured: f64,
    /// What it must come to.
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
    /// At least so much.
    #[must_use]
    pub fn at_least(bar: f64, what: &str, measured: f64) -> Self {
        Self { what: what.to_owned(), measured, limit: Limit::AtLeast(bar) }
    }

    /// At most so much.
    #[must_use]
    pub fn at_most(bar: f64, what: &str, measured: f64) -> Self {
        Self { what: what.to_owned(), measured, limit: Limit::AtMost(bar) }
    }

    /// Whether it is reached.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match self.limit {
            Limit::AtLeast(bar) => self.measured >= bar,
            Limit::AtMost(bar) => self.measured <= bar,
        }
    }

    /// Whether it is missed by more than half: no noise of a machine does that.
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

/// One JSON object: what was measured, and the bars.
#[must_use]
pub fn object(mut measured: Map<String, Value>, bars: &[Bar]) -> Value {
    measured.insert("bars".into(), bars.iter().map(Bar::json).collect());
    Value::Object(measured)
}

/// The figure in the middle.
///
/// # Panics
/// Without a figure.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    percentile(figures, 0.5)
}

/// The figure below which this share of them lies.
///
/// # Panics
/// Without a figure.
#[must_use]
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few figures")]
pub fn percentile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// To three digits or to the second decimal, whichever is more: the rest is noise.
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
