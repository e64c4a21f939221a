//! The change from an earlier value to a present one, or why there is none.

use analytics_core::ratios;

/// Why a range of everything has no change.
pub(crate) const NO_EARLIER_RANGE: &str = "no_earlier_range";

/// Returns the change from `previous` to `current` in basis points, or why there is none.
pub(crate) fn change(current: Option<i64>, previous: Option<i64>) -> (Option<i64>, Option<&'static str>) {
    let reason = match (current, previous) {
        (_, None | Some(0)) => "no_base",
        (None, _) => "no_value",
        // Past the range of 64 bits.
        (Some(_), Some(_)) => "overflow",
    };
    let change = ratios::change(current, previous);
    (change, change.is_none().then_some(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_missing_has_its_reason() {
        for (current, previous, expected) in [
            (Some(150), Some(120), (Some(2_500), None)),
            (Some(0), Some(120), (Some(-10_000), None)),
            (Some(5), Some(0), (None, Some("no_base"))),
            (Some(5), None, (None, Some("no_base"))),
            (None, None, (None, Some("no_base"))),
            (None, Some(120), (None, Some("no_value"))),
            (Some(i64::MAX), Some(1), (None, Some("overflow"))),
        ] {
            assert_eq!(change(current, previous), expected, "{current:?} {previous:?}");
        }
    }
}
