//! Counts what the writers of all processes have logged. Every process does so on a thread of its
//! own; one of them at a time succeeds, and the others find out when it does not any more. The same thread
//! adds the newest events to the small indexes of the log.

mod pacing;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use analytics_db::transactions::fold::{self, Backlog, Folded, Turn};
use analytics_db::transactions::{refusal, summarize};
use analytics_db::{Connection, DbError, connection};
use analytics_process::deadline;

use self::pacing::{NOTHING, Pacing, until_due};
use crate::session;
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;

/// How often the newest events are added to the small indexes.
const SUMMARIZE_EVERY: Duration = Duration::from_secs(5);
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
            let began = Instant::now();
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
                    let rest = pacing.after(outcome, &backlog, began.elapsed());
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
