//! What the detector finds in series of known shapes.

use anomaly_detector::{Judgement, Verdict};

use crate::series::{Series, rhythm};

const WEEK: i64 = 7 * 24;

/// Wednesday at noon of the week with this number, in hours.
const fn noon(week: i64) -> i64 {
    week * WEEK + 2 * 24 + 12
}

fn hourly(mean: f64) -> Series {
    Series::new("1h", 98, 0.05, |hour| mean * rhythm(hour)).counted()
}

#[test]
fn what_is_usual_is_no_anomaly() {
    for (what, series) in [
        ("a rhythm of weeks", hourly(1_000.0)),
        ("small counts", Series::new("1h", 98, 0.6, |hour| 3.0 * rhythm(hour)).counted()),
        ("hardly anything", Series::new("1h", 98, 3.0, |_| 0.1).counted()),
        ("growth of 5 % a week", Series::new("1h", 98, 0.05, |hour| 500.0 * rhythm(hour) * (hour * 0.0003).exp())),
        ("minutes", Series::new("5m", 35, 0.1, |hour| 200.0 * rhythm(hour))),
        ("days", Series::new("1d", 300, 0.05, |hour| 9_000.0 * rhythm(hour)).counted()),
        ("temperatures below zero", Series::new("30m", 60, 0.2, |hour| 5.0 * rhythm(hour) - 6.0)),
        ("always the same", Series::new("1h", 98, 0.0, |_| 42.5)),
        ("always nothing", Series::new("1h", 98, 0.0, |_| 0.0)),
        ("no value at all", hourly(1_000.0).changed(0, 98 * 24, |_| None)),
        ("a gap of a day", hourly(1_000.0).changed(noon(9), 24, |_| None)),
        ("a level that rises slowly", Series::new("1h", 98, 0.05, |hour| 300.0 + hour)),
    ] {
        assert_eq!(series.anomalies(), [], "{what}");
    }
}

#[test]
fn a_change_is_one_anomaly_where_and_as_long_as_it_is() {
    let negative = || Series::new("1h", 98, 0.05, |hour| 5.0 * rhythm(hour) - 6.0);
    let small = || Series::new("1h", 98, 0.2, |hour| 20.0 * rhythm(hour)).counted();
    let days = || Series::new("1d", 200, 0.05, |hour| 9_000.0 * rhythm(hour)).counted();
    let minutes = || Series::new("10m", 98, 0.1, |hour| 300.0 * rhythm(hour));
    let grown = || Series::new("1h", 98, 0.05, |hour| 500.0 * rhythm(hour) * (hour * 0.0003).exp());
    for (what, series, from, hours, change, verdict) in [
        ("nothing for six hours", hourly(1_000.0), noon(9), 6, 0.0, Verdict::Drop),
        ("nothing for an hour", hourly(1_000.0), noon(9), 1, 0.0, Verdict::Drop),
        ("half for six hours", hourly(1_000.0), noon(9), 6, 0.5, Verdict::Drop),
        ("twice for six hours", hourly(1_000.0), noon(9), 6, 2.0, Verdict::Surge),
        ("half of what has grown", grown(), noon(12), 6, 0.5, Verdict::Drop),
        ("no small counts", small(), noon(9), 6, 0.0, Verdict::Drop),
        ("a day with nothing", days(), 20 * WEEK, 24, 0.0, Verdict::Drop),
        ("minutes with nothing", minutes(), noon(9), 2, 0.0, Verdict::Drop),
        ("in the fifth week", hourly(1_000.0), noon(4), 6, 0.2, Verdict::Drop),
        ("in the third week, with the days before", minutes(), noon(2), 3, 0.1, Verdict::Drop),
    ] {
        let changed = series.changed(from, hours, |value| Some(value * change));
        let found = changed.anomalies();
        let [anomaly] = found.as_slice() else { panic!("{what}: {found:?}") };
        let span = (changed.hour(anomaly.span.start), changed.hour(anomaly.span.end));
        assert_eq!((anomaly.verdict, span), (verdict, (from, from + hours)), "{what}");
        let peak = anomaly.peak;
        assert!(peak.observed < peak.lower || peak.observed > peak.upper, "{what}: {peak:?}");
        assert!(peak.lower < peak.expected && peak.expected < peak.upper, "{what}: {peak:?}");
        assert!((0.9..1.0).contains(&peak.confidence), "{what}: {peak:?}");
    }
    let warm = negative().changed(noon(9), 6, |value| Some(value + 9.0)).anomalies();
    assert!(matches!(warm.as_slice(), [anomaly] if anomaly.verdict == Verdict::Surge), "{warm:?}");
}

