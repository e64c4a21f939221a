//! Reads rows of `timestamp,value` from CSV.

use std::io::Read;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Duration, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};
use csv::{ReaderBuilder, StringRecord, Trim};

/// How far times may go back where they have no offset: clocks are put back by an hour.
const PUT_BACK: Duration = Duration::hours(1);

/// How a file writes times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// As local times.
    Local,
    /// As RFC 3339 times with an offset.
    Offset,
}

/// A row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// Its time. A local time is taken as UTC: only its distance to others matters.
    pub(super) time: DateTime<FixedOffset>,
    pub(super) clock: Clock,
    /// Its value; `None` if the field is empty or NaN.
    pub(super) value: Option<f64>,
}

/// The rows of a file, in order of time.
pub(super) struct Rows<R> {
    reader: csv::Reader<R>,
    record: StringRecord,
    last: Option<Row>,
    is_first: bool,
}

impl<R: Read> Rows<R> {
    pub(super) fn new(input: R) -> Self {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(input);
        Self { reader, record: StringRecord::new(), last: None, is_first: true }
    }

    /// Returns the next row; `None` at the end of the file.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        loop {
            if !self.reader.read_record(&mut self.record).map_err(unreadable)? {
                return Ok(None);
            }
            let line = self.record.position().map_or(0, csv::Position::line);
            let is_header = std::mem::take(&mut self.is_first) && is_header(&self.record);
            if !is_header {
                let row = self.parse().with_context(|| format!("line {line}"))?;
                self.last = Some(row);
                return Ok(Some(row));
            }
        }
    }

    fn parse(&self) -> anyhow::Result<Row> {
        let fields: Vec<&str> = self.record.iter().collect();
        let [time, value] = fields.as_slice() else {
            bail!("must have two fields, timestamp,value, and has {}", fields.len());
        };
        let Some((time, clock)) = time_of(time.trim_start_matches('\u{feff}')) else {
            bail!("the timestamp must be like 2026-11-27 20:30:00 or 2026-11-27T20:30:00+01:00, got {time:?}");
        };
        let row = Row { time, clock, value: value_of(value)? };
        if let Some(last) = self.last {
            ensure!(
                last.clock == clock,
                "has a timestamp {}, unlike the rows before",
                match clock {
                    Clock::Local => "without an offset from UTC",
                    Clock::Offset => "with an offset from UTC",
                }
            );
            let back = if clock == Clock::Local { PUT_BACK } else { Duration::zero() };
            ensure!(last.time - time <= back, "is earlier than the row before; rows must be in order of time");
        }
        Ok(row)
    }
}

fn unreadable(error: csv::Error) -> anyhow::Error {
    match (error.position().map(csv::Position::line), error.kind()) {
        (Some(line), csv::ErrorKind::Utf8 { .. }) => anyhow::anyhow!("line {line}: must be UTF-8"),
        _ => error.into(),
    }
}

/// Whether a first row names the fields: neither of them is what the rows below have.
fn is_header(record: &StringRecord) -> bool {
    let is_word = |field: &str| field.chars().any(char::is_alphabetic);
    let time = record.get(0).unwrap_or_default().trim_start_matches('\u{feff}');
    let value = record.get(1).unwrap_or_default();
    time_of(time).is_none() && is_word(value) && value.parse::<f64>().is_err()
}

fn time_of(text: &str) -> Option<(DateTime<FixedOffset>, Clock)> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return in_range(time).map(|time| (time, Clock::Offset));
    }
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let time = formats.into_iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    in_range(time.or_else(day)?.and_utc().fixed_offset()).map(|time| (time, Clock::Local))
}

/// Years of four digits: a time some weeks earlier or later can be written, too.
fn in_range(time: DateTime<FixedOffset>) -> Option<DateTime<FixedOffset>> {
    (-62_000_000_000..253_000_000_000).contains(&time.timestamp()).then_some(time)
}

fn value_of(text: &str) -> anyhow::Result<Option<f64>> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_nan() => Ok(None),
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => bail!("the value must be a number, or empty if it is missing, got {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<Row>> {
        let mut rows = Rows::new(text.as_bytes());
        std::iter::from_fn(|| rows.next().transpose()).collect()
    }

    #[test]
    fn rows_are_read_with_and_without_a_header() {
        let expected = read("2014-07-01 00:00:00,10844\n2014-07-01 00:30:00,8127\n").unwrap();
        assert_eq!(expected.iter().map(|row| row.value).collect::<Vec<_>>(), [Some(10_844.0), Some(8_127.0)]);
        for text in [
            "timestamp,value\n2014-07-01 00:00:00,10844\n2014-07-01 00:30:00,8127",
            "\u{feff}timestamp,value\r\n2014-07-01 00:00:00,10844\r\n\r\n2014-07-01 00:30:00,8127\r\n",
            "\u{feff}2014-07-01 00:00:00.000000,1.0844e4\n2014-07-01 00:30,8127\n",
            "\"date\",\"count\"\n\"2014-07-01T00:00:00\",\"10844\"\n2014-07-01 00:30:00 , 8127\n",
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text:?}");
        }
        let zoned = read("2014-07-01T00:00:00+02:00,1\n2014-07-01T00:00:00Z,\n2014-07-01T01:00:00Z,NaN").unwrap();
        assert!(zoned.iter().all(|row| row.clock == Clock::Offset));
        assert_eq!(zoned.iter().map(|row| row.value).collect::<Vec<_>>(), [Some(1.0), None, None]);
        // The clock was put back by an hour.
        assert_eq!(read("2026-10-25 02:59:00,1\n2026-10-25 02:00:00,1").unwrap().len(), 2);
    }

    #[test]
    fn an_error_names_the_line_and_what_would_be_right() {
        for (text, error) in [
            ("timestamp,value\n2014-07-01 00:00:00,1\n2014-07-01 00:30:00,x\n", "line 3: the value must be a number"),
            ("2014-07-01 00:00:00,1e999\n", "line 1: the value must be a number"),
            ("yesterday,1\n", "line 1: the timestamp must be like"),
            ("timestamp,value\nvalue,timestamp\n", "line 2: the timestamp must be like"),
            ("2014-07-01 00:00:00\n", "line 1: must have two fields"),
            ("2014-07-01 00:00:00,1,2\n", "line 1: must have two fields, timestamp,value, and has 3"),
            ("2014-07-01 00:00:00,1\n2014-06-30 00:00:00,1\n", "line 2: is earlier than the row before"),
            ("2014-07-01T00:00:00Z,1\n2014-07-01T00:30:00,1\n", "line 2: has a timestamp without an offset"),
            ("2014-07-01T00:30:00Z,1\n2014-07-01T00:00:00Z,1\n", "line 2: is earlier"),
        ] {
            let found = format!("{:#}", read(text).unwrap_err());
            assert!(found.starts_with(error), "{text:?}: {found}");
        }
        let mut rows = Rows::new(&b"2014-07-01 00:00:00,1\n2014-07-01 00:30:00,\xff\n"[..]);
        assert!(rows.next().is_ok());
        assert_eq!(rows.next().unwrap_err().to_string(), "line 2: must be UTF-8");
    }
}
