//! A writer: takes batches from the buffer, decodes them, and has them counted, retrying until they
//! are stored or no longer wanted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, Record, TopicPartition};
use analytics_db::batch::Progress;
use analytics_db::batch::{self, Batch, Item, Reread, Span};
use analytics_db::error::WriteError;
use analytics_db::tables::ingest_offsets;
use analytics_db::transactions::refusal::{self, Fault};
use analytics_db::transactions::{STATEMENT_SECONDS, assignment, count, frozen};
use analytics_db::{Connection, DbError, connection};
use chrono::Utc;

use crate::buffer::{Buffer, End, Topics, Work, WorkId};
use crate::fold::Fold;
use crate::settings::IngestSettings;
use crate::telemetry::{Attempt, Telemetry};

/// How long the database may fail before the worker leaves the group, so that rebalances of the
/// other members do not wait for it. It joins again when the database is available.
const PATIENCE: Duration = Duration::from_secs(20);

/// Base of the pause between two attempts, doubled with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// After this many failures of a batch, its records are suspected.
const SUSPICIOUS: u32 = 3;

/// About how many bytes the decoded records of one transaction and the rows they produce may take.
const PART_BYTES: usize = 32 << 20;
/// About how many bytes a decoded record takes besides its payload.
const ITEM_BYTES: usize = 256;
/// About how many bytes a line of an order takes: the line, its row, and the metrics of its
/// product.
const LINE_BYTES: usize = 1_000;

/// A statement that fails after this time was stopped because it took too long.
const TOO_LONG: Duration = Duration::from_secs(STATEMENT_SECONDS);
/// A statement that fails after this time may have waited for a lock.
const WAITED: Duration = Duration::from_secs(4);

/// The result of writing a part of a batch.
enum Outcome {
    Stored,
    GivenUp,
    TooLarge,
}

/// What follows an attempt to write a part.
enum Next {
    Done(Outcome),
    AtOnce,
    Later(DbError),
}

/// The attempts to write one part so far.
#[derive(Default)]
struct Tries {
    failures: u32,
    /// A connection broke, possibly after the transaction was committed.
    answer_lost: bool,
}

pub(crate) struct Writer {
    settings: Arc<IngestSettings>,
    buffer: Arc<Buffer>,
    telemetry: Telemetry,
    connection: Option<Connection>,
    failing_since: Option<Instant>,
    reread: Reread,
    pace: Pace,
    fold: Fold,
}

/// The maximum number of records in one transaction, which is reduced when statements take too
/// long. Shared by all writers of the process, over all its sessions.
#[derive(Clone)]
pub(crate) struct Pace(Arc<AtomicUsize>);

impl Default for Pace {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }
}

impl Pace {
    fn most(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, records: usize) {
        self.0.store(records.max(1), Ordering::Relaxed);
    }
}

/// The rest of a batch that is not counted yet.
struct Left {
    spans: Vec<Span>,
    records: VecDeque<Record>,
}

impl Writer {
    pub(crate) fn new(
        settings: Arc<IngestSettings>,
        buffer: Arc<Buffer>,
        telemetry: Telemetry,
        pace: Pace,
        fold: Fold,
    ) -> Self {
        let (connection, failing_since, reread) = (None, None, Reread::Unlikely);
        Self { settings, buffer, telemetry, connection, failing_since, reread, pace, fold }
    }

    /// Handles work until the session is over.
    pub(crate) fn run(mut self) {
        loop {
            match self.buffer.take(|| !self.fold.is_behind()) {
                Work::Batch { work_id, spans, records } => self.batch(work_id, Left { spans, records: records.into() }),
                Work::Heartbeat { work_id, partitions, topics } => {
                    self.heartbeat(work_id, &partitions, topics.as_ref())
                }
                Work::Stop => return,
            }
        }
    }

    fn batch(&mut self, work_id: WorkId, mut left: Left) {
        let partitions: Vec<TopicPartition> = left.spans.iter().map(|span| span.partition.clone()).collect();
        while let Some(part) = self.part(&mut left) {
            if !self.count(work_id, part) {
                self.buffer.give_up(work_id);
                return;
            }
        }
        self.buffer.finish(work_id, &partitions);
    }

