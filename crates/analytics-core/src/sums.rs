//! Sums as PostgreSQL stores them: as `bigint`. A sum past its range is stored as [`PAST`], stays so whatever
//! is added, and is read as unknown. Nothing that is logged keeps the rest from being counted.

/// Stored for a sum that is too large; `-PAST` for one that is too small.
pub const PAST: i64 = i64::MAX;

/// Returns what is stored for a sum.
#[must_use]
pub fn stored(sum: i128) -> i64 {
    i64::try_from(sum.clamp(-i128::from(PAST), i128::from(PAST))).unwrap_or(PAST)
}

/// Returns the sum that is stored; `None` if it is past the range.
#[must_use]
pub fn known(sum: i64) -> Option<i64> {
    (-PAST < sum && sum < PAST).then_some(sum)
}

/// Adds two stored sums, as the function `saturating_add` of the database does.
#[must_use]
pub fn add(a: i64, b: i64) -> i64 {
    match (known(a), known(b)) {
        (None, _) => a,
        (_, None) => b,
        (Some(a), Some(b)) => stored(i128::from(a) + i128::from(b)),
    }
}

/// Returns the difference of two stored sums; past the range if one of them is.
#[must_use]
pub fn difference(minuend: i64, subtrahend: i64) -> i64 {
    add(minuend, stored(-i128::from(subtrahend)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_past_the_range_stays_there_and_is_unknown() {
        for (a, b, sum) in [
            (1, 2, 3),
            (PAST - 1, 0, PAST - 1),
            (PAST - 1, 1, PAST),
            (PAST, -5, PAST),
            (-5, PAST, PAST),
            (-PAST, 5, -PAST),
            (1 - PAST, -9, -PAST),
            (i64::MIN, 9, i64::MIN),
        ] {
            assert_eq!(add(a, b), sum, "{a} and {b}");
        }
        assert_eq!((difference(5, 7), difference(PAST, 7), difference(5, PAST)), (-2, PAST, -PAST));
        for (sum, is_known) in [(0, true), (PAST - 1, true), (PAST, false), (-PAST, false), (i64::MIN, false)] {
            assert_eq!(known(sum), is_known.then_some(sum));
        }
        assert_eq!((stored(i128::MAX), stored(i128::MIN), stored(-7)), (PAST, -PAST, -7));
    }
}
