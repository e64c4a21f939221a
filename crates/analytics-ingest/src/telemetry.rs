//! What ingest reports to Prometheus, its probes and its log: one method for each occurrence.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use analytics_core::record::TopicPartition;
use analytics_core::rejection::Reason;
use analytics_db::batch::Written;
use analytics_db::tables::ingest_offsets::Gap;
use analytics_db::transactions;
use analytics_db::transactions::fold::Backlog;
use analytics_process::probes::Readiness;
use analytics_process::transactions::TransactionSeconds;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::buffer::Buffer;

/// A process with a writer that has made no progress for longer than this is not ready.
const STUCK: Duration = Duration::from_secs(8);
/// After this long without a failed batch, the next one is assumed to succeed.
const NO_FAILURE: Duration = Duration::from_secs(30);

/// The metrics and the readiness of one process. Clones share them.
#[derive(Clone)]
pub(crate) struct Telemetry {
    pub(crate) registry: Registry,
    events: IntCounterVec,
    duplicates: IntCounter,
    rejected: IntCounterVec,
    overflowed: IntCounter,
    batches: IntCounter,
    batch_records: Histogram,
    commit: Histogram,
    retries: IntCounter,
    fenced: IntCounter,
    gaps: IntCounter,
    gap_records: IntCounter,
    sessions: IntCounter,
    assigned: IntGauge,
    buffer_full: IntGauge,
    lag: IntGaugeVec,
    folds: IntCounter,
    waiting_records: IntGauge,
    waiting_seconds: Gauge,
    state: Arc<Mutex<State>>,
}

/// The state from which readiness is derived.
struct State {
    /// What the process waits for, if it cannot work.
    waiting: Option<String>,
    /// The last failure of the database, until it works again.
    failing: Option<Failing>,
    /// Why what is logged cannot be counted, until it can.
    fold_failing: Option<String>,
    /// The buffer of the current session.
    buffer: Weak<Buffer>,
}

/// A failure of the database, over all sessions of the process.
struct Failing {
    why: String,
    last: Instant,
    attempt: Attempt,
}

/// What a writer attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Batch,
    Heartbeat,
}

