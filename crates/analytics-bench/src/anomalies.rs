//! How well anomalies are found: in generated years with drops of known size, and without any.
//!
//! Uses the detector alone, bucket by bucket, as `analytics-jobs anomalies` does.

use std::fmt::Write;

use anomaly_detector::{Anomalies, Bucket, Interval, Judgement, Span, Verdict};
use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, Timelike};

use crate::report::median;

/// How many years are generated of each series, after the 10 weeks from which it is learned what is usual.
const YEARS: u64 = 6;
const WEEKS: usize = 62;
const LEARNED: usize = 10;
/// There is a drop in every third week.
const EVERY: usize = 3;

/// Shares of a day by the hour, as parts of an average hour.
const HOURS: [f64; 24] = [
    0.42, 0.27, 0.18, 0.13, 0.14, 0.23, 0.45, 0.72, 0.95, 1.10, 1.18, 1.22, 1.30, 1.24, 1.15, 1.12, 1.16, 1.28, 1.48,
    1.75, 1.98, 1.92, 1.50, 1.13,
];
/// Shares of a week by the day from Monday.
const DAYS: [f64; 7] = [0.93, 0.86, 0.85, 0.88, 0.92, 1.22, 1.34];
/// Days with more or less than usual, by month and day.
const SPECIAL: [(u32, u32, f64); 9] = [
    (1, 1, 0.5),
    (5, 1, 0.7),
    (11, 11, 1.8),
    (11, 27, 2.5),
    (11, 30, 2.0),
    (12, 24, 0.6),
    (12, 25, 0.4),
    (12, 26, 0.6),
    (12, 31, 0.7),
];

/// A series: what, the interval, the mean of a bucket, and how long a drop is, in buckets.
struct Size {
    what: &'static str,
    interval: Interval,
    mean: f64,
    drop: usize,
}

const SIZES: [Size; 5] = [
    Size { what: "marketplace, 2,000 an hour", interval: Interval::HOUR, mean: 2_000.0, drop: 6 },
    Size { what: "large seller, 100 an hour", interval: Interval::HOUR, mean: 100.0, drop: 6 },
    Size { what: "seller at the floor, 20 an hour", interval: Interval::HOUR, mean: 20.0, drop: 6 },
    Size { what: "seller, 400 a day", interval: Interval::DAY, mean: 400.0, drop: 2 },
    Size { what: "seller at the floor, 20 a day", interval: Interval::DAY, mean: 20.0, drop: 2 },
];

/// A generator of random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.fraction()).sum::<f64>() - 6.0
    }

    /// Draws a count with this mean.
    fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 50.0 {
            return mean.sqrt().mul_add(self.normal(), mean).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.fraction(), 0.0);
        while product > limit {
            product *= self.fraction();
            count += 1.0;
        }
        count
    }
}

fn start() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2025, 1, 6).expect("a date").and_hms_opt(0, 0, 0).expect("a time")
}

/// A generated year: the values, and the drops as ranges of buckets.
struct Year {
    values: Vec<f64>,
    drops: Vec<std::ops::Range<usize>>,
}

fn year(size: &Size, seed: u64, drop: Option<f64>) -> Year {
    let mut random = Random(seed);
    let per_week =
        usize::try_from(Duration::weeks(1).num_minutes() / size.interval.length().num_minutes()).expect("small");
    let per_day = (per_week / 7) as f64;
    let drops: Vec<_> = (LEARNED..WEEKS)
        .step_by(EVERY)
        .filter(|_| drop.is_some())
        .map(|week| {
            let at = week * per_week + (random.fraction() * (per_week - size.drop) as f64) as usize;
            at..at + size.drop
        })
        .collect();
    let mut day_noise = (0, 1.0);
    let value = |index: usize, random: &mut Random| {
        let at = start() + size.interval.length() * i32::try_from(index).expect("small");
        if day_noise.0 != at.ordinal() {
            day_noise = (at.ordinal(), 0.06_f64.mul_add(random.normal(), 1.0));
        }
        let hour = if per_day > 1.0 { HOURS[at.hour() as usize] } else { 1.0 };
        let special = SPECIAL.iter().find(|(month, day, _)| (at.month(), at.day()) == (*month, *day));
        let growth = (index as f64 / per_day / 365.0 * 0.4).exp();
        let noise = 0.05_f64.mul_add(random.normal(), 1.0);
        let weekday = DAYS[at.weekday().num_days_from_monday() as usize];
        let usual =
            size.mean * hour * weekday * growth * day_noise.1 * noise * special.map_or(1.0, |special| special.2);
        let left = if drops.iter().any(|range| range.contains(&index)) { 1.0 - drop.unwrap_or(0.0) } else { 1.0 };
        random.poisson((usual * left).max(0.0))
    };
    let mut value = value;
    let values = (0..WEEKS * per_week).map(|index| value(index, &mut random)).collect();
    Year { values, drops }
}

