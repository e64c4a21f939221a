//! Reads backwards through time, in one window after another.
//!
//! In a hot partition, a page about a rare product is found by filters over the whole partition,
//! and a page about a frequent one at the newest end of the log. Searching one hour first, then
//! back to eight, to 64 and so on works for both without knowing which it is, and
//! PostgreSQL only plans for the partitions of that time. Where it is known how many events there are of a
//! subject, the first window is as long as it has to be.

use analytics_core::calendar::Calendar;
use analytics_core::catalogue::Measure;
use analytics_core::family::Family;
use analytics_core::identity::EventId;
use analytics_core::rollup::{Granularity, Scope};
use analytics_core::rules;
use chrono::{DateTime, Days, Duration, Utc};
use uuid::Uuid;

use super::AsOf;
use crate::connection::take_the_rest;
use crate::tables::rollups;
use crate::{Connection, DbError};

/// Half a year. What is older is in partitions with indexes for every subject: a window that would reach back further
/// takes all that is left.
const MOST_HOURS: i64 = 180 * 24;

/// The longest first window: it contains the hot partition, whose filters are then read once.
const LONGEST_FIRST: i64 = 512;

/// As many days as a hot partition has.
const HOT_DAYS: u64 = 4;

/// The most rows that are read at once behind events that are not seen.
pub(super) const MOST_AT_ONCE: usize = 2_000;

/// A range of ids: `from` is included, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Uuid,
    pub(super) to: Uuid,
}

impl Window {
    /// All ids.
    pub(super) const ALL: Self = Self { from: Uuid::nil(), to: Uuid::max() };
}

/// A row of a list.
pub(super) trait Listed {
    /// The id of the event.
    fn id(&self) -> Uuid;
    /// The batch that logged it.
    fn batch(&self) -> i64;
}

/// What a first window should find.
pub(super) struct Expected {
    of: Scope,
    measures: Vec<Measure>,
    events: usize,
}

impl Expected {
    /// At least this many events of some families, about a product or a seller. `None` if it is not counted how many there are.
    pub(super) fn of(scope: Option<Scope>, is_of: impl Fn(Family) -> bool, events: usize) -> Option<Self> {
        // Each event counts once.
        let measures = [Measure::Views, Measure::Orders];
        let measures: Vec<_> =
            measures.into_iter().filter(|measure| rules::families_of(*measure).any(&is_of)).collect();
        let of = scope.filter(|scope| matches!(scope, Scope::Product(_) | Scope::Seller(_)) && !measures.is_empty())?;
        Some(Self { of, measures, events })
    }
}

/// Returns how many hours the first window should have. What was counted in the last days of `range` shows how many events
/// to expect: a window that finds too few costs as much as one that finds enough, since each reads the filters of the
/// hot partition from end to end.
pub(super) fn first_hours(
    connection: &mut Connection,
    expected: Option<Expected>,
    calendar: Calendar,
    as_of: &AsOf,
    range: Window,
) -> Result<i64, DbError> {
    let Some(Expected { of, measures, events }) = expected else { return Ok(1) };
    let newest = newest(range, as_of.time);
    let last = calendar.day(newest.into());
    let days = (0..HOT_DAYS).filter_map(|back| last.checked_sub_days(Days::new(back)));
    let pieces: Vec<_> = days.map(|day| (0, Granularity::Day, calendar.day_start(day))).collect();
    let Some((_, _, first)) = pieces.last().copied() else { return Ok(1) };
    let sums = rollups::sums(connection, measures.clone(), &[(of, None)], &pieces, 1)?;
    let counted = measures.into_iter().flat_map(|measure| sums.of(0, measure)).fold(0, i64::saturating_add);
    Ok(hours_for(events, counted, newest - first))
}