impl Telemetry {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("analytics_ingest".into()), None)?;
        let telemetry = Self {
            events: IntCounterVec::new(Opts::new("events_total", "Events counted"), &["type"])?,
            duplicates: IntCounter::new("duplicates_total", "Records that repeated an event and were ignored")?,
            rejected: IntCounterVec::new(Opts::new("rejected_total", "Records that became dead letters"), &["reason"])?,
            overflowed: IntCounter::new(
                "dead_letters_not_kept_total",
                "Rejected records that were not kept as dead letters, because there was no room for more",
            )?,
            batches: IntCounter::new("batches_total", "Batches committed")?,
            batch_records: Histogram::with_opts(
                HistogramOpts::new("batch_records", "Records in a batch")
                    .buckets(vec![1.0, 10.0, 100.0, 1_000.0, 5_000.0, 10_000.0, 20_000.0, 40_000.0]),
            )?,
            commit: Histogram::with_opts(
                HistogramOpts::new("commit_seconds", "How long the transaction of a batch took, in seconds")
                    .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            )?,
            retries: IntCounter::new("retries_total", "Transactions that failed and were tried again")?,
            fenced: IntCounter::new(
                "fenced_total",
                "Batches that were dropped because the stored offset had been moved",
            )?,
            gaps: IntCounter::new("gaps_total", "Gaps: ranges of offsets that were gone before they were counted")?,
            gap_records: IntCounter::new("gap_records_total", "Offsets in those gaps")?,
            sessions: IntCounter::new("sessions_total", "How often the consumer group was joined")?,
            assigned: IntGauge::new("assigned_partitions", "Partitions that this worker owns")?,
            buffer_full: IntGauge::new("buffer_full", "1 while fetching waits because writing is slower, otherwise 0")?,
            lag: IntGaugeVec::new(
                Opts::new("lag_messages", "Messages in a partition that are not logged yet"),
                &["topic", "partition"],
            )?,
            folds: IntCounter::new("folds_total", "How often this process counted logged batches")?,
            waiting_records: IntGauge::new("waiting_records", "Records that are logged and not counted yet")?,
            waiting_seconds: Gauge::new("waiting_seconds", "How long the first of these records has waited")?,
            state: Arc::new(Mutex::new(State {
                waiting: Some("starting".into()),
                failing: None,
                fold_failing: None,
                buffer: Weak::new(),
            })),
            registry,
        };
        for reason in Reason::ALL {
            telemetry.rejected.with_label_values(&[reason.code()]);
        }
        let collectors: [Box<dyn prometheus::core::Collector>; 18] = [
            Box::new(telemetry.events.clone()),
            Box::new(telemetry.duplicates.clone()),
            Box::new(telemetry.rejected.clone()),
            Box::new(telemetry.overflowed.clone()),
            Box::new(telemetry.batches.clone()),
            Box::new(telemetry.batch_records.clone()),
            Box::new(telemetry.commit.clone()),
            Box::new(telemetry.retries.clone()),
            Box::new(telemetry.fenced.clone()),
            Box::new(telemetry.gaps.clone()),
            Box::new(telemetry.gap_records.clone()),
            Box::new(telemetry.sessions.clone()),
            Box::new(telemetry.assigned.clone()),
            Box::new(telemetry.buffer_full.clone()),
            Box::new(telemetry.lag.clone()),
            Box::new(telemetry.folds.clone()),
            Box::new(telemetry.waiting_records.clone()),
            Box::new(telemetry.waiting_seconds.clone()),
        ];
        for collector in collectors {
            telemetry.registry.register(collector)?;
        }
        let seconds = TransactionSeconds::register(&telemetry.registry, "transaction_seconds")?;
        transactions::observe(move |over| seconds.observe(over.name, over.outcome.name(), over.took));
        let process = prometheus::process_collector::ProcessCollector::for_self();
        telemetry.registry.register(Box::new(process))?;
        Ok(telemetry)
    }

    /// Reports a committed batch.
    pub(crate) fn committed(&self, records: usize, written: &Written, took: Duration) {
        for (event_type, events) in &written.events {
            self.events.with_label_values(&[event_type]).inc_by(*events);
        }
        self.duplicates.inc_by(written.duplicates);
        for (reason, records) in &written.rejected {
            self.rejected.with_label_values(&[reason.code()]).inc_by(*records);
        }
        if written.overflowed > 0 {
            self.overflowed.inc_by(written.overflowed);
            log::error!("{} dead letters were not kept: DEAD_LETTER_MAX_TOTAL_BYTES is used up", written.overflowed);
        }
        self.batches.inc();
        #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^52 records")]
        self.batch_records.observe(records as f64);
        self.commit.observe(took.as_secs_f64());
        log::debug!("committed {records} records in {took:?}: {written:?}");
    }

    /// Reports a failure of the database after which a writer tries again. Logged if the reason is
    /// new.
    pub(crate) fn retrying(&self, attempt: Attempt, level: log::Level, why: String) {
        self.retries.inc();
        let mut state = self.state();
        if state.failing.as_ref().is_none_or(|failing| failing.why != why) {
            log::log!(level, "the database failed, trying again: {why}");
        }
        let of_batch = state.failing.as_ref().is_some_and(|failing| failing.attempt == Attempt::Batch);
        let attempt = if of_batch { Attempt::Batch } else { attempt };
        state.failing = Some(Failing { why, last: Instant::now(), attempt });
    }

    /// Reports a successful write. A successful heartbeat does not end the failure of a batch,
    /// unless none has failed for [`NO_FAILURE`]: other workers may have the failed records by
    /// then.
    pub(crate) fn recovered(&self, attempt: Attempt) {
        let over = |failing: &mut Failing| {
            attempt == Attempt::Batch || failing.attempt == attempt || failing.last.elapsed() > NO_FAILURE
        };
        if let Some(failing) = self.state().failing.take_if(over) {
            log::info!("the database works again, after: {}", failing.why);
        }
    }

    /// Reports what is logged and not counted.
    pub(crate) fn waiting_to_be_counted(&self, backlog: Backlog) {
        self.waiting_records.set(backlog.records);
        self.waiting_seconds.set(backlog.oldest.as_secs_f64());
    }

    /// Reports that batches were counted, or that none waited.
    pub(crate) fn folded(&self, batches: usize, records: i64) {
        if batches > 0 {
            self.folds.inc();
            log::debug!("counted {batches} batches of {records} records");
        }
        if let Some(why) = self.state().fold_failing.take() {
            log::info!("counting works again, after: {why}");
        }
    }

    /// Reports that what is logged could not be counted. Logged if the reason is new.
    pub(crate) fn fold_failed(&self, why: &str) {
        self.retries.inc();
        let mut state = self.state();
        if state.fold_failing.as_deref() != Some(why) {
            log::warn!("counting failed, trying again: {why}");
            state.fold_failing = Some(why.to_owned());
        }
    }

    /// Reports that work was fenced: a stored offset was not where the writer expected it.
    pub(crate) fn fenced(&self) {
        self.fenced.inc();
        log::warn!("fenced: another worker owns a partition, or its offset was set; starting from the stored offsets");
    }

    /// Reports a gap: records that were gone before they could be counted.
    pub(crate) fn gap(&self, partition: &TopicPartition, gap: Gap, reason: &str) {
        self.gaps.inc();
        self.gap_records.inc_by(u64::try_from(gap.to.0 - gap.from.0).unwrap_or(0));
        let Gap { from, to, resume_at } = gap;
        log::error!("{partition}: gap from offset {from} to {to} (exclusive), continuing at {resume_at}: {reason}");
    }

    /// Reports that all partitions of a topic start over, because it was recreated.
    pub(crate) fn remade(&self, topic: &str, reason: &str) {
        self.gaps.inc();
        log::error!("{topic}: all partitions start over: {reason}");
    }

    /// Reports a new session.
    pub(crate) fn session_started(&self, buffer: &Arc<Buffer>) {
        self.sessions.inc();
        self.state().buffer = Arc::downgrade(buffer);
    }

    /// Reports whether fetching waits for writing.
    pub(crate) fn buffer_full(&self, full: bool) {
        self.buffer_full.set(full.into());
    }

    /// Reports a new assignment.
    pub(crate) fn assigned(&self, partitions: &[TopicPartition]) {
        self.assigned.set(i64::try_from(partitions.len()).unwrap_or(i64::MAX));
        self.lag.reset();
        self.working();
        let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        log::info!("assigned {} partitions: {}", names.len(), names.join(" "));
    }

    /// Reports that the worker gave up its partitions.
    pub(crate) fn revoked(&self) {
        self.assigned.set(0);
        self.lag.reset();
        log::info!("gave up all partitions");
    }

    /// Reports how many messages of each partition are not counted yet.
    pub(crate) fn lag(&self, partitions: &BTreeMap<TopicPartition, i64>) {
        for (partition, lag) in partitions {
            let labels = [&*partition.topic, &partition.partition.to_string()];
            self.lag.with_label_values(&labels).set(*lag);
        }
    }

    /// Reports that the process cannot work until an external service is available. Logged if the
    /// reason is new.
    pub(crate) fn waiting(&self, why: &str) {
        let mut state = self.state();
        if state.waiting.as_deref() != Some(why) {
            log::warn!("waiting: {why}");
            state.waiting = Some(why.to_owned());
        }
    }

    /// Reports that the process works.
    pub(crate) fn working(&self) {
        self.state().waiting = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readiness for Telemetry {
    fn ready(&self) -> Result<(), String> {
        let state = self.state();
        let failing = state.failing.as_ref().map(|failing| &failing.why);
        if let Some(why) = state.waiting.as_ref().or(failing).or(state.fold_failing.as_ref()) {
            return Err(why.clone());
        }
        match state.buffer.upgrade().map(|buffer| buffer.stuck_for()) {
            Some(stuck) if stuck > STUCK => {
                Err(format!("a writer has made no progress for more than {} s", STUCK.as_secs()))
            }
            _ => Ok(()),
        }
    }
}
