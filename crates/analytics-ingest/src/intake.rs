//! What was fetched and is not written yet: between the one thread that polls Kafka and the
//! threads that write.
//!
//! Each partition's records stay in order and are in the hands of at most one writer. Room is
//! bounded: when it is used up, [`Intake::push`] waits. A session of group membership ends by
//! [`Intake::end`], with the first reason that anyone gives.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, Record, TopicPartition};
use analytics_db::write::Span;
use analytics_process::shutdown::Shutdown;

use crate::kafka::Begin;

/// How batches are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most records in a batch.
    pub(crate) batch_records: usize,
    /// The most bytes that a batch takes, by [`Record::footprint`].
    pub(crate) batch_bytes: usize,
    /// The most bytes that wait outside batches, by [`Record::footprint`].
    pub(crate) waiting_bytes: usize,
    /// The most records that wait outside batches.
    pub(crate) waiting_records: usize,
    /// How long a record waits for company.
    pub(crate) linger: Duration,
    /// How often idle partitions are reported to the database.
    pub(crate) heartbeat: Duration,
    /// Among how many writers the partitions are shared.
    pub(crate) writers: usize,
}

/// Below this many waiting records one writer takes all: two small transactions cost more than one.
const TOO_FEW_TO_SHARE: usize = 2_000;

/// How often whoever waits for room looks whether the process is to stop.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How long partitions are held back once no more work is handed out.
const CLOSED_DRAIN: Duration = Duration::from_millis(500);

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The process was asked to stop.
    Shutdown,
    /// The stored offsets are not where this worker believed them to be.
    Fenced,
    /// The database was away for too long to stay in the group.
    DatabaseAway(String),
    /// The broker refused something that only a new session can mend.
    Kafka(String),
}

/// What a writer is to do next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Write these records.
    Batch { turn: Turn, spans: Vec<Span>, records: Vec<Record> },
    /// Tell the database that these partitions stand where they stood.
    Heartbeat { turn: Turn, partitions: Vec<(TopicPartition, Offset, Option<Offset>)> },
    /// Nothing any more.
    Stop,
}

/// Which assignment some work belongs to. Work may outlive its assignment: a transaction that
/// hangs while the partitions are given away and given back. What comes of it then says nothing
/// about the partitions as they were given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turn(u64);

/// What became of a fetched record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It was taken, or it was none of ours.
    Taken,
    /// There was no room for it in time.
    NoRoom,
    /// It stands where the last counted record should, and is another one: the topic was deleted
    /// and made again.
    AnotherLog { partition: TopicPartition, stored: Offset },
}

#[derive(Debug)]
struct Partition {
    /// The offset that the database has.
    stored: Offset,
    /// The offset after the last record that was pushed.
    next: Offset,
    /// The timestamp that the record before `stored` must have, until it was looked at.
    witness: Option<i64>,
    /// Records with the order of their arrival.
    waiting: VecDeque<(u64, Record)>,
    oldest: Option<Instant>,
    in_work: bool,
    high_watermark: Option<Offset>,
}

#[derive(Debug, Default)]
struct State {
    partitions: HashMap<TopicPartition, Partition>,
    arrived: u64,
    turn: Turn,
    waiting_records: usize,
    waiting_bytes: usize,
    in_work: usize,
    last_heartbeat: Option<Instant>,
    /// The partitions are being given up.
    revoking: bool,
    /// Everything that waits is to be written at once.
    draining: bool,
    /// No further work is handed out.
    closed: bool,
    end: Option<End>,
}

#[derive(Debug)]
pub(crate) struct Intake {
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
}

impl Intake {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes partitions over, each from its stored offset.
    pub(crate) fn assign(&self, partitions: HashMap<TopicPartition, Begin>) {
        let mut state = self.lock();
        state.partitions = partitions
            .into_iter()
            .map(|(partition, Begin { stored, witness })| {
                let fresh = Partition {
                    stored,
                    next: stored,
                    witness,
                    waiting: VecDeque::new(),
                    oldest: None,
                    in_work: false,
                    high_watermark: None,
                };
                (partition, fresh)
            })
            .collect();
        state.turn.0 += 1;
        state.last_heartbeat = None;
    }

