//! Compares the current ratings with those in the log.
//!
//! No rating in the log may be later than the current one, and the current one must be in the log:
//! both together make it the latest one, without holding all ratings in memory. If either fails,
//! the user's ratings are read from the log again.

use std::collections::BTreeSet;

use analytics_core::business::Business;
use analytics_core::deltas::{Deltas, Rated};
use analytics_core::event::Stars;
use analytics_core::identity::EventId;
use analytics_core::maps::{HashMap, HashSet};
use analytics_core::ratios::Histogram;
use chrono::NaiveDate;
use uuid::Uuid;

use super::{Difference, Extent, Findings, Log, VerifyError, recount};
use crate::sql::{row, statement};
use crate::tables::logged_events::{self, Logged};
use crate::tables::ratings::{standing, stars};
use crate::{Connection, DbError};

/// Metric types and users whose current rating may be wrong.
pub(super) type Suspects = BTreeSet<(String, String)>;

/// Number of users whose ratings are read at once.
const PIECE: usize = 1_000;

/// Adds to the suspects every current rating that is missing, differs from the one in the log, or
/// is older than one in the log.
pub(super) fn check_logged(
    connection: &mut Connection,
    business: Business,
    piece: &[Logged],
    suspects: &mut Suspects,
) -> Result<(), VerifyError> {
    let logged = latest(piece, business)?;
    let keys: Vec<_> = logged.keys().cloned().collect();
    let standing = standing(connection, &keys)?;
    suspects.extend(logged.into_iter().filter_map(|(key, rated)| {
        let holds = standing.get(&key).is_some_and(|standing| {
            if standing.event == rated.event { *standing == rated } else { standing.replaces(&rated) }
        });
        (!holds).then_some(key)
    }));
    Ok(())
}

/// Returns the latest rating of each user and target in these events, by the rules.
fn latest(events: &[Logged], business: Business) -> Result<HashMap<(String, String), Rated>, VerifyError> {
    let mut deltas = Deltas::only_rollups();
    let is_rating = |logged: &&Logged| logged.event.as_ref().is_ok_and(|event| event.content.rating().is_some());
    for logged in events.iter().filter(is_rating) {
        recount::count(logged, business, &mut deltas)?;
    }
    let named = |((target, user), rated): ((analytics_core::metric_type::MetricType, _), _)| {
        ((target.to_string(), analytics_core::ids::UserId::as_str(&user).to_owned()), rated)
    };
    Ok(deltas.ratings.into_iter().map(named).collect())
}

/// Returns the latest ratings, according to the log, of some users and targets.
pub(super) fn in_log(
    connection: &mut Connection,
    log: Log<'_>,
    keys: &[(String, String)],
) -> Result<HashMap<(String, String), Rated>, VerifyError> {
    let mut found = HashMap::default();
    let wanted: HashSet<&(String, String)> = keys.iter().collect();
    let users: BTreeSet<&str> = keys.iter().map(|(_, user)| user.as_str()).collect();
    let users: Vec<&str> = users.into_iter().collect();
    for piece in users.chunks(PIECE) {
        let events = logged_events::ratings_of(connection, log.as_of, piece)?;
        let latest = latest(&events, log.business)?;
        found.extend(latest.into_iter().filter(|(key, _)| wanted.contains(key)));
    }
    Ok(found)
}

/// Checks that every current rating is in the log: all of them, or those of the days that were
/// read. Then calculates the histograms of the correct ratings.
pub(super) fn check_standing(
    connection: &mut Connection,
    log: Log<'_>,
    extent: Extent,
    read: &[NaiveDate],
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let ranges: Vec<(EventId, EventId)> = match extent {
        Extent::Everything => vec![(EventId(Uuid::nil()), EventId(Uuid::max()))],
        _ => read.iter().flat_map(|day| recount::ids_of(log.business, *day)).fold(
            Vec::new(),
            |mut ranges, (from, to)| {
                match ranges.last_mut() {
                    Some((_, end)) if *end == from => *end = to,
                    _ => ranges.push((from, to)),
                }
                ranges
            },
        ),
    };
    let mut suspects = std::mem::take(&mut findings.suspects);
    suspects.extend(without_event(connection, &ranges)?);
    let (mut histograms, ratings) = standing_histograms(connection)?;
    findings.keys_checked += ratings;
    let suspects: Vec<_> = suspects.into_iter().collect();
    let expected = in_log(connection, log, &suspects)?;
    let found = standing(connection, &suspects)?;
    for key in suspects {
        let (found, expected) = (found.get(&key).copied(), expected.get(&key).copied());
        if found == expected {
            continue;
        }
        let histogram = histograms.entry(key.0.clone()).or_default();
        found.into_iter().for_each(|rated| histogram.add(rated.stars, -1));
        expected.into_iter().for_each(|rated| histogram.add(rated.stars, 1));
        let (metric_type, user) = key;
        findings.differences.push(Difference::Rating { metric_type, user, found, expected });
    }
    findings.histograms = histograms;
    Ok(())
}

/// Returns the current ratings whose event is not in the log or is a different one.
fn without_event(connection: &mut Connection, ranges: &[(EventId, EventId)]) -> Result<Vec<(String, String)>, DbError> {
    row! {
        struct Row {
            metric_type: String,
            user_id: String,
        }
    }
    let rows: Vec<Row> = statement(include_str!("ratings_without_event.sql"))
        .column(ranges.iter().map(|(from, _)| from.0))
        .column(ranges.iter().map(|(_, to)| to.0))
        .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.metric_type, row.user_id)).collect())
}

/// Returns the numbers of current ratings by target and stars, and the number of all current
/// ratings.
fn standing_histograms(connection: &mut Connection) -> Result<(HashMap<String, Histogram>, u64), DbError> {
    row! {
        struct Row {
            metric_type: String,
            stars: i16,
            ratings: i64,
        }
    }
    let rows: Vec<Row> =
        statement("SELECT metric_type, stars, count(*) AS ratings FROM ratings GROUP BY 1, 2").load(connection)?;
    let mut histograms: HashMap<String, Histogram> = HashMap::default();
    let mut all = 0;
    for row in rows {
        let histogram = histograms.entry(row.metric_type).or_default();
        let number: Option<Stars> = stars(row.stars);
        number.into_iter().for_each(|number| histogram.add(number, row.ratings));
        all += row.ratings.unsigned_abs();
    }
    Ok((histograms, all))
}
