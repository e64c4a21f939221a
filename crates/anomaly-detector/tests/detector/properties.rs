//! What holds for any series.

use anomaly_detector::{Anomalies, Bucket, Interval, Judgement, Span};
use chrono::{DateTime, Duration, NaiveDateTime};
use proptest::prelude::*;

use crate::series::{Random, Series, rhythm};

fn any_value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        6 => (0.0..100.0).prop_map(Some),
        2 => Just(None),
        1 => prop_oneof![any::<f64>(), Just(f64::MAX), Just(f64::MIN_POSITIVE), Just(-0.0)].prop_map(Some),
    ]
}

/// A series that repeats a few values, with some changed.
fn any_series() -> impl Strategy<Value = Series> {
    let minutes = prop_oneof![Just(60_i64), Just(1440), 240..=10_080_i64];
    (minutes, prop::collection::vec(any_value(), 1..40), prop::collection::vec((0_usize..900, any_value()), 0..20))
        .prop_map(|(minutes, pattern, changes)| {
            let mut values: Vec<_> = pattern.into_iter().cycle().take(900).collect();
            for (index, value) in changes {
                values[index] = value;
            }
            Series { interval: Interval::of_minutes(minutes).unwrap(), values }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_series_is_judged_and_bands_are_in_order(series in any_series()) {
        for judgement in series.judgements() {
            if let Judgement::Judged(band) = judgement {
                prop_assert!(band.lower <= band.upper && band.lower.is_finite() && band.upper.is_finite());
                prop_assert!((0.0..1.0).contains(&band.confidence));
                prop_assert_eq!(band.verdict().is_some(), band.score.abs() > 1.0);
            }
        }
    }

    #[test]
    fn the_future_does_not_change_what_was_found(series in any_series(), kept in 0_usize..900) {
        let prefix = Series { values: series.values[..kept].to_vec(), ..series.clone() };
        let (all, judged) = (series.judgements(), prefix.judgements());
        prop_assert_eq!(&all[..kept], &judged[..]);
        let (whole, found) = (series.anomalies(), prefix.anomalies());
        // The last one may still be open.
        let ended = found.len().saturating_sub(1);
        prop_assert_eq!(&whole[..ended], &found[..ended]);
    }

    #[test]
    fn any_order_of_times_is_judged(times in prop::collection::vec(-10_000_000_000_i64..10_000_000_000, 1..200)) {
        let mut anomalies = Anomalies::new(Interval::HOUR);
        for time in times {
            let start: NaiveDateTime = DateTime::from_timestamp(time, 0).unwrap().naive_utc();
            let span = Span { start, end: start + Duration::hours(1) };
            let _judged = anomalies.judge(Bucket::new(start, Some(1.0)), span);
        }
    }

    #[test]
    fn the_scale_of_measurements_does_not_matter(scale in 1e-6..1e6_f64, seed in any::<u64>()) {
        let mut random = Random(seed);
        let values = |hour| rhythm(hour) * 100.0 + 0.25;
        let mut series = Series::new("1h", 50, 0.0, values);
        for value in series.values.iter_mut().flatten() {
            *value *= 1.0 + 0.1 * random.normal();
        }
        let series = series.changed(40 * 24, 5, |value| Some(value * 0.3));
        let mut scaled = series.clone();
        scaled.values.iter_mut().flatten().for_each(|value| *value *= scale);
        let spans = |series: &Series| series.anomalies().iter().map(|found| found.span).collect::<Vec<_>>();
        prop_assert_eq!(spans(&series), spans(&scaled));
        prop_assert!(!spans(&series).is_empty());
    }
}

#[test]
fn an_hour_that_repeats_is_judged_twice_and_nothing_is_lost() {
    let series = Series::new("1h", 60, 0.05, |hour| 100.0 * rhythm(hour)).counted();
    let mut anomalies = Anomalies::new(series.interval);
    for (index, value) in series.values.iter().enumerate() {
        for _ in 0..1 + usize::from(index == 1_000) {
            let span = Span { start: series.at(index), end: series.at(index + 1) };
            let (judgement, ended) = anomalies.judge(Bucket::new(series.at(index), *value), span);
            assert!(ended.is_none() && (index < 400 || matches!(judgement, Judgement::Judged(_))), "{index}");
        }
    }
}