    /// Gives all partitions up: drops what waits and waits for what is being written, at most
    /// this long. What is not finished by then is fenced by the database.
    pub(crate) fn revoke(&self, at_most: Duration) {
        let mut state = self.lock();
        let deadline = Instant::now() + if state.closed { CLOSED_DRAIN.min(at_most) } else { at_most };
        for partition in state.partitions.values_mut() {
            partition.waiting.clear();
        }
        (state.waiting_records, state.waiting_bytes) = (0, 0);
        state.revoking = true;
        self.changed.notify_all();
        while state.in_work > 0 && Instant::now() < deadline {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.partitions.clear();
        state.revoking = false;
    }

    /// Takes a fetched record in. Waits while there is no room, until `patience` runs out, the
    /// session ends or the process is asked to stop. Records of partitions that are not ours, or
    /// below the offset that is due, are dropped.
    pub(crate) fn push(&self, record: Record, patience: Duration, shutdown: &Shutdown) -> Pushed {
        let size = record.footprint();
        let mut state = self.lock();
        let mut deadline = None;
        while state.is_full(&self.limits) {
            let now = Instant::now();
            if state.end.is_some() || shutdown.requested() || now >= *deadline.get_or_insert(now + patience) {
                return Pushed::NoRoom;
            }
            state = self.wait(state, LOOK_UP);
        }
        let State { partitions, waiting_records, waiting_bytes, arrived, .. } = &mut *state;
        let partition = partitions.get_mut(&record.place.partition);
        // The first record that comes is the one before the stored offset, unless it was compacted
        // away.
        if let Some(partition) = &partition
            && let Some(witness) = partition.witness
            && record.place.offset.next() == partition.next
            && record.place.timestamp != Some(witness)
        {
            return Pushed::AnotherLog { partition: record.place.partition, stored: partition.next };
        }
        if let Some(partition) = partition.filter(|partition| record.place.offset >= partition.next) {
            partition.witness = None;
            partition.next = record.place.offset.next();
            partition.oldest.get_or_insert_with(Instant::now);
            *arrived += 1;
            partition.waiting.push_back((*arrived, record));
            *waiting_records += 1;
            *waiting_bytes += size;
            // Writers look at the clock themselves; they only need waking for a full batch or
            // for the first record after a quiet time.
            if *waiting_records == 1 || *waiting_records >= self.limits.batch_records {
                self.changed.notify_all();
            }
        }
        Pushed::Taken
    }

    /// Whether the next record has to wait for room: writing is slower than fetching.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().is_full(&self.limits)
    }

    /// Notes where partitions end, as the client's statistics say.
    pub(crate) fn note_ends(&self, ends: &HashMap<TopicPartition, Offset>) {
        let mut state = self.lock();
        for (partition, end) in ends {
            if let Some(partition) = state.partitions.get_mut(partition) {
                partition.high_watermark = Some(*end);
            }
        }
    }

    /// How many messages of each partition are not counted yet, as far as its end is known.
    pub(crate) fn lag(&self) -> BTreeMap<TopicPartition, i64> {
        let state = self.lock();
        let lag = |partition: &Partition| Some((partition.high_watermark?.0 - partition.stored.0).max(0));
        state.partitions.iter().filter_map(|(name, partition)| Some((name.clone(), lag(partition)?))).collect()
    }

    /// The stored offsets of the partitions that are ours.
    pub(crate) fn stored(&self) -> BTreeMap<TopicPartition, Offset> {
        self.lock().partitions.iter().map(|(name, partition)| (name.clone(), partition.stored)).collect()
    }