/// Returns in how many hours to expect `wanted` events, where this many were counted in a span of time.
fn hours_for(wanted: usize, counted: i64, within: Duration) -> i64 {
    // Twice the average, since there are fewer events at night.
    let hours = i128::from(within.num_hours() + 1) * 2 * i128::try_from(wanted).unwrap_or(i128::MAX >> 32);
    let hours = if counted > 0 { hours / i128::from(counted) } else { hours };
    i64::try_from(hours).unwrap_or(i64::MAX).clamp(1, LONGEST_FIRST)
}

/// Returns at most `limit` rows of a range of ids, newest first, of batches that are seen. `page` reads
/// at most the given number of rows from a window. The first window has `hours`.
pub(super) fn newest_first<T: Listed>(
    connection: &mut Connection,
    as_of: &AsOf,
    range: Window,
    hours: i64,
    limit: usize,
    page: impl Fn(&mut Connection, Window, usize) -> Result<Vec<T>, DbError>,
) -> Result<Vec<T>, DbError> {
    let sees = |row: &T| as_of.sees(row.batch());
    pages(windows(range, as_of.time, hours), limit, sees, |window, wanted, is_first| {
        if !is_first {
            take_the_rest(connection)?;
        }
        page(connection, window, wanted)
    })
}

/// Does the same; `page` also gets whether it reads for the first time. The newest events may wait to be
/// counted: behind those that are not seen it reads on, more and more at once.
fn pages<T: Listed>(
    windows: impl Iterator<Item = Window>,
    limit: usize,
    sees: impl Fn(&T) -> bool,
    mut page: impl FnMut(Window, usize, bool) -> Result<Vec<T>, DbError>,
) -> Result<Vec<T>, DbError> {
    let (mut rows, mut is_first) = (Vec::new(), true);
    for mut window in windows {
        let mut wanted = limit.saturating_sub(rows.len());
        while rows.len() < limit {
            let read = page(window, wanted, is_first)?;
            is_first = false;
            let last = read.last().map(Listed::id).filter(|_| read.len() >= wanted);
            rows.extend(read.into_iter().filter(&sees));
            let Some(last) = last else { break };
            window.to = last;
            wanted = (wanted * 4).min(limit.max(MOST_AT_ONCE));
        }
    }
    rows.truncate(limit);
    Ok(rows)
}

/// Returns the windows that make up a range, newest first: the last `hours`, then back to 8 times as many, 64
/// times and so on. Each reads the filters of the hot partition from end to end.
fn windows(range: Window, now: DateTime<Utc>, mut hours: i64) -> impl Iterator<Item = Window> {
    let newest = newest(range, now);
    let mut to = range.to;
    std::iter::from_fn(move || {
        if to <= range.from {
            return None;
        }
        let start = newest - Duration::hours(hours);
        let reaches = hours <= MOST_HOURS && start > DateTime::UNIX_EPOCH;
        let from = if reaches { lowest_id(start).max(range.from) } else { range.from };
        hours *= 8;
        let window = Window { from: from.min(to), to };
        to = window.from;
        Some(window)
    })
}

/// Returns the end of a range, or the present if that is later.
fn newest(range: Window, now: DateTime<Utc>) -> DateTime<Utc> {
    time(range.to).map_or(now, |end| end.min(now))
}

/// Returns the least id of an event at this time or later.
pub(super) fn lowest_id(time: DateTime<Utc>) -> Uuid {
    EventId::lowest_at(time.into()).0
}

