//! Counts what the writers of all processes have logged. Every process does so on a thread of its
//! own; one of them at a time succeeds, and the others find out when it does not any more. The same thread
//! adds the newest events to the small indexes of the log.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use analytics_db::transactions::fold::{self, Backlog, Folded, Turn};
use analytics_db::transactions::{refusal, summarize};
use analytics_db::{Connection, DbError, connection};
use analytics_process::deadline;

use crate::session;
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;

/// How often a process without work looks whether another one has left batches behind.
const LOOK: Duration = Duration::from_millis(500);
/// How often the newest events are added to the small indexes.
const SUMMARIZE_EVERY: Duration = Duration::from_secs(5);
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
/// How long one attempt may take. After that its connection is given up: the server may be unreachable
/// without a sign of it.
const ATTEMPT: Duration = Duration::from_secs(30);
/// A thread whose last attempt began longer ago than this has no answer from the server, and is not
/// waited for when the process stops.
const SILENT: Duration = Duration::from_secs(2);

/// How much may wait to be counted before writers pause.
#[derive(Debug, Clone, Copy)]
pub struct MostWaiting {
    /// Number of records.
    pub records: i64,
    /// How long the first of them may have waited.
    pub time: Duration,
}

/// The fold of this process. Clones share it.
#[derive(Clone)]
pub(crate) struct Fold {
    shared: Arc<Shared>,
    most: MostWaiting,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What waits, as last read, and what this process has logged since.
    backlog: Backlog,
    /// When the present attempt began, if one is running.
    attempting: Option<Instant>,
    /// Whether the process is about to end.
    ending: bool,
}