    /// Decodes the next records, as many as one transaction should have. Returns `None` if none are
    /// left.
    fn part(&self, left: &mut Left) -> Option<Batch> {
        let (now, decoder) = (Utc::now(), &self.settings.decoder);
        let (mut items, mut bytes) = (Vec::with_capacity(left.records.len().min(self.pace.most())), 0);
        while bytes < PART_BYTES && items.len() < self.pace.most() {
            let Some(record) = left.records.pop_front() else { break };
            let item = Item { decoded: decoder.decode(&record, now), record };
            bytes += item
                .decoded
                .as_ref()
                .map_or(0, |event| event.metadata.len() + event.content.lines().len() * LINE_BYTES);
            bytes += ITEM_BYTES;
            items.push(item);
        }
        if items.is_empty() {
            return None;
        }
        let (spans, rest) = batch::cut(std::mem::take(&mut left.spans), &items);
        left.spans = rest;
        let consumer_group = self.settings.group_id.clone();
        Some(Batch { consumer_group, spans, items, keeping: self.settings.keeping.clone() })
    }

    /// Counts a part, split into smaller ones where needed. Returns whether all of it is stored.
    fn count(&mut self, work_id: WorkId, part: Batch) -> bool {
        let mut parts = vec![part];
        while let Some(mut part) = parts.pop() {
            let began = Instant::now();
            match self.write(work_id, &mut part) {
                Outcome::Stored => {
                    self.buffer.advance(work_id, &part.spans);
                    if began.elapsed() < TOO_LONG / 4 {
                        self.pace.set(self.pace.most().saturating_mul(2));
                    }
                }
                Outcome::GivenUp => return false,
                Outcome::TooLarge => {
                    self.pace.set(part.items.len().div_ceil(2));
                    match part.halves() {
                        Ok((first, second)) => parts.extend([second, first]),
                        Err(whole) => parts.push(whole),
                    }
                }
            }
        }
        true
    }

    /// Writes a part, retrying until it is stored, has to be halved, or is given up.
    fn write(&mut self, work_id: WorkId, batch: &mut Batch) -> Outcome {
        let mut tries = Tries::default();
        loop {
            match self.attempt(work_id, batch, &mut tries) {
                Next::Done(outcome) => return outcome,
                Next::AtOnce => {}
                Next::Later(error) => {
                    self.buffer.goes_forward(work_id);
                    if !self.may_try_again(work_id, &error, tries.failures) {
                        return Outcome::GivenUp;
                    }
                }
            }
        }
    }

    /// Counts a part once, and decides what the result means.
    fn attempt(&mut self, work_id: WorkId, batch: &mut Batch, tries: &mut Tries) -> Next {
        let business = self.settings.decoder.business;
        let (began, reread) = (Instant::now(), self.reread);
        let error = match self.connected(|connection| count::count(connection, batch, business, reread)) {
            Ok(written) => {
                self.recovered(Attempt::Batch);
                if written.reread == 0 {
                    self.reread = Reread::Unlikely;
                }
                self.telemetry.committed(batch.items.len(), &written, began.elapsed());
                self.fold.logged(batch.items.len());
                return Next::Done(Outcome::Stored);
            }
            Err(WriteError::AlreadyLogged) if self.reread == Reread::Unlikely => {
                self.reread = Reread::Possible;
                return Next::AtOnce;
            }
            Err(WriteError::Fenced) if tries.answer_lost && self.was_stored(batch) => {
                self.recovered(Attempt::Batch);
                return Next::Done(Outcome::Stored);
            }
            Err(WriteError::Fenced) => {
                self.telemetry.fenced();
                self.buffer.fenced(work_id);
                return Next::Done(Outcome::GivenUp);
            }
            Err(error @ (WriteError::AlreadyLogged | WriteError::Busy | WriteError::Refused)) => {
                DbError::Unusable(error.to_string())
            }
            Err(WriteError::Database(error)) => error,
        };
        tries.failures += 1;
        self.failure(work_id, batch, tries, error, began.elapsed())
    }

    /// Finds out why the database failed, and whether a record of the part is the cause.
    fn failure(
        &mut self,
        work_id: WorkId,
        batch: &mut Batch,
        tries: &mut Tries,
        error: DbError,
        took: Duration,
    ) -> Next {
        Next::Later(match error {
            // Whether the transaction was committed is known once the database can be reached.
            DbError::Unreachable(_) => {
                tries.answer_lost = true;
                error
            }
            DbError::Statement(_) if took >= TOO_LONG && batch.items.len() > 1 => {
                // The database works, and the halves are tried next: that counts as progress.
                log::warn!("a statement for {} records took too long, halving the batch", batch.items.len());
                self.buffer.goes_forward(work_id);
                return Next::Done(Outcome::TooLarge);
            }
            DbError::Statement(failure) => match refusal::fault(&failure) {
                Fault::Record => self.suspect(batch, &mut tries.failures, DbError::Statement(failure)),
                Fault::Operator => DbError::Unusable(format!(
                    "a unique index that does not belong to this service rejects valid records and has to be dropped: {failure}"
                )),
                Fault::Unclear => {
                    if took >= WAITED {
                        self.end_frozen();
                    }
                    self.suspect_in_time(batch, &mut tries.failures, DbError::Statement(failure))
                }
            },
            DbError::Busy | DbError::NotMigrated(_) => error,
            DbError::Unusable(_) => self.suspect_in_time(batch, &mut tries.failures, error),
        })
    }

