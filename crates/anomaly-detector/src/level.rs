//! Robust statistics of few numbers.

/// Sorts the numbers and returns their median; `None` if there are none.
pub(crate) fn median(numbers: &mut [f64]) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    if numbers.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *numbers.get(middle.checked_sub(1)?)?;
    Some(lower / 2.0 + upper / 2.0)
}

/// Sorts the numbers and returns the mean of their middle half; `None` if there are none. Less noisy
/// than the median, and for small counts not biased.
pub(crate) fn midmean(numbers: &mut [f64]) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let cut = numbers.len() / 4;
    let middle = numbers.get(cut..numbers.len() - cut).filter(|middle| !middle.is_empty())?;
    #[expect(clippy::cast_precision_loss, reason = "few numbers")]
    let count = middle.len() as f64;
    Some(middle.iter().map(|number| number / count).sum())
}

/// Returns the number below which `share` of the sorted numbers are; `None` if there are none.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few numbers")]
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}