impl Fold {
    pub(crate) fn new(most: MostWaiting) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() }), most }
    }

    /// Notes that a writer has logged a batch.
    pub(crate) fn logged(&self, records: usize) {
        let mut state = self.lock();
        state.backlog.batches += 1;
        state.backlog.records += i64::try_from(records).unwrap_or(i64::MAX);
        self.shared.changed.notify_all();
    }

    /// Whether so much waits that writers have to pause.
    pub(crate) fn is_behind(&self) -> bool {
        let Backlog { records, oldest, .. } = self.lock().backlog;
        records > self.most.records || oldest > self.most.time
    }

    /// Starts the thread.
    pub(crate) fn start(
        &self,
        settings: &Arc<IngestSettings>,
        telemetry: &Telemetry,
    ) -> std::io::Result<JoinHandle<()>> {
        let (fold, settings, telemetry) = (self.clone(), Arc::clone(settings), telemetry.clone());
        thread::Builder::new().name("fold".into()).spawn(move || fold.run(&settings, &telemetry))
    }

    /// Has the thread count what waits, and then end. Returns whether it has in time.
    pub(crate) fn end(&self, thread: &JoinHandle<()>, at_most: Duration) -> bool {
        let is_silent = {
            let mut state = self.lock();
            state.ending = true;
            state.attempting.is_some_and(|since| since.elapsed() > SILENT)
        };
        self.shared.changed.notify_all();
        !is_silent && session::finished(thread, at_most)
    }

    fn run(&self, settings: &Arc<IngestSettings>, telemetry: &Telemetry) {
        let mut connection: Option<Connection> = None;
        let (mut pacing, mut summarized, mut was_behind) = (Pacing::default(), Instant::now(), false);
        loop {
            let ending = self.lock().ending;
            let summarize = summarized.elapsed() > SUMMARIZE_EVERY;
            if summarize {
                summarized = Instant::now();
            }
            let attempt = Attempt { turn: pacing.turn(), at_most: pacing.at_most, at_once: ending, summarize };
            match self.attempt(&mut connection, settings, attempt) {
                Ok((outcome, backlog)) => {
                    telemetry.waiting_to_be_counted(backlog);
                    if let Folded::Batches { batches, records } = outcome {
                        telemetry.folded(batches, records);
                    }
                    self.lock().backlog = backlog;
                    let is_behind = self.is_behind();
                    if is_behind && !was_behind {
                        let Backlog { records, oldest, .. } = backlog;
                        log::warn!(
                            "writers pause: {records} records wait to be counted, the first for {} s",
                            oldest.as_secs()
                        );
                    } else if was_behind && !is_behind {
                        log::info!("writers go on");
                    }
                    was_behind = is_behind;
                    let rest = pacing.after(outcome, &backlog);
                    if ending && (backlog.is_empty() || outcome == NOTHING) {
                        return;
                    }
                    self.wait(rest.at_most(), ending, |state| rest.is_over(&state.backlog));
                }
                Err(error) => {
                    telemetry.fold_failed(&error.to_string());
                    if ending {
                        return;
                    }
                    self.wait(pacing.after_failure(), ending, |_| false);
                }
            }
        }
    }

    /// Counts if it is time, within a time limit. Returns what waits then.
    fn attempt(
        &self,
        connection: &mut Option<Connection>,
        settings: &Arc<IngestSettings>,
        attempt: Attempt,
    ) -> Result<(Folded, Backlog), DbError> {
        self.lock().attempting = Some(Instant::now());
        let (mut own, settings) = (connection.take(), Arc::clone(settings));
        let done = deadline::within(ATTEMPT, move || {
            let done = attempt.run(&mut own, &settings);
            (own, done)
        });
        self.lock().attempting = None;
        let Some((own, done)) = done else {
            return Err(DbError::Unreachable("it does not answer".into()));
        };
        if !matches!(done, Err(DbError::Unreachable(_))) {
            *connection = own;
        }
        done
    }

    /// Waits until `until` holds or the process is to end, at most this long.
    fn wait(&self, at_most: Duration, was_ending: bool, until: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + at_most;
        let mut state = self.lock();
        while !until(&state) && state.ending == was_ending {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing was there to be counted, or was to be left for later.
const NOTHING: Folded = Folded::Batches { batches: 0, records: 0 };

/// One attempt to count.
#[derive(Clone, Copy)]
struct Attempt {
    turn: Turn,
    /// Maximum weight of the batches.
    at_most: i64,
    /// Whether also batches are counted that could wait a little for others.
    at_once: bool,
    /// Whether the newest events are added to the small indexes first.
    summarize: bool,
}

impl Attempt {
    fn run(self, connection: &mut Option<Connection>, settings: &IngestSettings) -> Result<(Folded, Backlog), DbError> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(connection::connect(&settings.database_url, "analytics-ingest")?),
        };
        if self.summarize
            && let Err(error) = summarize::summarize(connection)
        {
            log::debug!("the newest events are not in the small indexes yet: {error}");
        }
        let backlog = fold::backlog(connection)?;
        if backlog.is_empty() || !self.at_once && !until_due(&backlog).is_zero() {
            return Ok((NOTHING, backlog));
        }
        match fold::fold(connection, settings.decoder.business, self.turn, self.at_most) {
            Ok(folded) => Ok((folded, fold::backlog(connection)?)),
            Err(error) => Err(refusal::obstacle(connection, error.into())),
        }
    }
}

/// Returns how long what waits can wait for more: a fold of many batches changes fewer rows for each of
/// them. The same for all processes, so that many of them do not count more often than one.
fn until_due(backlog: &Backlog) -> Duration {
    if backlog.records >= ENOUGH || backlog.batches == 0 {
        return Duration::ZERO;
    }
    APART.saturating_sub(backlog.oldest.max(backlog.last_counted))
}

/// How long to wait until the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Until something waits, at most this long.
    Idle(Duration),
    /// Until [`ENOUGH`] waits, at most this long.
    ForMore(Duration),
    /// This long, whatever waits: it cannot be counted now.
    Blocked(Duration),
}

impl Rest {
    const fn at_most(self) -> Duration {
        match self {
            Self::Idle(time) | Self::ForMore(time) | Self::Blocked(time) => time,
        }
    }

