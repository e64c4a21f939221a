//! Reading backwards through time, a window after the other.
//!
//! In a hot partition a page of a rare product is found by filters over the whole partition, and a
//! page of a frequent one at the newest end of the log. Whoever looks at an hour first, then at
//! four, needs not know which one it is, and PostgreSQL plans for the partitions of that time only.

use analytics_core::identity::EventId;
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::connection::take_the_rest;
use crate::{Connection, DbError};

/// Reaches past any log; a window that would go further back takes all that is left.
const MOST_HOURS: i64 = 50 * 365 * 24;

/// A range of ids: `from` is in it, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Uuid,
    pub(super) to: Uuid,
}

impl Window {
    /// All ids.
    pub(super) const ALL: Self = Self { from: Uuid::nil(), to: Uuid::max() };
}

/// At most `limit` rows of a range of ids, newest first: `page` gives at most so many of a window.
pub(super) fn newest_first<T>(
    connection: &mut Connection,
    now: DateTime<Utc>,
    range: Window,
    limit: usize,
    page: impl Fn(&mut Connection, Window, usize) -> Result<Vec<T>, DbError>,
) -> Result<Vec<T>, DbError> {
    pages(now, range, limit, |window, wanted, is_first| {
        if !is_first {
            take_the_rest(connection)?;
        }
        page(connection, window, wanted)
    })
}

/// The same; the page is told whether it is the first.
fn pages<T>(
    now: DateTime<Utc>,
    range: Window,
    limit: usize,
    mut page: impl FnMut(Window, usize, bool) -> Result<Vec<T>, DbError>,
) -> Result<Vec<T>, DbError> {
    let mut rows = Vec::new();
    for (number, window) in windows(range, now).enumerate() {
        let wanted = limit - rows.len();
        if wanted == 0 {
            break;
        }
        rows.extend(page(window, wanted, number == 0)?);
    }
    Ok(rows)
}

/// The windows that make up a range, newest first: an hour, then back to four hours, to sixteen.
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
        hours *= 4;
        let window = Window { from: from.min(to), to };
        to = window.from;
        Some(window)
    })
}

/// The time in an id, if it is one that a calendar has.
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
    fn windows_grow_and_leave_nothing_out() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let (day, noon) = (at("2026-11-22T00:00:00Z"), at("2026-11-22T12:00:00Z"));
        for (range, starts) in [
            (Window { from: day, to: noon }, vec![at("2026-11-22T11:00:00Z"), at("2026-11-22T08:00:00Z"), day]),
            // What lies ahead of now is in the first window.
            (Window { from: day, to: Uuid::max() }, vec![at("2026-11-22T11:00:00Z"), at("2026-11-22T08:00:00Z"), day]),
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
    fn nobody_looks_further_than_the_page() {
        let mut looks = Vec::new();
        let rows = pages(Utc::now(), Window::ALL, 3, |_, wanted, _| {
            looks.push(wanted);
            Ok(vec![(); wanted.min(2)])
        });
        assert_eq!((rows.unwrap().len(), looks), (3, vec![3, 1]));
    }
}