/// An alert: when it was raised, as the number of the bucket, and the buckets of its anomaly.
struct Alert {
    raised: usize,
    buckets: std::ops::Range<usize>,
    verdict: Verdict,
}

/// Judges a year. `is_skipped` are buckets of a calendar of quiet times.
fn alerts(size: &Size, values: &[f64], is_skipped: impl Fn(NaiveDateTime) -> bool) -> Vec<Alert> {
    let mut anomalies = Anomalies::new(size.interval);
    let mut alerts: Vec<Alert> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let at = start() + size.interval.length() * i32::try_from(index).expect("small");
        let value = Some(*value).filter(|_| !is_skipped(at));
        let (_, _) = anomalies.judge(Bucket::new(at, value), Span { start: index, end: index + 1 });
        let Some(open) = anomalies.open() else { continue };
        let buckets = open.span.start..open.span.end;
        match alerts.last_mut().filter(|last| last.buckets.start == buckets.start && last.verdict == open.verdict) {
            Some(last) => last.buckets = buckets,
            None => alerts.push(Alert { raised: index, buckets, verdict: open.verdict }),
        }
    }
    alerts
}

fn is_special(at: NaiveDateTime) -> bool {
    SPECIAL.iter().any(|(month, day, _)| (at.month(), at.day()) == (*month, *day))
}

