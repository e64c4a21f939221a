//! Verifies one business day: recounts its events, and compares the result with its rollups and its
//! event count.

use std::collections::BTreeMap;
use std::ops::Range;

use analytics_core::deltas::Deltas;
use analytics_core::identity::EventId;
use analytics_core::rollup::{Bucket, Granularity, Measures};
use analytics_core::sums::stored;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::proofs::ProvedDay;
use super::{Day, Difference, Findings, Log, VerifyError, Watcher, ratings, recount};
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// The key of one rollup: granularity, start of the bucket, metric type.
type Key = (Granularity, DateTime<Utc>, String);

row! {
    struct RollupRow {
        metric_type: String,
        granularity: String,
        bucket_start: DateTime<Utc>,
        value: i64,
    }
}

/// Verifies a day. A day that was proved is not read again if its event count and its rollups have
/// not changed since.
pub(super) fn verify(
    connection: &mut Connection,
    log: Log<'_>,
    day: NaiveDate,
    proved: Option<&ProvedDay>,
    watcher: &Watcher<'_>,
    findings: &mut Findings,
) -> Result<Day, VerifyError> {
    let ranges = log.business.calendar.day_ranges(day);
    let digest = digest(connection, &ranges)?;
    let counted = counted(connection, day)?;
    let events = counted.values().sum();
    if proved.is_some_and(|proved| proved.events == events && proved.digest == digest) {
        return Ok(Day { day, events, digest, read: false, holds: true });
    }
    let before = findings.differences.len();
    let deltas = recount(connection, log, day, watcher, findings)?;
    compare_events(day, &counted, &deltas, findings);
    let found = found(connection, &ranges)?;
    let expected = expected(day, &deltas);
    check_hours(day, &expected, findings);
    compare(found, expected, findings);
    Ok(Day { day, events, digest, read: true, holds: findings.differences.len() == before })
}

fn recount(
    connection: &mut Connection,
    log: Log<'_>,
    day: NaiveDate,
    watcher: &Watcher<'_>,
    findings: &mut Findings,
) -> Result<Deltas, VerifyError> {
    let mut deltas = Deltas::default();
    recount::pieces(connection, log, day, |connection, piece| {
        watcher.check()?;
        for logged in &piece {
            let problem = logged.event.as_ref().err().cloned().or(logged.tampered.map(str::to_owned));
            findings.differences.extend(problem.map(|problem| Difference::Event { id: logged.id, problem }));
            recount::count(logged, log.business, &mut deltas)?;
        }
        findings.keys_checked += piece.len() as u64;
        ratings::check_logged(connection, log.business, &piece, &mut findings.suspects)
    })?;
    Ok(deltas)
}

/// Splits time ranges into their starts and their ends, as the statements take them.
fn starts_and_ends(ranges: &[Range<DateTime<Utc>>]) -> (Vec<DateTime<Utc>>, Vec<DateTime<Utc>>) {
    ranges.iter().map(|range| (range.start, range.end)).unzip()
}

fn digest(connection: &mut Connection, ranges: &[Range<DateTime<Utc>>]) -> Result<String, DbError> {
    row! {
        struct Row {
            digest: String,
        }
    }
    let (starts, ends) = starts_and_ends(ranges);
    let row: Row =
        statement(include_str!("digest_of_rollups.sql")).column(starts).column(ends).get_result(connection)?;
    Ok(row.digest)
}

/// Returns the numbers of events counted on a day, by type, from the count that is kept apart from
/// the log.
fn counted(connection: &mut Connection, day: NaiveDate) -> Result<BTreeMap<String, i64>, DbError> {
    row! {
        struct Row {
            event_type: String,
            events: i64,
        }
    }
    let rows: Vec<Row> =
        statement("SELECT event_type, events FROM event_days WHERE day = $1").value(day).load(connection)?;
    Ok(rows.into_iter().map(|row| (row.event_type, row.events)).collect())
}

fn compare_events(day: NaiveDate, counted: &BTreeMap<String, i64>, deltas: &Deltas, findings: &mut Findings) {
    let mut pairs: BTreeMap<&str, (i64, i64)> =
        counted.iter().map(|(event_type, events)| (event_type.as_str(), (*events, 0))).collect();
    for ((_, event_type), events) in &deltas.events {
        pairs.entry(event_type.name()).or_default().1 += events;
    }
    for (event_type, (counted, logged)) in pairs {
        findings.keys_checked += 1;
        if counted != logged {
            let event_type = event_type.to_owned();
            findings.differences.push(Difference::EventDay { day, event_type, counted, logged });
        }
    }
}

