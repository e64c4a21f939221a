//! `anomalies --csv`: judges the series in a file. Needs no database.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use analytics_process::remark;
use analytics_process::shutdown::Shutdown;
use anomaly_detector::{Anomalies, Anomaly, Bucket, Interval, Judgement, Span};
use anyhow::{Context, bail};
use chrono::{DateTime, FixedOffset, SecondsFormat};
use serde::Serialize;
use serde_json::Number;

use super::Format;
use super::rows::{Clock, Row, Rows};

/// How many rows the interval is found from, if none is given. The rest of the file does not change it.
const ROWS_FOR_INTERVAL: usize = 100;

/// Judges every bucket of a file by the ones before it, and prints the anomalies.
pub(super) fn run(path: &Path, interval: Option<Interval>, format: Format, shutdown: &Shutdown) -> anyhow::Result<()> {
    let name = path.display();
    let input: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("{name}: cannot be read"))?)
    };
    let mut rows = Rows::new(input);
    let mut first = Vec::new();
    while first.len() < ROWS_FOR_INTERVAL
        && let Some(row) = rows.next().with_context(|| name.to_string())?
    {
        first.push(row);
    }
    let Some(begin) = first.first().copied() else { bail!("{name}: has no rows of timestamp,value") };
    let Some(interval) = interval.or_else(|| usual_gap(&first)) else {
        bail!("{name}: the interval cannot be told from its first rows; give it by --interval, such as --interval 30m");
    };
    let out = BufWriter::new(io::stdout().lock());
    let mut judge =
        Judge { buckets: Buckets::new(interval, begin, first.get(1)), out, format, counts: Counts::default() };
    let mut anomalies = Anomalies::new(interval);
    let mut first = first.into_iter();
    while let Some(row) = match first.next() {
        Some(row) => Some(row),
        None => rows.next().with_context(|| name.to_string())?,
    } {
        if let Some(bucket) = judge.buckets.add(row) {
            judge.judge(&mut anomalies, bucket)?;
        }
        if shutdown.requested() {
            bail!("stopped before the end of {name}");
        }
    }
    if let Some(bucket) = judge.buckets.end() {
        judge.judge(&mut anomalies, bucket)?;
    }
    if let Some(open) = anomalies.open() {
        judge.print(&open)?;
    }
    judge.out.flush()?;
    let Counts { judged, unknown, missing, anomalies } = judge.counts;
    remark!(
        "{name}: {anomalies} anomalies in {judged} buckets of {interval}; {unknown} more had too little history, \
         {missing} no value"
    );
    Ok(())
}

/// Returns the most frequent time between two rows, if it is an interval; of several the shortest.
fn usual_gap(rows: &[Row]) -> Option<Interval> {
    let mut gaps: Vec<i64> = rows
        .windows(2)
        .filter_map(|pair| match pair {
            [earlier, later] => Some((later.time - earlier.time).num_seconds()),
            _ => None,
        })
        .filter(|seconds| *seconds > 0)
        .map(|seconds| (seconds + 30) / 60)
        .collect();
    gaps.sort_unstable();
    let chunks = gaps.chunk_by(|a, b| a == b);
    let most = chunks.rev().max_by_key(|chunk| chunk.len())?;
    Interval::of_minutes(*most.first()?).ok()
}

/// The mean of the rows of a bucket. Rows that have no value do not count.
struct Open {
    start: DateTime<FixedOffset>,
    clock: Clock,
    sum: f64,
    count: u32,
}

/// Divides rows into buckets.
struct Buckets {
    interval: Interval,
    /// How much later than full intervals buckets begin.
    phase: chrono::Duration,
    open: Option<Open>,
}

impl Buckets {
    /// Rows that are one interval apart are the buckets, whenever they begin. Other rows are put into
    /// buckets that begin at full hours, or whatever the interval is.
    fn new(interval: Interval, first: Row, second: Option<&Row>) -> Self {
        let is_regular = second.is_some_and(|second| second.time - first.time == interval.length());
        let local = first.time.naive_local();
        let phase = if is_regular { local - interval.start(local) } else { chrono::Duration::zero() };
        Self { interval, phase, open: None }
    }

    /// Adds a row, and returns the bucket that is over.
    fn add(&mut self, row: Row) -> Option<Open> {
        let local = row.time.naive_local();
        let past = local - self.phase;
        let start = row.time - (past - self.interval.start(past));
        let value = row.value.map_or((0.0, 0), |value| (value, 1));
        if let Some(open) = self.open.as_mut().filter(|open| open.start == start) {
            (open.sum, open.count) = (open.sum + value.0, open.count + value.1);
            return None;
        }
        self.open.replace(Open { start, clock: row.clock, sum: value.0, count: value.1 })
    }

