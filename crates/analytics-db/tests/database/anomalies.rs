//! What runs of `anomalies` find is stored once, and a subject has one anomaly that is open.

use analytics_db::tables::anomalies::{Found, store};
use analytics_testkit::database::Database;
use chrono::{DateTime, Utc};

fn at(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 / 86_400 * 86_400 + hours * 3_600, 0).unwrap()
}

/// A drop in some hours, counted from the start of a day.
fn drop_of(is_daily: bool, hours: std::ops::Range<i64>, is_open: bool) -> Found {
    Found {
        subject: "total_views".into(),
        vendor: None,
        is_daily,
        verdict: "drop",
        from: at(hours.start),
        to: at(hours.end),
        judged_until: if is_daily { at(72) } else { at(80) },
        is_open,
        observed: 1.0,
        expected: 3.0,
        lower: 2.0,
        upper: 4.0,
        confidence: 1.0,
    }
}

/// Stores what each of some runs found, twice, and returns after each what is stored: granularity, state, and the
/// hours from and to.
fn stored(runs: &[&[Found]]) -> Vec<Vec<String>> {
    let database = Database::migrated();
    let mut connection = database.connect();
    let judged = [("total_views".to_owned(), at(80))];
    let read = |start: i64| {
        let hour = |column: &str| format!("(extract(epoch FROM {column})::bigint - {start}) / 3600");
        let (from, to) = (hour("from_time"), hour("to_time"));
        database.lines(&format!("SELECT concat_ws(' ', granularity, state, {from}, {to}) FROM anomalies ORDER BY 1"))
    };
    let mut after = Vec::new();
    for found in runs {
        store(&mut connection, &judged, found, &[]).unwrap();
        let first = read(at(0).timestamp());
        store(&mut connection, &judged, found, &[]).unwrap();
        assert_eq!(read(at(0).timestamp()), first, "{found:?}");
        after.push(first);
    }
    after
}

#[test]
fn days_and_hours_at_the_same_time_are_stored_once_each_and_one_of_them_is_open() {
    let runs = stored(&[
        &[drop_of(true, 0..72, true), drop_of(false, 33..39, false)],
        &[drop_of(true, 0..72, false), drop_of(false, 33..39, false), drop_of(false, 70..80, true)],
        &[drop_of(true, 0..72, true), drop_of(false, 33..39, false), drop_of(false, 70..79, false)],
        &[drop_of(true, 0..72, false), drop_of(false, 33..39, false), drop_of(false, 70..80, true)],
    ]);
    assert_eq!(runs[0], ["d open 0 72", "h resolved 33 39"]);
    assert_eq!(runs[1], ["d resolved 0 72", "h open 70 80", "h resolved 33 39"]);
    assert_eq!(runs[2], ["d open 0 72", "h resolved 33 39", "h resolved 70 79"]);
    assert_eq!(runs[3], runs[1]);
}

#[test]
fn an_anomaly_of_days_that_hours_show_becomes_theirs() {
    let runs = stored(&[
        &[drop_of(true, 48..72, true)],
        &[drop_of(false, 57..80, true)],
        &[drop_of(true, 48..72, true), drop_of(false, 57..63, false)],
        &[],
    ]);
    assert_eq!(runs[0], ["d open 48 72"]);
    assert_eq!(runs[1], ["h open 48 80"]);
    assert_eq!(runs[2], ["d open 48 72", "h resolved 48 63"]);
    assert_eq!(runs[3], ["d resolved 48 72", "h resolved 48 63"]);
}