fn found(connection: &mut Connection, ranges: &[Range<DateTime<Utc>>]) -> Result<BTreeMap<Key, i64>, DbError> {
    let (starts, ends) = starts_and_ends(ranges);
    let rows: Vec<RollupRow> = statement(
        "SELECT r.metric_type, r.granularity, r.bucket_start, r.value FROM unnest($1, $2) AS s (first, last) \
         JOIN metric_rollups r ON r.bucket_start >= s.first AND r.bucket_start < s.last",
    )
    .column(starts)
    .column(ends)
    .load(connection)?;
    let of_row =
        |row: RollupRow| Some(((Granularity::named(&row.granularity)?, row.bucket_start, row.metric_type), row.value));
    Ok(rows.into_iter().filter_map(of_row).collect())
}

fn expected(day: NaiveDate, deltas: &Deltas) -> BTreeMap<Key, i128> {
    let of_row = |(bucket, measures): (&Bucket, &Measures)| {
        let (granularity, start) = (bucket.granularity, bucket.start);
        let counters: Vec<_> = bucket.counters(day, *measures).collect();
        counters.into_iter().map(move |(counter, sum)| ((granularity, start, counter.to_string()), sum))
    };
    deltas.rollups.iter().flat_map(of_row).collect()
}

/// Checks that the hours, if there are any, sum to their day.
fn check_hours(day: NaiveDate, expected: &BTreeMap<Key, i128>, findings: &mut Findings) {
    let mut hours: BTreeMap<&str, i128> = BTreeMap::new();
    let mut days: BTreeMap<&str, i128> = BTreeMap::new();
    for ((granularity, _, metric_type), sum) in expected {
        let sums = match granularity {
            Granularity::Hour => &mut hours,
            Granularity::Day => &mut days,
        };
        *sums.entry(metric_type).or_default() += sum;
    }
    for (metric_type, parts) in hours {
        let total = days.get(metric_type).copied().unwrap_or(0);
        if total != parts {
            let what = format!("{metric_type} of {day} and the sum of its hours");
            findings.differences.push(Difference::Sum { what, total, parts });
        }
    }
}

/// Compares the stored rollups with the recounted ones. A stored zero for which nothing was counted
/// is not a difference.
fn compare(found: BTreeMap<Key, i64>, expected: BTreeMap<Key, i128>, findings: &mut Findings) {
    let mut pairs: BTreeMap<Key, (Option<i64>, Option<i128>)> =
        found.into_iter().map(|(key, value)| (key, (Some(value), None))).collect();
    for (key, sum) in expected {
        pairs.entry(key).or_default().1 = Some(sum);
    }
    for ((granularity, bucket_start, metric_type), (found, expected)) in pairs {
        findings.keys_checked += 1;
        if expected.is_none() && granularity == Granularity::Day {
            findings.ghosts.insert(metric_type.clone());
        }
        if found == expected.map(stored) || (found == Some(0) && expected.is_none()) {
            continue;
        }
        if granularity == Granularity::Day {
            let missing = expected.unwrap_or(0) - i128::from(found.unwrap_or(0));
            *findings.corrections.entry(metric_type.clone()).or_default() += missing;
        }
        let expected = expected.map(stored);
        findings.differences.push(Difference::Rollup { metric_type, granularity, bucket_start, found, expected });
    }
}

/// Finds identities whose event is missing from the log.
pub(super) fn check_identities(connection: &mut Connection, findings: &mut Findings) -> Result<(), DbError> {
    row! {
        struct Row {
            event_id: Uuid,
        }
    }
    let missing: Vec<Row> = statement(
        "SELECT DISTINCT k.event_id FROM (SELECT event_id FROM event_keys UNION ALL SELECT event_id FROM order_keys) k \
         WHERE NOT EXISTS (SELECT FROM event_logs e WHERE e.id = k.event_id) ORDER BY 1",
    )
    .load(connection)?;
    findings.differences.extend(
        missing
            .into_iter()
            .map(|row| Difference::Event { id: EventId(row.event_id), problem: "nothing in the log".into() }),
    );
    Ok(())
}
