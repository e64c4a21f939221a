//! Reads backwards through time, in one window after another.
//!
//! In a hot partition, a page about a rare product is found by filters over the whole partition,
//! and a page about a frequent one at the newest end of the log. Searching one hour first, then
//! back to eight, to 64 and so on works for both without knowing which it is, and
//! PostgreSQL only plans for the partitions of that time.

use analytics_core::identity::EventId;
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use super::AsOf;
use crate::connection::take_the_rest;
use crate::{Connection, DbError};

/// Longer than any log. A window that would reach back further takes all that is left.
const MOST_HOURS: i64 = 50 * 365 * 24;

/// The most rows that are read at once behind events that are not seen.
const MOST_AT_ONCE: usize = 2_000;

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

/// Returns at most `limit` rows of a range of ids, newest first, of batches that are seen. `page` reads
/// at most the given number of rows from a window.
pub(super) fn newest_first<T: Listed>(
    connection: &mut Connection,
    as_of: &AsOf,
    range: Window,
    limit: usize,
    page: impl Fn(&mut Connection, Window, usize) -> Result<Vec<T>, DbError>,
) -> Result<Vec<T>, DbError> {
    let sees = |row: &T| as_of.sees(row.batch());
    pages(as_of.time, range, limit, sees, |window, wanted, is_first| {
        if !is_first {
            take_the_rest(connection)?;
        }
        page(connection, window, wanted)
    })
}

/// Does the same; `page` also gets whether it reads for the first time. The newest events may wait to be
/// counted: behind those that are not seen it reads on, more and more at once.
fn pages<T: Listed>(
    now: DateTime<Utc>,
    range: Window,
    limit: usize,
    sees: impl Fn(&T) -> bool,
    mut page: impl FnMut(Window, usize, bool) -> Result<Vec<T>, DbError>,
) -> Result<Vec<T>, DbError> {
    let (mut rows, mut is_first) = (Vec::new(), true);
    for mut window in windows(range, now) {
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

/// Returns the windows that make up a range, newest first: the last hour, then back to 8 hours, 64
/// hours and so on. Each reads the filters of the hot partition from end to end.
fn windows(range: Window, now: DateTime<Utc>) -> impl Iterator<Item = Window> {
    let newest = time(range.to).map_or(now, |end| end.min(now));
    let (mut to, mut hours) = (range.to, 1);
    std::iter::from_fn(move || {
        if to <= range.from {
            return None;
        }
        let start = newest - Duration::hours(hours);
        let reaches = hours <= MOST_HOURS && start > DateTime::UNIX_EPOCH;
        let from = if reaches { EventId::lowest_at(start.into()).0.max(range.from) } else { range.from };
        hours *= 8;
        let window = Window { from: from.min(to), to };
        to = window.from;
        Some(window)
    })
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
            let windows: Vec<_> = windows(range, now).collect();
            assert_eq!(windows.iter().map(|window| window.from).collect::<Vec<_>>(), starts, "{range:?}");
            let ends = std::iter::once(range.to).chain(starts).take(windows.len());
            assert!(windows.iter().map(|window| window.to).eq(ends), "{windows:?}");
        }
    }

    #[test]
    fn the_last_window_takes_all_that_is_left() {
        let old = Window { from: Uuid::nil(), to: at("1970-01-01T00:30:00Z") };
        for range in [Window::ALL, old] {
            let windows: Vec<_> = windows(range, Utc::now()).collect();
            assert!(windows.len() < 12, "{windows:?}");
            assert_eq!(windows.last().unwrap().from, Uuid::nil());
        }
    }

    #[test]
    fn reading_ends_when_the_page_is_full() {
        let mut looks = Vec::new();
        let rows = pages(
            Utc::now(),
            Window::ALL,
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
        let rows = pages(now, Window::ALL, 101, |row: &Row| row.0 == 0, read).unwrap();
        assert!(rows.iter().map(|row| row.1).eq((3_000..3_101).map(at)));
    }
}