    /// Waits for work.
    pub(crate) fn take(&self) -> Work {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Work::Stop;
            }
            if let Some(work) = state.heartbeat_due(&self.limits) {
                return work;
            }
            match state.batch(&self.limits) {
                Ok(batch) => {
                    self.changed.notify_all();
                    return batch;
                }
                Err(ready_in) => state = self.wait(state, ready_in),
            }
        }
    }

    /// Takes back what a writer was given: the offsets that are stored now, or `None` where
    /// nothing was written (the session then ends).
    pub(crate) fn finish(&self, turn: Turn, partitions: &[(TopicPartition, Option<Offset>)]) {
        let mut state = self.lock();
        let current = if state.turn == turn { partitions } else { &[] };
        for (name, stored) in current {
            if let Some(partition) = state.partitions.get_mut(name) {
                partition.in_work = false;
                partition.stored = stored.unwrap_or(partition.stored);
            }
        }
        state.in_work = state.in_work.saturating_sub(1);
        self.changed.notify_all();
    }

    /// Has everything that waits written, at most this long; tells whether nothing is left.
    pub(crate) fn drain(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut state = self.lock();
        state.draining = true;
        self.changed.notify_all();
        while (state.in_work > 0 || state.waiting_records > 0)
            && matches!(state.end, None | Some(End::Shutdown))
            && Instant::now() < deadline
        {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.in_work == 0 && state.waiting_records == 0
    }

    /// Lets a writer wait before it tries again; tells whether its batch is still wanted.
    pub(crate) fn pause(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut state = self.lock();
        while state.wants_batches() && Instant::now() < deadline {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.wants_batches()
    }

    /// Ends the session; the first reason stands.
    pub(crate) fn end(&self, why: End) {
        self.lock().end.get_or_insert(why);
        self.changed.notify_all();
    }

    /// Ends the session of a worker that was fenced; but not for work of an assignment that is over
    /// anyway.
    pub(crate) fn fenced(&self, turn: Turn) {
        let mut state = self.lock();
        if state.turn == turn {
            state.end.get_or_insert(End::Fenced);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Why the session is to end, if it is.
    pub(crate) fn ended(&self) -> Option<End> {
        self.lock().end.clone()
    }

    /// Hands out no more work.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

impl State {
    fn is_full(&self, limits: &Limits) -> bool {
        self.waiting_records >= limits.waiting_records || self.waiting_bytes >= limits.waiting_bytes
    }

    /// Whether what writers have in hand can still be of use.
    fn wants_batches(&self) -> bool {
        !self.closed && !self.revoking && matches!(self.end, None | Some(End::Shutdown))
    }

    /// Cuts a batch, or says how long it is until one may be due.
    fn batch(&mut self, limits: &Limits) -> Result<Work, Duration> {
        let now = Instant::now();
        let mut due: Vec<(&TopicPartition, usize, Instant)> = self
            .partitions
            .iter()
            .filter(|(_, partition)| !partition.in_work)
            .filter_map(|(name, partition)| Some((name, partition.waiting.len(), partition.oldest?)))
            .collect();
        let Some(oldest) = due.iter().map(|(.., oldest)| *oldest).min() else { return Err(limits.heartbeat) };
        let records: usize = due.iter().map(|(_, records, _)| records).sum();
        let full = records >= limits.batch_records || self.waiting_bytes >= limits.batch_bytes;
        let ripe_at = oldest + limits.linger;
        if !full && !self.draining && now < ripe_at {
            return Err(ripe_at - now);
        }
        // Every other partition by size goes to this writer, the rest is for the next one.
        due.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let busy_writers = self.in_work + 1;
        let stride = if records < TOO_FEW_TO_SHARE || busy_writers >= limits.writers { 1 } else { limits.writers };
        let chosen: Vec<TopicPartition> = due.iter().step_by(stride).map(|(name, ..)| (*name).clone()).collect();
        Ok(self.cut(&chosen, limits))
    }

    /// Takes records of these partitions, as many as a batch holds, at least one of each turn.
    fn cut(&mut self, chosen: &[TopicPartition], limits: &Limits) -> Work {
        let share = limits.batch_records.div_ceil(chosen.len().max(1));
        let (mut spans, mut records) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        for name in chosen {
            let Some(partition) = self.partitions.get_mut(name) else { continue };
            let before = records.len();
            while records.len() - before < share && bytes < limits.batch_bytes {
                let Some((arrival, record)) = partition.waiting.pop_front() else { break };
                bytes += record.footprint();
                records.push((arrival, record));
            }
            let Some((_, last)) = records.get(before..).and_then(<[(u64, Record)]>::last) else { continue };
            spans.push(Span {
                partition: name.clone(),
                expected: partition.stored,
                next: last.place.offset.next(),
                last_timestamp: last.place.timestamp,
                high_watermark: partition.high_watermark,
            });
            partition.in_work = true;
            partition.oldest = if partition.waiting.is_empty() { None } else { partition.oldest };
            // Each partition would keep room for all that ever waits, one after the other.
            partition.waiting.shrink_to_fit();
        }
        self.waiting_records = self.waiting_records.saturating_sub(records.len());
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        self.in_work += 1;
        // What arrived earlier is counted earlier, across partitions too: it may teach a vendor.
        records.sort_unstable_by_key(|(arrival, _)| *arrival);
        Work::Batch { turn: self.turn, spans, records: records.into_iter().map(|(_, record)| record).collect() }
    }

    /// The partitions that nobody is writing, if it is time to report them.
    fn heartbeat_due(&mut self, limits: &Limits) -> Option<Work> {
        let due = self.last_heartbeat.is_none_or(|last| last.elapsed() >= limits.heartbeat);
        if !due || self.partitions.is_empty() || self.end.is_some() || self.draining {
            return None;
        }
        let mut idle = Vec::new();
        for (name, partition) in self.partitions.iter_mut().filter(|(_, partition)| !partition.in_work) {
            partition.in_work = true;
            idle.push((name.clone(), partition.stored, partition.high_watermark));
        }
        self.last_heartbeat = Some(Instant::now());
        self.in_work += usize::from(!idle.is_empty());
        (!idle.is_empty()).then_some(Work::Heartbeat { turn: self.turn, partitions: idle })
    }
}

#[cfg(test)]
mod tests;
