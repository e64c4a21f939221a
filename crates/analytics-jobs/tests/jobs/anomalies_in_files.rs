//! `anomalies --csv`: a series in a file, without a database.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::fmt::Write;

use analytics_testkit::process;
use chrono::{DateTime, Duration, NaiveDateTime};
use serde_json::Value;

/// Judges a file on standard input; returns the exit code, the output and the messages.
fn judge(arguments: &[&str], file: &str) -> (Option<i32>, String, String) {
    let arguments = [&["anomalies", "--csv", "-"], arguments].concat();
    let output = process::run_with_input("analytics-jobs", &arguments, &BTreeMap::new(), file.as_bytes());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn found(arguments: &[&str], file: &str) -> Vec<Value> {
    let (code, out, error) = judge(arguments, file);
    assert_eq!(code, Some(0), "{error}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn start() -> NaiveDateTime {
    "2026-01-05T00:00:00".parse().unwrap()
}

/// The rows of 8 weeks in half hours, with nothing on Wednesday afternoon of the seventh week.
fn rows(time: impl Fn(NaiveDateTime) -> String) -> Vec<String> {
    let of = |index: i32| {
        let at = start() + Duration::minutes(30) * index;
        let hour = f64::from(index % 48) / 2.0;
        let value = 1_000.0 * (1.0 + 0.5 * ((hour - 9.0) * PI / 12.0).sin()) + f64::from(index * 7_919 % 41);
        let is_out = (6 * 336 + 2 * 48 + 28..6 * 336 + 2 * 48 + 36).contains(&index);
        format!("{},{}\n", time(at), if is_out { 0.0 } else { value.round() })
    };
    (0..8 * 336).map(of).collect()
}

fn plain(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

#[test]
fn a_drop_is_one_line_with_its_band_in_the_style_of_the_file() {
    let file = format!("timestamp,value\n{}", rows(plain).concat());
    for arguments in [&["--interval", "30m"][..], &[]] {
        let lines = found(arguments, &file);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let names: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(names, ["end", "expected", "lower", "observed", "start", "upper", "verdict"]);
        assert_eq!((&line["start"], &line["end"]), (&"2026-02-18 14:00:00".into(), &"2026-02-18 18:00:00".into()));
        assert_eq!((&line["verdict"], &line["observed"]), (&"drop".into(), &0.into()));
        let number = |name: &str| line[name].as_f64().unwrap();
        assert!(0.0 < number("lower") && number("lower") < number("expected"), "{line}");
        assert!((1_350.0..1_650.0).contains(&number("expected")) && number("expected") < number("upper"), "{line}");
    }
    let zoned = found(&[], &rows(|at| format!("{}+05:30", at.format("%Y-%m-%dT%H:%M:%S"))).concat());
    assert_eq!(zoned[0]["start"], "2026-02-18T14:00:00+05:30");
    let hours = found(&["--interval", "1h"], &file);
    assert_eq!((&hours[0]["start"], &hours[0]["end"]), (&"2026-02-18 14:00:00".into(), &"2026-02-18 18:00:00".into()));
}

#[test]
fn buckets_are_judged_by_the_past_alone() {
    let rows = rows(plain);
    let whole = judge(&["--interval", "30m"], &rows.concat()).1;
    for kept in [0, 100, 1_000, 2_000, 2_141, 2_143, 2_147, 2_300, rows.len()] {
        let (code, out, error) = judge(&["--interval", "30m"], &format!("timestamp,value\n{}", rows[..kept].concat()));
        assert_eq!(code, Some(i32::from(kept == 0)), "{error}");
        let ended = out.lines().count().saturating_sub(1);
        assert!(out.lines().take(ended).eq(whole.lines().take(ended)), "{kept}: {out}");
        assert_eq!(out.is_empty(), kept <= 2_140, "{kept}: {out}");
    }
}

#[test]
fn missing_rows_and_values_are_no_drop() {
    let mut rows = rows(plain);
    for row in &mut rows[2_500..2_520] {
        *row = format!("{},\n", row.split_once(',').unwrap().0);
    }
    rows.drain(2_550..2_590);
    assert_eq!(found(&[], &rows.concat()).len(), 1);
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_line() {
    for (arguments, file, error) in [
        (&[][..], "", "-: has no rows of timestamp,value"),
        (&[], "timestamp,value\n", "-: has no rows of timestamp,value"),
        (&[], "2026-01-05 00:00:00,1\n", "-: the interval cannot be told"),
        (&[], "2026-01-05 00:00:00,1\n2026-01-05 00:30:00,many\n", "-: line 2: the value must be a number"),
        (&["--interval", "30s"], "", "must be whole minutes, hours or days"),
        (&["--backtest"], "", "cannot be used with"),
    ] {
        let (code, out, said) = judge(arguments, file);
        assert!(code != Some(0) && out.is_empty() && said.contains(error), "{said}");
    }
    let missing = process::run("analytics-jobs", &["anomalies", "--csv", "/nowhere.csv"], &BTreeMap::new());
    assert!(String::from_utf8(missing.stderr).unwrap().contains("/nowhere.csv: cannot be read"));
}

/// Any text is judged or is an error; nothing else happens.
#[test]
fn any_file_is_read_or_refused() {
    let mut state = 1_u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let pieces = [
        "2026-01-05 00:00:00",
        "0001-01-01",
        "9999-12-31 23:59:59",
        "1e308",
        "-1e308",
        "nan",
        ",",
        ",",
        "\n",
        "\n",
        "\"",
        "\u{feff}",
        "5e-324",
        "2026-01-05T00:00:00Z",
        "timestamp",
        "\u{e9}",
        "\0",
        "-0",
    ];
    for _ in 0..60 {
        let mut file = String::new();
        for _ in 0..draw(40) {
            file.push_str(pieces[usize::try_from(draw(pieces.len() as u64)).unwrap()]);
        }
        let (code, _, said) = judge(&[], &file);
        assert!(matches!(code, Some(0 | 1)) && !said.contains("panicked"), "{file:?}: {said}");
    }
    let mut days = String::new();
    for day in 0..1_500 {
        let at = DateTime::from_timestamp(-61_000_000_000 + day * 86_400, 0).unwrap();
        writeln!(days, "{},{}", at.format("%Y-%m-%d"), if day % 3 == 0 { "1.7e308" } else { "5e-324" }).unwrap();
    }
    assert_eq!(judge(&[], &days).0, Some(0));
}
