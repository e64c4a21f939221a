//! When to count next, and how much at once.

use std::time::{Duration, Instant};

use analytics_db::transactions::fold::{self, Backlog, Folded, Turn};

/// How often a process without work looks whether another one has left batches behind.
const LOOK: Duration = Duration::from_millis(500);
/// Time between two folds, while less than [`ENOUGH`] waits: a fold of many batches changes fewer
/// rows for each of them.
const APART: Duration = Duration::from_millis(300);
/// When so many records wait, they are counted at once.
const ENOUGH: i64 = 100_000;
/// Pause while somebody else is counting, and after a failure, doubled with each.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long others may count without a turn of this process until it queues for one, so that a stream of
/// adjustments does not keep it from counting; and how long it queues.
const PATIENCE: Duration = Duration::from_secs(1);
const IN_THE_QUEUE: Duration = Duration::from_secs(3);
/// A fold that took longer than this makes the next one smaller, so that none takes as long as an attempt may where the
/// server is far away; one that took less than half makes it larger.
const SLOW: Duration = Duration::from_secs(10);
/// Maximum weight of the batches of the first fold, before it is known how long one takes.
const FIRST: i64 = fold::MOST / 8;

/// Nothing was there to be counted, or was to be left for later.
pub(super) const NOTHING: Folded = Folded::Batches { batches: 0, records: 0 };

/// Returns how long what waits can wait for more: a fold of many batches changes fewer rows for each of
/// them. The same for all processes, so that many of them do not count more often than one.
pub(super) fn until_due(backlog: &Backlog) -> Duration {
    if backlog.records >= ENOUGH || backlog.batches == 0 {
        return Duration::ZERO;
    }
    APART.saturating_sub(backlog.oldest.max(backlog.last_counted))
}

/// How long to wait until the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Until something waits, at most this long.
    Idle(Duration),
    /// Until [`ENOUGH`] waits, at most this long.
    ForMore(Duration),
    /// This long, whatever waits: it cannot be counted now.
    Blocked(Duration),
}

impl Rest {
    pub(super) const fn at_most(self) -> Duration {
        match self {
            Self::Idle(time) | Self::ForMore(time) | Self::Blocked(time) => time,
        }
    }

    pub(super) const fn is_over(self, backlog: &Backlog) -> bool {
        match self {
            Self::Idle(_) => backlog.batches > 0,
            Self::ForMore(_) => backlog.records >= ENOUGH,
            Self::Blocked(_) => false,
        }
    }
}

/// When to try again, and how much at once.
pub(super) struct Pacing {
    /// Since when others have been counting, without a turn of this process.
    passed_over: Option<Instant>,
    /// Maximum weight of the batches of one fold.
    pub(super) at_most: i64,
    /// How many attempts in succession have failed.
    failures: u32,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { passed_over: None, at_most: FIRST, failures: 0 }
    }
}

impl Pacing {
    pub(super) fn turn(&self) -> Turn {
        match self.passed_over.is_some_and(|since| since.elapsed() > PATIENCE) {
            true => Turn::Within(IN_THE_QUEUE),
            false => Turn::IfFree,
        }
    }

    /// Returns how long to wait after an attempt, which took so long.
    pub(super) fn after(&mut self, outcome: Folded, backlog: &Backlog, took: Duration) -> Rest {
        self.failures = 0;
        match outcome {
            Folded::Elsewhere => {
                self.passed_over.get_or_insert_with(Instant::now);
                return Rest::Blocked(PAUSE);
            }
            Folded::Batches { batches: 0, .. } => {}
            Folded::Batches { .. } if took > SLOW => self.at_most = (self.at_most / 2).max(1),
            Folded::Batches { .. } if took > SLOW / 2 => {}
            Folded::Batches { .. } => self.at_most = (self.at_most * 2).min(fold::MOST),
        }
        self.passed_over = None;
        match until_due(backlog) {
            _ if backlog.is_empty() => Rest::Idle(LOOK),
            // A batch of a newer format waits, or somebody else was writing an offset.
            Duration::ZERO if outcome == NOTHING => Rest::Blocked(LOOK),
            due => Rest::ForMore(due),
        }
    }

