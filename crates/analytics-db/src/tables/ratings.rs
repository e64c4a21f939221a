//! `ratings`: each user's latest rating of each target, and its effect on the averages. Everything
//! runs under the counting lock, so what is read here does not change until the commit.

use std::collections::BTreeSet;

use analytics_core::deltas::{Rated, RatingKey};
use analytics_core::event::Stars;
use analytics_core::identity::EventId;
use analytics_core::maps::HashMap;
use analytics_core::rules::ratings::settle as decide;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::all_taken;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

row! {
    struct Row {
        number: i64,
        stars: i16,
        rated_at: DateTime<Utc>,
        event_id: Uuid,
    }
}

/// Decides which of the proposed ratings become current, stores those, and adds the changes to the
/// averages.
pub(crate) fn settle(
    connection: &mut Connection,
    lock: &CountingLock,
    proposed: &HashMap<RatingKey, Rated>,
) -> Result<(), WriteError> {
    if proposed.is_empty() {
        return Ok(());
    }
    let named = |(target, user): &RatingKey| (target.to_string(), user.as_str().to_owned());
    let mut keys: Vec<_> = proposed.keys().map(named).collect();
    keys.sort_unstable();
    let found = standing(connection, &keys)?;
    let of = |key: &RatingKey| Some((key.clone(), *found.get(&named(key))?));
    let settled = decide(proposed, &proposed.keys().filter_map(of).collect());

    let mut ratings: Vec<_> =
        settled.standing.iter().map(|((target, user), rated)| (target.to_string(), user.as_str(), rated)).collect();
    ratings.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    store(connection, lock, &ratings)?;

    let mut histograms: Vec<_> =
        settled.histograms.iter().map(|(target, histogram)| (target.to_string(), histogram)).collect();
    histograms.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let stars = |index: usize| histograms.iter().map(|(_, h)| h.0.get(index).copied().unwrap_or(0)).collect::<Vec<_>>();
    let rows = statement(include_str!("add_ratings.sql"))
        .column(histograms.iter().map(|(target, _)| target.as_str()))
        .column(stars(0))
        .column(stars(1))
        .column(stars(2))
        .column(stars(3))
        .column(stars(4))
        .execute(connection)?;
    all_taken("metrics", rows, histograms.len())
}

/// Stores ratings as the current ones: metric type, user and rating, in the order of the key.
pub(crate) fn store(
    connection: &mut Connection,
    _: &CountingLock,
    ratings: &[(String, &str, &Rated)],
) -> Result<(), WriteError> {
    let rows = statement(include_str!("store_ratings.sql"))
        .column(ratings.iter().map(|(target, ..)| target.as_str()))
        .column(ratings.iter().map(|(_, user, _)| *user))
        .column(ratings.iter().map(|(.., rated)| i16::from(rated.stars.get())))
        .column(ratings.iter().map(|(.., rated)| rated.time.utc()))
        .column(ratings.iter().map(|(.., rated)| rated.event.0))
        .execute(connection)?;
    all_taken("ratings", rows, ratings.len())
}

/// Returns the current ratings of these metric types and users.
pub(crate) fn standing(
    connection: &mut Connection,
    keys: &[(String, String)],
) -> Result<HashMap<(String, String), Rated>, DbError> {
    if keys.is_empty() {
        return Ok(HashMap::default());
    }
    let rows: Vec<Row> = statement(include_str!("standing_ratings.sql"))
        .column(keys.iter().map(|(target, _)| target.as_str()))
        .column(keys.iter().map(|(_, user)| user.as_str()))
        .load(connection)?;
    let rated = rows.into_iter().filter_map(|row| {
        let key = keys.get(usize::try_from(row.number).ok()?.checked_sub(1)?)?;
        let stars = stars(row.stars)?;
        Some((key.clone(), Rated { stars, time: row.rated_at.into(), event: EventId(row.event_id) }))
    });
    Ok(rated.collect())
}

/// Converts a number of stars from its column type.
pub(crate) fn stars(number: i16) -> Option<Stars> {
    Stars::new(u32::try_from(number).ok()?)
}

/// Replaces the current ratings of these metric types and users by those of the log.
pub(crate) fn replace(
    connection: &mut Connection,
    lock: &CountingLock,
    rating_keys: &[(String, String)],
    rated: &HashMap<(String, String), Rated>,
) -> Result<(), WriteError> {
    statement(
        "DELETE FROM ratings r USING unnest($1, $2) AS o (metric_type, user_id) \
         WHERE r.metric_type = o.metric_type AND r.user_id = o.user_id",
    )
    .column(rating_keys.iter().map(|(target, _)| target.as_str()))
    .column(rating_keys.iter().map(|(_, user)| user.as_str()))
    .execute(connection)?;
    let mut rows: Vec<_> = rated.iter().map(|((target, user), rated)| (target.clone(), user.as_str(), rated)).collect();
    rows.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    store(connection, lock, &rows)
}

/// Calculates the averages of these targets from the current ratings.
pub(crate) fn set_averages(
    connection: &mut Connection,
    _: &CountingLock,
    targets: &BTreeSet<String>,
) -> Result<(), WriteError> {
    statement(include_str!("set_averages.sql")).column(targets.iter().map(String::as_str)).execute(connection)?;
    Ok(())
}
