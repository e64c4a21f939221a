//! Which days there are.

use analytics_core::business::Business;
use analytics_core::calendar::Calendar;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::OptionalExtension;
use uuid::Uuid;

use super::recount;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Returns every day that has events, rollups or an event count.
pub(super) fn all(connection: &mut Connection, business: Business) -> Result<Vec<NaiveDate>, DbError> {
    let mut days = Vec::new();
    while let Some(day) = next_day(connection, business, days.last().copied())? {
        days.push(day);
    }
    Ok(days)
}

/// Returns the next day after `after` that has events, rollups or an event count.
fn next_day(
    connection: &mut Connection,
    business: Business,
    after: Option<NaiveDate>,
) -> Result<Option<NaiveDate>, DbError> {
    row! {
        struct Event {
            id: Uuid,
        }
    }
    row! {
        struct Rollup {
            bucket_start: DateTime<Utc>,
        }
    }
    row! {
        struct Counted {
            day: Option<NaiveDate>,
        }
    }
    let first = match after {
        Some(day) => day.succ_opt(),
        None => Some(NaiveDate::default()),
    };
    let Some(first) = first else { return Ok(None) };
    let of_event = day_of_next(business.calendar, first, |from| {
        let event: Option<Event> = statement("SELECT id FROM event_logs WHERE id >= $1 ORDER BY id LIMIT 1")
            .value(recount::first_id(from).0)
            .get_result(connection)
            .optional()?;
        Ok(event.map(|event| recount::time_of(event.id).utc()))
    })?;
    let of_rollup = day_of_next(business.calendar, first, |from| {
        let query = "SELECT bucket_start FROM rollups WHERE bucket_start >= $1 ORDER BY bucket_start LIMIT 1";
        let rollup: Option<Rollup> = statement(query).value(from).get_result(connection).optional()?;
        Ok(rollup.map(|rollup| rollup.bucket_start))
    })?;
    let counted: Counted =
        statement("SELECT min(day) AS day FROM event_days WHERE day >= $1").value(first).get_result(connection)?;
    Ok(of_event.into_iter().chain(of_rollup).chain(counted.day).min())
}

/// Returns the earliest day, `first` or later, that contains something. `next` returns the first
/// time, at or after a given one, at which there is something.
fn day_of_next(
    calendar: Calendar,
    first: NaiveDate,
    mut next: impl FnMut(DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbError>,
) -> Result<Option<NaiveDate>, DbError> {
    let mut from = calendar.day_start(first);
    loop {
        let Some(time) = next(from)? else { return Ok(None) };
        let day = calendar.day(time.into());
        if day < first {
            // This belongs to an earlier day that continues after its successor has begun (see
            // [`Calendar::day_ranges`]). Search on behind this part of it.
            let stretch = calendar.day_ranges(day).into_iter().find(|range| range.contains(&time));
            from = stretch.map_or(time + chrono::Duration::minutes(1), |range| range.end);
            continue;
        }
        // The day before this one may continue later.
        let before = day.pred_opt().filter(|before| *before >= first);
        for range in before.into_iter().flat_map(|before| calendar.day_ranges(before)) {
            if range.start > time && next(range.start)?.is_some_and(|time| time < range.end) {
                return Ok(before);
            }
        }
        return Ok(Some(day));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_in_two_parts_are_neither_missed_nor_visited_twice() {
        let business = Business::parse("CAD", "America/St_Johns").unwrap();
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let days = |times: &[&str]| {
            let times: Vec<DateTime<Utc>> = times.iter().map(|time| time.parse().unwrap()).collect();
            let next = |from| Ok(times.iter().copied().filter(|time| *time >= from).min());
            let mut found = Vec::new();
            let mut first = day("2010-11-01");
            while let Some(day) = day_of_next(business.calendar, first, next).unwrap() {
                found.push(day.to_string());
                first = day.succ_opt().unwrap();
            }
            found
        };
        for (times, expected) in [
            (&["2010-11-07T02:31:30Z"][..], &["2010-11-06"][..]),
            (&["2010-11-07T02:30:30Z"], &["2010-11-07"]),
            (&["2010-11-07T02:30:30Z", "2010-11-07T02:31:30Z"], &["2010-11-06", "2010-11-07"]),
            (&["2010-11-07T02:31:30Z", "2010-11-07T04:00:00Z"], &["2010-11-06", "2010-11-07"]),
            (&["2010-11-07T02:00:00Z", "2010-11-07T02:31:30Z", "2010-11-09T12:00:00Z"], &["2010-11-06", "2010-11-09"]),
            (&[], &[]),
        ] {
            assert_eq!(days(times), expected, "{times:?}");
        }
    }
}
