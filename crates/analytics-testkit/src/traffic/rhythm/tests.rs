//! Tests of the times of a sample history.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use analytics_core::business::Business;
use chrono::NaiveDate;

use super::*;

const PER_DAY: f64 = 6_000.0;

static BERLIN: LazyLock<Calendar> =
    LazyLock::new(|| Business::parse("EUR", "Europe/Berlin").expect("a timezone").calendar);

fn now() -> DateTime<Utc> {
    "2026-11-27T10:20:30Z".parse().expect("a time")
}

fn times(seed: u64, days: u32) -> Vec<DateTime<Utc>> {
    Rhythm::new(seed, *BERLIN, last_days(*BERLIN, days, now()), PER_DAY).collect()
}

/// Events by business day.
fn days(times: &[DateTime<Utc>]) -> BTreeMap<NaiveDate, usize> {
    let mut days = BTreeMap::new();
    for time in times {
        *days.entry(BERLIN.local(*time).date()).or_default() += 1;
    }
    days
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn mean(values: impl IntoIterator<Item = usize>) -> f64 {
    let values: Vec<usize> = values.into_iter().collect();
    values.iter().sum::<usize>() as f64 / values.len() as f64
}

#[test]
fn the_same_seed_gives_the_same_times() {
    assert_eq!(times(1, 5), times(1, 5));
    assert_ne!(times(1, 5), times(2, 5));
}

#[test]
fn times_are_in_order_and_end_now() {
    // The clock in Berlin was put back in this range, on 2026-10-25.
    let (times, range) = (times(1, 60), last_days(*BERLIN, 60, now()));
    assert!(times.is_sorted());
    assert!(times.iter().all(|time| range.contains(time)));
    assert_eq!(range.start.to_string(), "2026-09-28 22:00:00 UTC");
    let last = times.last().expect("events");
    assert!(now() - *last < Duration::minutes(10), "{last}");
}

#[test]
fn every_day_has_events_and_no_two_are_alike() {
    let days = days(&times(1, 60));
    assert_eq!(days.len(), 60);
    let mut full: Vec<usize> = days.values().copied().take(59).collect();
    full.sort_unstable();
    full.dedup();
    assert!(full.len() > 50, "{full:?}");
    let mean = mean(days.values().copied().take(59));
    assert!((0.8 * PER_DAY..PER_DAY).contains(&mean), "{mean}");
}

#[test]
fn weekends_are_busier_than_the_week() {
    let days = days(&times(1, 57));
    let of = |weekend: bool| {
        let full = days.iter().take(56);
        mean(full.filter(|(day, _)| (day.weekday().num_days_from_monday() >= 5) == weekend).map(|(_, count)| *count))
    };
    let ratio = of(true) / of(false);
    assert!((1.3..1.6).contains(&ratio), "{ratio}");
}

#[test]
fn evenings_of_the_local_clock_are_the_busiest() {
    let mut hours = [0_usize; 24];
    for time in times(1, 57) {
        hours[BERLIN.local(time).hour() as usize] += 1;
    }
    let busiest = (0..24).max_by_key(|hour| hours[*hour]);
    assert!(matches!(busiest, Some(20 | 21)), "{hours:?}");
    assert!(hours[20] > 8 * hours[3], "{hours:?}");
}

#[test]
fn it_grows() {
    let days: Vec<usize> = days(&times(1, 57)).into_values().collect();
    let (first, last) = (mean(days[..28].to_vec()), mean(days[28..56].to_vec()));
    assert!((1.05..1.25).contains(&(last / first)), "{first} {last}");
}

#[test]
fn an_empty_range_has_no_events() {
    assert_eq!(Rhythm::new(1, *BERLIN, now()..now(), PER_DAY).count(), 0);
}