    const fn is_over(self, backlog: &Backlog) -> bool {
        match self {
            Self::Idle(_) => backlog.batches > 0,
            Self::ForMore(_) => backlog.records >= ENOUGH,
            Self::Blocked(_) => false,
        }
    }
}

/// When to try again, and how much at once.
struct Pacing {
    /// Since when others have been counting, without a turn of this process.
    passed_over: Option<Instant>,
    /// Maximum weight of the batches of one fold.
    at_most: i64,
    /// How many attempts in succession have failed.
    failures: u32,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { passed_over: None, at_most: fold::MOST, failures: 0 }
    }
}

impl Pacing {
    fn turn(&self) -> Turn {
        match self.passed_over.is_some_and(|since| since.elapsed() > PATIENCE) {
            true => Turn::Within(IN_THE_QUEUE),
            false => Turn::IfFree,
        }
    }

    /// Returns how long to wait after an attempt.
    fn after(&mut self, outcome: Folded, backlog: &Backlog) -> Rest {
        self.failures = 0;
        match outcome {
            Folded::Elsewhere => {
                self.passed_over.get_or_insert_with(Instant::now);
                return Rest::Blocked(PAUSE);
            }
            Folded::Batches { batches: 0, .. } => {}
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
    fn after_failure(&mut self) -> Duration {
        (self.failures, self.at_most) = (self.failures + 1, (self.at_most / 2).max(1));
        PAUSE.saturating_mul(1 << self.failures.min(5)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                pacing.after(Folded::Batches { batches: 1, records: 1 }, &waiting),
                Rest::ForMore(Duration::ZERO)
            );
        }
        assert_eq!(pacing.at_most, fold::MOST);
    }

    #[test]
    fn a_process_that_is_passed_over_queues() {
        let (mut pacing, waiting) = (Pacing::default(), backlog(9, 9_000, 400, 400));
        assert_eq!(pacing.after(Folded::Elsewhere, &waiting), Rest::Blocked(PAUSE));
        assert_eq!(pacing.turn(), Turn::IfFree);
        pacing.passed_over = Some(Instant::now() - PATIENCE * 2);
        assert_eq!(pacing.after(Folded::Elsewhere, &waiting), Rest::Blocked(PAUSE));
        assert_eq!(pacing.turn(), Turn::Within(IN_THE_QUEUE));
        assert_eq!(pacing.after(Folded::Batches { batches: 1, records: 1 }, &waiting), Rest::ForMore(Duration::ZERO));
        assert_eq!(pacing.turn(), Turn::IfFree);
    }

    #[test]
    fn without_progress_it_does_not_spin() {
        let mut pacing = Pacing::default();
        // A batch of a newer format; many of them; an offset that somebody else is writing.
        let differ = Backlog { offsets_differ: true, ..backlog(0, 0, 0, 0) };
        for waiting in [backlog(1, 1, 5_000, 5_000), backlog(99, 3 * ENOUGH, 5_000, 5_000), differ] {
            for (outcome, time) in [(NOTHING, LOOK), (Folded::Elsewhere, PAUSE)] {
                let rest = pacing.after(outcome, &waiting);
                assert_eq!(rest, Rest::Blocked(time), "{outcome:?} {waiting:?}");
                assert!(!rest.is_over(&backlog(99, 3 * ENOUGH, 9_000, 9_000)));
            }
        }
        let (one, many) = (backlog(1, 1, 0, 0), backlog(9, ENOUGH, 0, 0));
        let idle = pacing.after(NOTHING, &backlog(0, 0, 0, 0));
        assert_eq!((idle.at_most(), idle.is_over(&one)), (LOOK, true));
        let for_more = pacing.after(NOTHING, &one);
        assert_eq!((for_more.at_most(), for_more.is_over(&one), for_more.is_over(&many)), (APART, false, true));
    }
}