#[test]
fn neighbours_are_one_anomaly_and_directions_are_not_mixed() {
    let nothing = |_| Some(0.0);
    let found = hourly(1_000.0).changed(noon(9), 3, nothing).changed(noon(9) + 9, 3, nothing).anomalies();
    assert_eq!(found.iter().map(|anomaly| anomaly.buckets).collect::<Vec<_>>(), [6]);
    let apart = hourly(1_000.0).changed(noon(9), 3, nothing).changed(noon(9) + 24, 3, nothing).anomalies();
    assert_eq!(apart.iter().map(|anomaly| anomaly.buckets).collect::<Vec<_>>(), [3, 3]);
    let rebound = hourly(1_000.0).changed(noon(9), 3, nothing).changed(noon(9) + 3, 3, |value| Some(value * 2.0));
    let verdicts: Vec<_> = rebound.anomalies().iter().map(|anomaly| anomaly.verdict).collect();
    assert_eq!(verdicts, [Verdict::Drop, Verdict::Surge]);
}

#[test]
fn an_anomaly_does_not_change_what_is_expected_later() {
    let expected = |series: &Series| match series.judgements().pop() {
        Some(Judgement::Judged(band)) => band.expected,
        other => panic!("{other:?}"),
    };
    let (usual, after) = (hourly(1_000.0), hourly(1_000.0).changed(13 * WEEK, 2 * 24, |_| Some(0.0)));
    let ratio = expected(&after) / expected(&usual);
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}

#[test]
fn a_level_that_stays_is_the_new_level_after_a_week() {
    let found = hourly(1_000.0).changed(9 * WEEK, 5 * WEEK, |value| Some(value * 0.4));
    let anomalies = found.anomalies();
    let [anomaly] = anomalies.as_slice() else { panic!("{anomalies:?}") };
    let days = (anomaly.span.end - anomaly.span.start).num_days();
    assert!((7..=10).contains(&days), "{days}");
}

#[test]
fn without_enough_history_there_is_no_verdict() {
    let judgements = hourly(1_000.0).judgements();
    let days = |what: fn(&Judgement) -> bool| judgements.iter().position(what).unwrap() / 24;
    assert_eq!(days(|judgement| matches!(judgement, Judgement::Judged(_))), 10);
    assert!(judgements[..240].iter().all(|judgement| *judgement == Judgement::Unknown));
    let missing = hourly(1_000.0).changed(0, 1, |_| None).judgements();
    assert_eq!(missing[0], Judgement::Missing);
}

#[test]
fn what_is_explained_by_the_marketplace_is_no_anomaly() {
    use anomaly_detector::{Bucket, Detector};
    let series = hourly(1_000.0).changed(noon(9), 6, |value| Some(value * 0.3));
    let mut detector = Detector::new(series.interval);
    let explained = usize::try_from(noon(9)).unwrap()..usize::try_from(noon(9) + 6).unwrap();
    for (index, value) in series.values.iter().enumerate() {
        let factor = if explained.contains(&index) { 0.3 } else { 1.0 };
        let judgement = detector.judge(Bucket { start: series.at(index), value: *value, factor });
        let verdict = match judgement {
            Judgement::Judged(band) => band.verdict(),
            Judgement::Missing | Judgement::Unknown => None,
        };
        assert_eq!(verdict, None, "{index}: {judgement:?}");
    }
}
