//! Verifies one business day: recounts its events, and compares the result with its rollups and its
//! event count.

use std::collections::BTreeMap;
use std::mem::replace;
use std::ops::Range;

use analytics_core::deltas::Deltas;
use analytics_core::identity::EventId;
use analytics_core::rollup::Granularity;
use analytics_core::sums::stored;
use analytics_core::topics::EventType;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::proofs::ProvedDay;
use super::{
    Day, Difference, Findings, Log, VerifyError, Watcher, ratings, recount, recounted, reversals, starts_and_ends,
};
use crate::sql::{row, statement};
use crate::tables::rollups::each;
use crate::{Connection, DbError};

/// Number of recounted rollups, and of ratings, that are in memory at once. A chunk of events may add as many again.
const PIECE: usize = 60_000;

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
    let watermark = log.as_of.number;
    let ranges = log.business.calendar.day_ranges(day);
    let Stored { digest, numbers } = stored_rollups(connection, &ranges)?;
    let counted = counted(connection, day)?;
    let events = counted.values().sum();
    if proved.is_some_and(|proved| proved.events == events && proved.digest == digest) {
        return Ok(Day { day, watermark, events, digest, read: false, holds: true });
    }
    let before = findings.differences.len();
    recounted::create(connection)?;
    let logged = recount(connection, log, day, watcher, findings)?;
    compare_events(day, &counted, &logged, findings);
    for (counter, total, parts) in recounted::uneven(connection)? {
        let what = format!("{counter} of {day} and the sum of its hours");
        findings.differences.push(Difference::Sum { what, total, parts });
    }
    findings.keys_checked += numbers.unsigned_abs();
    compare(recounted::mismatches(connection, day, &ranges)?, findings);
    Ok(Day { day, watermark, events, digest, read: true, holds: findings.differences.len() == before })
}

/// Recounts the events of a day into the table of recounted rollups. Returns their numbers by type.
fn recount(
    connection: &mut Connection,
    log: Log<'_>,
    day: NaiveDate,
    watcher: &Watcher<'_>,
    findings: &mut Findings,
) -> Result<BTreeMap<String, i64>, VerifyError> {
    let mut deltas = Deltas::only_rollups();
    let mut events = BTreeMap::new();
    recount::pieces(connection, log, day, |connection, piece| {
        watcher.check()?;
        for logged in &piece {
            let problem = logged.event.as_ref().err().cloned().or(logged.tampered.map(str::to_owned));
            findings.differences.extend(problem.map(|problem| Difference::Event { id: logged.id, problem }));
            recount::count(logged, log.business, &mut deltas)?;
        }
        findings.keys_checked += piece.len() as u64;
        reversals::check(connection, log, &piece, findings)?;
        if deltas.rollups.len().max(deltas.ratings.len()) > PIECE {
            keep(connection, replace(&mut deltas, Deltas::only_rollups()), &mut events)?;
        }
        ratings::check_logged(connection, log.business, &piece, &mut findings.suspects)
    })?;
    keep(connection, deltas, &mut events)?;
    Ok(events)
}

/// Keeps what was counted, outside this process.
fn keep(connection: &mut Connection, deltas: Deltas, events: &mut BTreeMap<String, i64>) -> Result<(), DbError> {
    for ((_, event_type), number) in &deltas.events {
        *events.entry(EventType::name(event_type).to_owned()).or_default() += number;
    }
    recounted::add(connection, &deltas.rollups)
}

/// The rollups that are stored for a day.
struct Stored {
    /// A hash of all rows.
    digest: String,
    /// How many sums they have.
    numbers: i64,
}

fn stored_rollups(connection: &mut Connection, ranges: &[Range<DateTime<Utc>>]) -> Result<Stored, DbError> {
    row! {
        struct Row {
            digest: String,
            numbers: i64,
        }
    }
    let (starts, ends) = starts_and_ends(ranges);
    // The sums do not depend on the order of the rows, which therefore need not be sorted or collected.
    let sql = format!(
        "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(r::text, 0)::numeric), 0) \
             || ' ' || coalesce(sum(hashtextextended(r::text, 1)::numeric), 0) AS digest, \
             coalesce(sum(num_nonnulls({})), 0)::bigint AS numbers \
         FROM unnest($1, $2) AS s (first, last) JOIN rollups r ON r.bucket_start >= s.first AND r.bucket_start < s.last",
        each(|column| format!("r.{column}"))
    );
    let Row { digest, numbers } = statement(sql).column(starts).column(ends).get_result(connection)?;
    Ok(Stored { digest, numbers })
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

fn compare_events(
    day: NaiveDate,
    counted: &BTreeMap<String, i64>,
    logged: &BTreeMap<String, i64>,
    findings: &mut Findings,
) {
    let mut pairs: BTreeMap<&str, (i64, i64)> =
        counted.iter().map(|(event_type, events)| (event_type.as_str(), (*events, 0))).collect();
    for (event_type, events) in logged {
        pairs.entry(event_type).or_default().1 += events;
    }
    for (event_type, (counted, logged)) in pairs {
        findings.keys_checked += 1;
        if counted != logged {
            let event_type = event_type.to_owned();
            findings.differences.push(Difference::EventDay { day, event_type, counted, logged });
        }
    }
}

/// Adds what is stored otherwise than recounted to the findings. A stored zero for which nothing was counted
/// is not a difference.
fn compare(mismatches: Vec<recounted::Mismatch>, findings: &mut Findings) {
    for mismatch in mismatches {
        let recounted::Mismatch { about, metric_type, granularity, bucket_start, found, expected } = mismatch;
        findings.keys_checked += u64::from(found.is_none());
        if expected.is_none() && granularity == Granularity::Day {
            findings.ghosts.insert(metric_type.clone());
        }
        if found == Some(0) && expected.is_none() {
            continue;
        }
        if granularity == Granularity::Day {
            let missing = expected.unwrap_or(0) - i128::from(found.unwrap_or(0));
            *findings.corrections.entry(about).or_default().entry(metric_type.clone()).or_default() += missing;
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