    /// Suspects the records once the batch has failed [`SUSPICIOUS`] times.
    fn suspect_in_time(&mut self, batch: &mut Batch, failures: &mut u32, error: DbError) -> DbError {
        if *failures >= SUSPICIOUS { self.suspect(batch, failures, error) } else { error }
    }

    /// Turns records that the database refuses into dead letters of the batch. Returns the error to
    /// report.
    fn suspect(&mut self, batch: &mut Batch, failures: &mut u32, error: DbError) -> DbError {
        match self.connected(|connection| Ok(refusal::reject_refused(connection, batch)?)) {
            Ok(0) => error,
            Ok(records) => {
                log::warn!("the database refuses {records} records; they become dead letters");
                *failures = 0;
                error
            }
            Err(WriteError::Database(why @ DbError::Unusable(_))) => why,
            Err(why) => {
                log::warn!("cannot find out whether a record causes the failure: {why}");
                error
            }
        }
    }

    /// Ends the database sessions of workers that froze in the middle of a COPY, which may hold the
    /// locks that this one waits for.
    fn end_frozen(&mut self) {
        match self.connected(|connection| Ok(frozen::end_frozen(connection)?)) {
            Ok(0) => {}
            Ok(ended) => {
                log::warn!("ended the database sessions of {ended} workers that froze in the middle of a COPY")
            }
            Err(error) => log::debug!("cannot find out whether another worker froze: {error}"),
        }
    }

    /// Returns whether an earlier attempt was committed although the answer was lost: no other
    /// worker can have moved all offsets to exactly where this batch ends.
    fn was_stored(&mut self, batch: &Batch) -> bool {
        let partitions: Vec<TopicPartition> = batch.spans.iter().map(|span| span.partition.clone()).collect();
        let stored =
            self.connected(|connection| Ok(ingest_offsets::load(connection, &batch.consumer_group, &partitions)?));
        stored.is_ok_and(|stored| batch.spans.iter().all(|span| stored.get(&span.partition) == Some(&span.next)))
    }

    /// Reports the progress of partitions, and the topics if they are due.
    fn heartbeat(
        &mut self,
        work_id: WorkId,
        partitions: &[(TopicPartition, Offset, Progress)],
        topics: Option<&Topics>,
    ) {
        let settings = Arc::clone(&self.settings);
        let beat = self.connected(|connection| {
            if let Some(topics) = topics {
                assignment::register(connection, &settings.group_id, topics)?;
            }
            Ok(assignment::heartbeat(connection, &settings.group_id, partitions)?)
        });
        match beat {
            Ok(beat) if beat == partitions.len() => self.recovered(Attempt::Heartbeat),
            Ok(_) => {
                self.telemetry.fenced();
                self.buffer.fenced(work_id);
            }
            Err(error) => self.failed(Attempt::Heartbeat, log::Level::Warn, error.to_string()),
        }
        let partitions: Vec<TopicPartition> = partitions.iter().map(|(name, ..)| name.clone()).collect();
        self.buffer.finish(work_id, &partitions);
    }

    /// Runs `work` with the writer's connection, or with a new one if that broke.
    fn connected<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T, WriteError>) -> Result<T, WriteError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection::connect(&self.settings.database_url, "analytics-ingest")?,
        };
        let done = work(&mut connection);
        if !matches!(done, Err(WriteError::Database(DbError::Unreachable(_)))) {
            self.connection = Some(connection);
        }
        done
    }

    fn recovered(&mut self, attempt: Attempt) {
        self.failing_since = None;
        self.telemetry.recovered(attempt);
    }

    /// Notes a failure, and ends the session if failures have lasted longer than [`PATIENCE`].
    fn failed(&mut self, attempt: Attempt, level: log::Level, why: String) {
        self.telemetry.retrying(attempt, level, why.clone());
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            self.buffer.end(End::DatabaseAway(why));
        }
    }

    /// Notes a failure and pauses, longer each time. Returns whether the batch is still wanted.
    fn may_try_again(&mut self, work_id: WorkId, error: &DbError, failures: u32) -> bool {
        // An unusable database needs an operator.
        let level = if matches!(error, DbError::Unusable(_)) { log::Level::Error } else { log::Level::Warn };
        self.failed(Attempt::Batch, level, error.to_string());
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(5)).min(LONGEST_PAUSE);
        self.buffer.pause(work_id, pause)
    }
}