    /// Returns how long to wait after a failure. It may have been too much for one transaction.
    pub(super) fn after_failure(&mut self) -> Duration {
        (self.failures, self.at_most) = (self.failures + 1, (self.at_most / 2).max(1));
        PAUSE.saturating_mul(1 << self.failures.min(5)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    fn backlog(batches: i64, records: i64, oldest: u64, last_counted: u64) -> Backlog {
        let (oldest, last_counted) = (Duration::from_millis(oldest), Duration::from_millis(last_counted));
        Backlog { batches, records, oldest, last_counted, offsets_differ: batches > 0 }
    }

    #[test]
    fn batches_wait_for_others_unless_it_was_quiet_or_many_wait() {
        for (waiting, due) in [
            (backlog(1, 1, 0, 10_000), 0),
            (backlog(1, 1, 0, 0), 300),
            (backlog(9, 9_000, 100, 120), 180),
            (backlog(9, 9_000, 250, 120), 50),
            (backlog(9, 9_000, 301, 120), 0),
            (backlog(99, 100_000, 1, 1), 0),
            (backlog(0, 0, 0, 0), 0),
        ] {
            assert_eq!(until_due(&waiting), Duration::from_millis(due), "{waiting:?}");
        }
    }

    #[test]
    fn a_fold_that_fails_is_smaller_the_next_time_and_grows_again() {
        let (mut pacing, waiting) = (Pacing::default(), backlog(9, 9_000, 400, 400));
        for _ in 0..40 {
            assert!(pacing.after_failure() <= LONGEST_PAUSE);
        }
        assert_eq!(pacing.at_most, 1);
        for _ in 0..40 {
            assert_eq!(
                pacing.after(Folded::Batches { batches: 1, records: 1 }, &waiting, SHORT),
                Rest::ForMore(Duration::ZERO)
            );
        }
        assert_eq!(pacing.at_most, fold::MOST);
    }

    #[test]
    fn folds_are_as_large_as_the_time_that_they_take_allows() {
        let (mut pacing, waiting) = (Pacing::default(), backlog(9, 9_000, 400, 400));
        let folded = Folded::Batches { batches: 1, records: 1 };
        for (took, at_most) in [(1, FIRST * 2), (7, FIRST * 2), (11, FIRST), (29, FIRST / 2), (4, FIRST)] {
            pacing.after(folded, &waiting, Duration::from_secs(took));
            assert_eq!(pacing.at_most, at_most, "{took} s");
        }
        pacing.after(NOTHING, &waiting, Duration::from_secs(29));
        pacing.after(Folded::Elsewhere, &waiting, Duration::from_secs(29));
        assert_eq!(pacing.at_most, FIRST, "nothing was folded");
    }

    #[test]
    fn a_process_that_is_passed_over_queues() {
        let (mut pacing, waiting) = (Pacing::default(), backlog(9, 9_000, 400, 400));
        assert_eq!(pacing.after(Folded::Elsewhere, &waiting, SHORT), Rest::Blocked(PAUSE));
        assert_eq!(pacing.turn(), Turn::IfFree);
        pacing.passed_over = Some(Instant::now() - PATIENCE * 2);
        assert_eq!(pacing.after(Folded::Elsewhere, &waiting, SHORT), Rest::Blocked(PAUSE));
        assert_eq!(pacing.turn(), Turn::Within(IN_THE_QUEUE));
        assert_eq!(
            pacing.after(Folded::Batches { batches: 1, records: 1 }, &waiting, SHORT),
            Rest::ForMore(Duration::ZERO)
        );
        assert_eq!(pacing.turn(), Turn::IfFree);
    }

    #[test]
    fn without_progress_it_does_not_spin() {
        let mut pacing = Pacing::default();
        // A batch of a newer format; many of them; an offset that somebody else is writing.
        let differ = Backlog { offsets_differ: true, ..backlog(0, 0, 0, 0) };
        for waiting in [backlog(1, 1, 5_000, 5_000), backlog(99, 3 * ENOUGH, 5_000, 5_000), differ] {
            for (outcome, time) in [(NOTHING, LOOK), (Folded::Elsewhere, PAUSE)] {
                let rest = pacing.after(outcome, &waiting, SHORT);
                assert_eq!(rest, Rest::Blocked(time), "{outcome:?} {waiting:?}");
                assert!(!rest.is_over(&backlog(99, 3 * ENOUGH, 9_000, 9_000)));
            }
        }
        let (one, many) = (backlog(1, 1, 0, 0), backlog(9, ENOUGH, 0, 0));
        let idle = pacing.after(NOTHING, &backlog(0, 0, 0, 0), SHORT);
        assert_eq!((idle.at_most(), idle.is_over(&one)), (LOOK, true));
        let for_more = pacing.after(NOTHING, &one, SHORT);
        assert_eq!((for_more.at_most(), for_more.is_over(&one), for_more.is_over(&many)), (APART, false, true));
    }
}
