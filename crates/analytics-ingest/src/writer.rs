//! A writer: takes batches from the intake, decodes them, and has them counted, for as long as it
//! takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, Record, TopicPartition};
use analytics_db::write::{self, Batch, Item, Reread, Span, WriteError, refusal};
use analytics_db::{Connection, DbError, connection, offsets};
use chrono::Utc;

use crate::intake::{End, Intake, Turn, Work};
use crate::settings::IngestSettings;
use crate::telemetry::Telemetry;

/// How long the database may fail before the worker leaves the group, so that a rebalance of the
/// others does not wait for it. It joins again when the database is back.
const PATIENCE: Duration = Duration::from_secs(20);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// After so many failures of a statement on a living connection the records are suspected.
const SUSPICIOUS: u32 = 3;

/// What became of a batch.
enum Outcome {
    Stored,
    GivenUp,
}

pub(crate) struct Writer {
    settings: Arc<IngestSettings>,
    intake: Arc<Intake>,
    telemetry: Telemetry,
    connection: Option<Connection>,
    failing_since: Option<Instant>,
    reread: Reread,
}

impl Writer {
    pub(crate) fn new(settings: Arc<IngestSettings>, intake: Arc<Intake>, telemetry: Telemetry) -> Self {
        Self { settings, intake, telemetry, connection: None, failing_since: None, reread: Reread::Unlikely }
    }

    /// Works until the intake is closed.
    pub(crate) fn run(mut self) {
        loop {
            match self.intake.take() {
                Work::Batch { turn, spans, records } => self.batch(turn, spans, records),
                Work::Heartbeat { turn, partitions } => self.heartbeat(turn, &partitions),
                Work::Stop => return,
            }
        }
    }

    fn batch(&mut self, turn: Turn, spans: Vec<Span>, records: Vec<Record>) {
        let now = Utc::now();
        let decoder = &self.settings.decoder;
        let item = |record: Record| Item { decoded: decoder.decode(&record, now), record };
        let items = records.into_iter().map(item).collect();
        let mut batch = Batch {
            consumer_group: self.settings.group_id.clone(),
            spans,
            items,
            dead_letter_bytes: self.settings.dead_letter_bytes,
        };
        let outcome = self.write(turn, &mut batch);
        let stored = |span: &Span| matches!(outcome, Outcome::Stored).then_some(span.next);
        let finished: Vec<_> = batch.spans.iter().map(|span| (span.partition.clone(), stored(span))).collect();
        self.intake.finish(turn, &finished);
    }

    /// Writes a batch, however often it takes.
    fn write(&mut self, turn: Turn, batch: &mut Batch) -> Outcome {
        let business = self.settings.decoder.business;
        let (mut failures, mut answer_lost) = (0, false);
        loop {
            let began = Instant::now();
            let reread = self.reread;
            let error = match self.connected(|connection| write::write(connection, batch, business, reread)) {
                Ok(written) => {
                    self.recovered();
                    if written.reread == 0 {
                        self.reread = Reread::Unlikely;
                    }
                    self.telemetry.committed(batch.items.len(), &written, began.elapsed());
                    return Outcome::Stored;
                }
                Err(WriteError::AlreadyLogged) => {
                    self.reread = Reread::Possible;
                    continue;
                }
                Err(WriteError::Fenced) if answer_lost && self.was_stored(batch) => return Outcome::Stored,
                Err(WriteError::Fenced) => {
                    self.telemetry.fenced();
                    self.intake.fenced(turn);
                    return Outcome::GivenUp;
                }
                Err(WriteError::Refused) => {
                    failures = SUSPICIOUS;
                    DbError::Unusable("a sum does not fit".into())
                }
                Err(WriteError::Database(error)) => error,
            };
            failures += 1;
            match &error {
                // Whether the commit happened is known when the connection is back.
                DbError::Unreachable(_) => answer_lost = true,
                DbError::Statement(failure) if refusal::violates_a_rule(failure) => {
                    self.suspect(batch);
                    failures = 0;
                }
                DbError::Statement(_) | DbError::Unusable(_) if failures >= SUSPICIOUS => {
                    self.suspect(batch);
                    failures = 0;
                }
                DbError::Statement(_) | DbError::Unusable(_) => {}
            }
            if !self.may_try_again(&error, failures) {
                return Outcome::GivenUp;
            }
        }
    }

    /// Turns what the database refuses into dead letters of the batch.
    fn suspect(&mut self, batch: &mut Batch) {
        let business = self.settings.decoder.business;
        let refused = self.connected(|connection| Ok(refusal::reject_refused(connection, batch, business)?));
        match refused {
            Ok(0) | Err(_) => {}
            Ok(records) => log::warn!("the database refuses {records} records, they become dead letters"),
        }
    }

    /// Whether an earlier attempt was committed although its answer got lost: nobody else can
    /// have moved all offsets to just where this batch ends.
    fn was_stored(&mut self, batch: &Batch) -> bool {
        let partitions: Vec<TopicPartition> = batch.spans.iter().map(|span| span.partition.clone()).collect();
        let stored = self.connected(|connection| Ok(offsets::load(connection, &batch.consumer_group, &partitions)?));
        stored.is_ok_and(|stored| batch.spans.iter().all(|span| stored.get(&span.partition) == Some(&span.next)))
    }

    fn heartbeat(&mut self, turn: Turn, partitions: &[(TopicPartition, Offset, Option<Offset>)]) {
        let group = Arc::clone(&self.settings);
        let beat = self.connected(|connection| Ok(offsets::heartbeat(connection, &group.group_id, partitions)?));
        match beat {
            Ok(beat) if beat == partitions.len() => self.recovered(),
            Ok(_) => {
                self.telemetry.fenced();
                self.intake.fenced(turn);
            }
            Err(error) => self.failed(&error),
        }
        let finished: Vec<_> = partitions.iter().map(|(name, stored, _)| (name.clone(), Some(*stored))).collect();
        self.intake.finish(turn, &finished);
    }

    /// Does something with a connection, made anew if the last one broke.
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

    fn recovered(&mut self) {
        if self.failing_since.take().is_some() {
            self.telemetry.working();
        }
    }

    /// Notes a failure; after too long a time of them the session ends.
    fn failed(&mut self, error: &impl std::fmt::Display) {
        self.telemetry.retrying(error);
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            self.intake.end(End::DatabaseAway(error.to_string()));
        }
    }

    /// Waits a little longer each time, unless the batch is not wanted any more.
    fn may_try_again(&mut self, error: &DbError, failures: u32) -> bool {
        self.failed(error);
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(5)).min(LONGEST_PAUSE);
        self.intake.pause(pause)
    }
}
