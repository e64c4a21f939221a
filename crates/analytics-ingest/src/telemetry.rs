//! What ingest tells Prometheus, its probes and its log: each happening in one place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use analytics_core::record::TopicPartition;
use analytics_core::rejection::Reason;
use analytics_db::batch::Written;
use analytics_db::tables::ingest_offsets::Gap;
use analytics_db::transactions;
use analytics_process::probes::Readiness;
use analytics_process::transactions::TransactionSeconds;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::buffer::Buffer;

/// A process whose writers get no answer for longer than this is not ready.
const STUCK: Duration = Duration::from_secs(8);
/// After so long without a failed batch nothing speaks against the next one.
const NO_FAILURE: Duration = Duration::from_secs(30);

/// The counters of one process. Clones share them.
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
    state: Arc<Mutex<State>>,
}

/// What the process is doing, for its readiness.
struct State {
    /// What it waits for, if it cannot work.
    waiting: Option<String>,
    /// How the database failed a writer last, until it works again.
    failing: Option<Failing>,
    /// The session that it is in.
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
                "Rejected records of which no dead letter was kept, because there was no room for more",
            )?,
            batches: IntCounter::new("batches_total", "Batches committed")?,
            batch_records: Histogram::with_opts(
                HistogramOpts::new("batch_records", "Records in a batch")
                    .buckets(vec![1.0, 10.0, 100.0, 1_000.0, 5_000.0, 10_000.0, 20_000.0, 40_000.0]),
            )?,
            commit: Histogram::with_opts(
                HistogramOpts::new("commit_seconds", "How long the transaction of a batch took")
                    .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            )?,
            retries: IntCounter::new("retries_total", "Transactions that failed and were tried again")?,
            fenced: IntCounter::new("fenced_total", "Batches that were dropped because another worker had moved on")?,
            gaps: IntCounter::new("gaps_total", "Stretches of a partition that were gone before they were counted")?,
            gap_records: IntCounter::new("gap_records_total", "Offsets in those stretches")?,
            sessions: IntCounter::new("sessions_total", "How often the consumer group was joined")?,
            assigned: IntGauge::new("assigned_partitions", "Partitions that this worker owns")?,
            buffer_full: IntGauge::new("buffer_full", "1 while fetching waits for writing, which is slower")?,
            lag: IntGaugeVec::new(
                Opts::new("lag_messages", "Messages that are in a partition and not counted"),
                &["topic", "partition"],
            )?,
            state: Arc::new(Mutex::new(State { waiting: Some("starting".into()), failing: None, buffer: Weak::new() })),
            registry,
        };
        for reason in Reason::ALL {
            telemetry.rejected.with_label_values(&[reason.code()]);
        }
        let collectors: [Box<dyn prometheus::core::Collector>; 15] = [
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

    /// A batch was committed.
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
            log::error!(
                "{} dead letters were not kept: all together take DEAD_LETTER_MAX_TOTAL_BYTES already",
                written.overflowed
            );
        }
        self.batches.inc();
        #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^52 records")]
        self.batch_records.observe(records as f64);
        self.commit.observe(took.as_secs_f64());
        log::debug!("committed {records} records in {took:?}: {written:?}");
    }

    /// The database failed a writer, which will try again. Logged when it changes.
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

    /// The database took what a writer gave it. That a heartbeat succeeds says nothing of batches, unless none
    /// has failed for a while: others may count them now.
    pub(crate) fn recovered(&self, attempt: Attempt) {
        let over = |failing: &mut Failing| {
            attempt == Attempt::Batch || failing.attempt == attempt || failing.last.elapsed() > NO_FAILURE
        };
        if let Some(failing) = self.state().failing.take_if(over) {
            log::info!("the database works again, after: {}", failing.why);
        }
    }

    /// A batch was dropped because the stored offset was not where it should be.
    pub(crate) fn fenced(&self) {
        self.fenced.inc();
        log::warn!("another worker owns a partition, or its offset was set: starting from what is stored");
    }

    /// Records were gone before they could be counted.
    pub(crate) fn gap(&self, partition: &TopicPartition, gap: Gap, reason: &str) {
        self.gaps.inc();
        self.gap_records.inc_by(u64::try_from(gap.to.0 - gap.from.0).unwrap_or(0));
        let Gap { from, to, resume_at } = gap;
        log::error!(
            "{partition}: the offsets from {from} to before {to} are gone, going on from {resume_at}: {reason}"
        );
    }

    /// All partitions of a topic start over.
    pub(crate) fn remade(&self, topic: &str, reason: &str) {
        self.gaps.inc();
        log::error!("{topic}: all partitions start over: {reason}");
    }

    /// The group was joined.
    pub(crate) fn session_started(&self, buffer: &Arc<Buffer>) {
        self.sessions.inc();
        self.state().buffer = Arc::downgrade(buffer);
    }

    /// Whether fetching waits for writing.
    pub(crate) fn buffer_full(&self, full: bool) {
        self.buffer_full.set(full.into());
    }

    /// The worker's partitions changed.
    pub(crate) fn assigned(&self, partitions: &[TopicPartition]) {
        self.assigned.set(i64::try_from(partitions.len()).unwrap_or(i64::MAX));
        self.lag.reset();
        self.working();
        let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        log::info!("assigned {} partitions: {}", names.len(), names.join(" "));
    }

    /// The worker gave its partitions up.
    pub(crate) fn revoked(&self) {
        self.assigned.set(0);
        self.lag.reset();
        log::info!("gave its partitions up");
    }

    /// How far behind the partitions are.
    pub(crate) fn lag(&self, partitions: &BTreeMap<TopicPartition, i64>) {
        for (partition, lag) in partitions {
            let labels = [&*partition.topic, &partition.partition.to_string()];
            self.lag.with_label_values(&labels).set(*lag);
        }
    }

    /// The process cannot work until something outside comes back. Logged when it changes.
    pub(crate) fn waiting(&self, why: &str) {
        let mut state = self.state();
        if state.waiting.as_deref() != Some(why) {
            log::warn!("waiting: {why}");
            state.waiting = Some(why.to_owned());
        }
    }

    /// The process does its work.
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
        if let Some(why) = state.waiting.as_ref().or(state.failing.as_ref().map(|failing| &failing.why)) {
            return Err(why.clone());
        }
        match state.buffer.upgrade().map(|buffer| buffer.stuck_for()) {
            Some(stuck) if stuck > STUCK => Err(format!("the database has not answered for {} s", STUCK.as_secs())),
            _ => Ok(()),
        }
    }
}