/// Returns the time in an id, if `chrono` can represent it.
fn time(id: Uuid) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(EventId(id).millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Uuid {
        EventId::lowest_at(text.parse::<DateTime<Utc>>().unwrap().into()).0
    }

    #[test]
    fn windows_grow_and_cover_the_range() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let (day, noon) = (at("2026-11-22T00:00:00Z"), at("2026-11-22T12:00:00Z"));
        for (range, starts) in [
            (Window { from: day, to: noon }, vec![at("2026-11-22T11:00:00Z"), at("2026-11-22T04:00:00Z"), day]),
            // Everything in the future is in the first window.
            (Window { from: day, to: Uuid::max() }, vec![at("2026-11-22T11:00:00Z"), at("2026-11-22T04:00:00Z"), day]),
            (Window { from: at("2026-11-22T11:30:00Z"), to: noon }, vec![at("2026-11-22T11:30:00Z")]),
            (Window { from: noon, to: noon }, vec![]),
            (Window { from: noon, to: day }, vec![]),
        ] {
            let windows: Vec<_> = windows(range, now, 1).collect();
            assert_eq!(windows.iter().map(|window| window.from).collect::<Vec<_>>(), starts, "{range:?}");
            let ends = std::iter::once(range.to).chain(starts).take(windows.len());
            assert!(windows.iter().map(|window| window.to).eq(ends), "{windows:?}");
        }
    }

    #[test]
    fn the_first_window_is_as_long_as_expected_and_the_next_eight_times_as_long() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let starts: Vec<_> = windows(Window::ALL, now, 20).map(|window| window.from).take(2).collect();
        assert_eq!(starts, [at("2026-11-21T16:00:00Z"), at("2026-11-15T20:00:00Z")]);
    }

    #[test]
    fn the_first_window_should_hold_what_is_wanted() {
        let (days, longest) = (Duration::hours(95), LONGEST_FIRST);
        for (wanted, counted, hours) in [
            (101, 0, longest),
            (101, -7, longest),
            (101, 1, longest),
            (101, 101, 192),
            (101, 1_000, 19),
            (101, 20_000, 1),
            (101, i64::MAX, 1),
            (0, 5, 1),
            (usize::MAX, 1, longest),
            (usize::MAX, 0, longest),
        ] {
            assert_eq!(hours_for(wanted, counted, days), hours, "{wanted} of {counted}");
        }
        assert_eq!(hours_for(5, 10, Duration::zero()), 1, "a range that begins with the day");
    }

    #[test]
    fn the_last_window_takes_all_that_is_left() {
        let old = Window { from: Uuid::nil(), to: at("1970-01-01T00:30:00Z") };
        for range in [Window::ALL, old] {
            let windows: Vec<_> = windows(range, Utc::now(), 1).collect();
            assert!(windows.len() < 7, "{windows:?}");
            assert_eq!(windows.last().unwrap().from, Uuid::nil());
        }
    }

    #[test]
    fn reading_ends_when_the_page_is_full() {
        let mut looks = Vec::new();
        let rows = pages(
            windows(Window::ALL, Utc::now(), 1),
            3,
            |_| true,
            |_, wanted, _| {
                looks.push(wanted);
                Ok(vec![Row(1, Uuid::nil()); wanted.min(2)])
            },
        );
        assert_eq!((rows.unwrap().len(), looks), (3, vec![3, 1]));
    }

    #[derive(Clone, Copy)]
    struct Row(i64, Uuid);

    impl Listed for Row {
        fn id(&self) -> Uuid {
            self.1
        }

        fn batch(&self) -> i64 {
            self.0
        }
    }

    #[test]
    fn a_page_is_full_although_the_newest_events_are_not_seen() {
        // 5,000 events, of which the newest 3,000 are of a batch that waits.
        let now: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
        let at = |number: i64| EventId::lowest_at((now - Duration::seconds(number)).into()).0;
        let events: Vec<Row> = (0..5_000).map(|number| Row(i64::from(number < 3_000), at(number))).collect();
        let read = |window: Window, wanted: usize, _| {
            let within = events.iter().filter(|row| window.from <= row.1 && row.1 < window.to);
            Ok(within.take(wanted).copied().collect::<Vec<_>>())
        };
        let rows = pages(windows(Window::ALL, now, 1), 101, |row: &Row| row.0 == 0, read).unwrap();
        assert!(rows.iter().map(|row| row.1).eq((3_000..3_101).map(at)));
    }
}