fn overlap(a: &std::ops::Range<usize>, b: &std::ops::Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Returns a row of the table of drops.
fn row(size: &Size, drop: f64) -> String {
    let (mut injected, mut found, mut raised, mut right) = (0, 0, 0, 0);
    let mut delays = Vec::new();
    for seed in 0..YEARS {
        let year = year(size, seed + 1, Some(drop));
        let alerts = alerts(size, &year.values, is_special);
        injected += year.drops.len();
        for range in &year.drops {
            let alert = alerts.iter().find(|alert| alert.verdict == Verdict::Drop && overlap(&alert.buckets, range));
            if let Some(alert) = alert {
                found += 1;
                // The bucket is judged when it is over.
                let buckets = (alert.raised + 1).saturating_sub(range.start) as f64;
                delays.push(buckets * size.interval.length().num_hours() as f64);
            }
        }
        raised += alerts.len();
        right += alerts.iter().filter(|alert| year.drops.iter().any(|range| overlap(&alert.buckets, range))).count();
    }
    let precision =
        if raised == 0 { "-".to_owned() } else { format!("{:.2}", f64::from(right as u32) / raised as f64) };
    let delay = if delays.is_empty() { "-".to_owned() } else { format!("{:.0} h", median(&delays)) };
    let (what, percent) = (size.what, drop * 100.0);
    format!(
        "| {what} | {percent:.0} % | {found} of {injected} | {:.2} | {precision} | {delay} |",
        found as f64 / injected as f64
    )
}

/// Returns a row of the table of years without drops: alerts a week with and without a calendar.
fn quiet_row(size: &Size) -> String {
    let weeks = (YEARS as usize * (WEEKS - LEARNED)) as f64;
    let count = |with_calendar: bool| -> usize {
        let of = |seed| {
            let year = year(size, seed + 100, None);
            alerts(size, &year.values, |at| with_calendar && is_special(at)).len()
        };
        (0..YEARS).map(of).sum()
    };
    let (with, without) = (count(true), count(false));
    format!("| {} | {:.3} | {:.3} |", size.what, with as f64 / weeks, without as f64 / weeks)
}

/// Counts the alerts while ingest stalls for an hour in every week: if buckets are judged when they are
/// complete, and if they are judged when they are over.
fn stalls(size: &Size) -> (usize, usize) {
    let per_week = 168;
    let (mut complete, mut over) = (0, 0);
    for seed in 0..YEARS {
        let year = year(size, seed + 200, None);
        // A judge that waits sees every bucket as it is in the end, some hours later.
        let is_stalled =
            |index: usize| index >= LEARNED * per_week && index % per_week == index / per_week * 37 % per_week;
        let found = alerts(size, &year.values, is_special);
        complete += found.iter().filter(|alert| alert.buckets.clone().any(is_stalled)).count();
        let mut anomalies = Anomalies::new(size.interval);
        for (index, value) in year.values.iter().enumerate() {
            let at = start() + size.interval.length() * i32::try_from(index).expect("small");
            let is_stalled = is_stalled(index);
            let seen = Some(if is_stalled { 0.0 } else { *value }).filter(|_| !is_special(at));
            let bucket = Bucket::new(at, seen);
            let judged = anomalies.judge(bucket, Span { start: index, end: index + 1 }).0;
            let is_alert = matches!(judged, Judgement::Judged(band) if band.verdict() == Some(Verdict::Drop));
            over += usize::from(is_stalled && is_alert);
        }
    }
    (complete, over)
}

/// Measures everything, and returns a page of documentation.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# How well anomalies are found\n\n\
         Written by `scripts/bench anomalies`; the same command gives the same figures.\n\n",
    );
    let years = format!(
        "{YEARS} generated years of each series: a rhythm of hours and weekdays, growth of 40 % a year, noise of 6 % by day \
         and 5 % by bucket, Poisson counts, {} sales days and holidays. Buckets are judged by the ones before them, from \
         the {LEARNED}th week on. A drop lasts 6 hours, or 2 days where days are judged, and begins at a random time, also \
         at night. Sales days and holidays are in the calendar of quiet times (`ANOMALY_CALENDAR`), unless it says otherwise.",
        SPECIAL.len()
    );
    let _written = writeln!(page, "{years}\n\n## Drops\n");
    page.push_str(
        "- found: drops that overlap with an anomaly `drop`\n- precision: anomalies of either direction that overlap with a \
         drop, as a part of all\n- delay: median from the start of the drop to the end of the bucket with which it was \
         found\n\n| series | drop | found | recall | precision | delay |\n|---|---:|---:|---:|---:|---:|\n",
    );
    for size in &SIZES {
        for drop in [0.2, 0.5, 0.8, 1.0] {
            let _written = writeln!(page, "{}", row(size, drop));
        }
    }
    page.push_str(
        "\n## Years without drops\n\nAnomalies a week of one series.\n\n| series | with the calendar | without it |\n\
         |---|---:|---:|\n",
    );
    for size in &SIZES {
        let _written = writeln!(page, "{}", quiet_row(size));
    }
    let (complete, over) = stalls(&SIZES[0]);
    let stalled = YEARS as usize * (WEEKS - LEARNED);
    let _written = write!(
        page,
        "\n## Ingest stalls\n\nIngest stalls for one hour in every week, {stalled} times. Hours are judged when they are \
         completely counted: {complete} false drops. If they were judged when they are over: {over}. That a stalled worker \
         gives only `delayed` is also tested with the real service \
         (`crates/analytics-jobs/tests/jobs/anomalies.rs`).\n\n{PUBLIC}"
    );
    page
}

const PUBLIC: &str = "\
## Public data\n\n\
`nyc_taxi.csv` of the Numenta Anomaly Benchmark, taxi rides in New York by half hour from July 2014 to January 2015, has \
five labelled anomalies. `analytics-jobs anomalies --csv nyc_taxi.csv --interval 30m` prints 13 lines: each of the five is \
found (marathon, Thanksgiving, Christmas, New Year, blizzard), by 11 lines within their labelled windows; the other 2 are \
Labor Day, which is not labelled. The constants were chosen with this file and the rest of that benchmark in view, where \
they find 58 of 116 windows with 116 lines outside of them in 58 files: most of these have two weeks of data, of which the \
first 10 days are not judged, and no rhythm.\n";
