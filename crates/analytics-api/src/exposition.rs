//! The text format of Prometheus.

use std::fmt::Write as _;

/// Metrics in the text format.
#[derive(Default)]
pub(crate) struct Exposition(String);

impl Exposition {
    /// Begins a metric.
    pub(crate) fn metric(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _written = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a value to the metric that was begun last.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _written = writeln!(self.0, "{name}{labels} {value}");
    }

    /// Returns the text.
    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// Returns a number as Prometheus has it.
#[expect(clippy::cast_precision_loss, reason = "Prometheus has no more than 15 digits")]
pub(crate) const fn number(value: i64) -> f64 {
    value as f64
}