    fn end(&mut self) -> Option<Open> {
        self.open.take()
    }
}

#[derive(Default)]
struct Counts {
    judged: usize,
    unknown: usize,
    missing: usize,
    anomalies: usize,
}

/// A time, and how the file writes times.
type Time = (DateTime<FixedOffset>, Clock);

struct Judge<W> {
    buckets: Buckets,
    out: W,
    format: Format,
    counts: Counts,
}

/// An anomaly as JSON.
#[derive(Serialize)]
struct Line {
    start: String,
    end: String,
    verdict: &'static str,
    observed: Option<Number>,
    expected: Option<Number>,
    lower: Option<Number>,
    upper: Option<Number>,
}

impl<W: Write> Judge<W> {
    fn judge(&mut self, anomalies: &mut Anomalies<Time>, bucket: Open) -> anyhow::Result<()> {
        let Open { start, clock, sum, count } = bucket;
        let value = (count > 0).then(|| sum / f64::from(count));
        let end = start + self.buckets.interval.length();
        let span = Span { start: (start, clock), end: (end, clock) };
        let (judgement, ended) = anomalies.judge(Bucket::new(start.naive_local() - self.buckets.phase, value), span);
        match judgement {
            Judgement::Judged(_) => self.counts.judged += 1,
            Judgement::Unknown => self.counts.unknown += 1,
            Judgement::Missing => self.counts.missing += 1,
        }
        ended.map_or(Ok(()), |ended| self.print(&ended))
    }

    fn print(&mut self, anomaly: &Anomaly<Time>) -> anyhow::Result<()> {
        self.counts.anomalies += 1;
        let (peak, span) = (anomaly.peak, anomaly.span);
        let (start, end, verdict) = (written(span.start), written(span.end), anomaly.verdict.name());
        match self.format {
            Format::Json => {
                let line = Line {
                    start,
                    end,
                    verdict,
                    observed: number(peak.observed),
                    expected: number(rounded(peak.expected)),
                    lower: number(rounded(peak.lower)),
                    upper: number(rounded(peak.upper)),
                };
                serde_json::to_writer(&mut self.out, &line)?;
                writeln!(self.out)?;
            }
            Format::Text => writeln!(
                self.out,
                "{start} to {end}: {verdict}, {} instead of {} ({} to {})",
                peak.observed,
                rounded(peak.expected),
                rounded(peak.lower),
                rounded(peak.upper)
            )?,
        }
        Ok(())
    }
}

/// Writes a time as the file does.
fn written((time, clock): Time) -> String {
    match clock {
        Clock::Local => time.naive_local().format("%Y-%m-%d %H:%M:%S").to_string(),
        Clock::Offset => time.to_rfc3339_opts(SecondsFormat::Secs, true),
    }
}

/// Rounds to about six digits: a forecast is not more exact.
fn rounded(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let scale = 10_f64.powf(5.0 - number.abs().log10().floor());
    let rounded = (number * scale).round() / scale;
    if rounded.is_finite() { rounded } else { number }
}

/// Returns a JSON number, without a fraction if it is whole.
#[expect(clippy::cast_possible_truncation, reason = "whole numbers of at most 15 digits fit")]
fn number(number: f64) -> Option<Number> {
    if number.fract() == 0.0 && number.abs() < 1e15 { Some((number as i64).into()) } else { Number::from_f64(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_six_digits() {
        for (exact, shown) in [
            (0.0, "0"),
            (18_584.123_4, "18584.1"),
            (123_456_789.0, "123457000"),
            (0.001_234_567_8, "0.00123457"),
            (-1.5, "-1.5"),
        ] {
            assert_eq!(number(rounded(exact)).unwrap().to_string(), shown);
        }
        for extreme in [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324] {
            assert!((rounded(extreme) / extreme - 1.0).abs() < 1e-5, "{extreme}");
        }
    }

    #[test]
    fn the_interval_is_the_most_frequent_gap() {
        let row = |seconds: i64| Row {
            time: DateTime::from_timestamp(seconds, 0).unwrap().fixed_offset(),
            clock: Clock::Local,
            value: None,
        };
        for (seconds, interval) in [
            (&[0, 300, 600, 1500, 1800][..], Some("5m")),
            (&[0, 3601, 7199, 10800], Some("1h")),
            (&[0, 60, 180, 240, 360], Some("1m")),
            (&[0, 86_400], Some("1d")),
            (&[0], None),
            (&[0, 0, 10], None),
        ] {
            let rows: Vec<Row> = seconds.iter().map(|second| row(*second)).collect();
            assert_eq!(usual_gap(&rows), interval.map(|text| text.parse().unwrap()), "{seconds:?}");
        }
    }
}
