//! The buffer of records that were fetched and are not written yet, between the one thread that
//! polls Kafka and the threads that write.
//!
//! The records of a partition stay in order, and at most one writer has records of a partition at a
//! time. Room is bounded: when it is used up, [`Buffer::push`] waits. Any thread can end the
//! session by [`Buffer::end`]; the first reason given is kept.

mod progress;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, Record, TopicPartition};
use analytics_db::batch::Progress;
use analytics_db::batch::Span;
use analytics_db::tables::ingest_topics::Topic;
use analytics_process::shutdown::Shutdown;

use crate::kafka::Begin;
use state::{Partition, State};

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
    /// How long a record waits for others to fill its batch.
    pub(crate) linger: Duration,
    /// How often idle partitions are reported to the database.
    pub(crate) heartbeat: Duration,
    /// How many writers share the partitions.
    pub(crate) writers: usize,
}

/// How often a thread that waits for room checks whether the process has to stop.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How long a revocation waits for writers once no more work is handed out.
const CLOSED_DRAIN: Duration = Duration::from_millis(500);

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The process was asked to stop.
    Shutdown,
    /// The stored offsets are not where this worker believed them to be.
    Fenced,
    /// The database was unavailable for too long to stay in the group.
    DatabaseAway(String),
    /// A failure in Kafka, or a change there, that requires a new session.
    Kafka(String),
}

/// What a writer has to do next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Write these records.
    Batch { work_id: WorkId, spans: Vec<Span>, records: Vec<Record> },
    /// Report the progress of these partitions to the database, and the topics, if those are due.
    Heartbeat { work_id: WorkId, partitions: Vec<(TopicPartition, Offset, Progress)>, topics: Option<Topics> },
    /// Stop: the session is over.
    Stop,
}

/// The topics of the mapping, as the broker reports them.
pub(crate) type Topics = BTreeMap<String, Topic>;

/// Identifies a piece of work and the assignment to which it belongs.
///
/// Work may outlive its assignment: a transaction may hang while its partitions are revoked and
/// assigned again. Its result then says nothing about the partitions of the current assignment, and
/// is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkId {
    generation: u64,
    number: u64,
}

/// What became of a fetched record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It was accepted, or it was dropped because it is not due here.
    Taken,
    /// There was no room for it in time.
    NoRoom,
    /// It is at the offset of the last counted record, but is a different record: the topic was
    /// deleted and recreated.
    AnotherLog { partition: TopicPartition, stored: Offset },
}

#[derive(Debug)]
pub(crate) struct Buffer {
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
}

impl Buffer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Starts a new assignment: partitions with their stored offsets, and partitions that cannot be
    /// read before they reach an offset.
    pub(crate) fn assign(
        &self,
        partitions: HashMap<TopicPartition, Begin>,
        unreadable: HashMap<TopicPartition, Offset>,
    ) {
        let mut state = self.lock();
        state.partitions =
            partitions.into_iter().map(|(partition, begin)| (partition, Partition::from(begin))).collect();
        state.unreadable = unreadable;
        state.generation += 1;
        state.last_heartbeat = None;
    }

    /// Gives up all partitions: drops the records that wait, and waits for the writers to finish,
    /// at most this long. Writes that are still in progress after that are rejected by the fence if
    /// another worker has moved the stored offset.
    pub(crate) fn revoke(&self, at_most: Duration) {
        let mut state = self.lock();
        let deadline = Instant::now() + if state.closed { CLOSED_DRAIN.min(at_most) } else { at_most };
        for partition in state.partitions.values_mut() {
            partition.waiting.clear();
            partition.oldest = None;
        }
        (state.waiting_records, state.waiting_bytes) = (0, 0);
        state.revoking = true;
        self.changed.notify_all();
        while !state.in_hand.is_empty() && Instant::now() < deadline {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.partitions.clear();
        state.unreadable.clear();
        // Work that is still in progress now belongs to an assignment that is over.
        state.generation += 1;
        state.revoking = false;
    }

    /// Adds a fetched record. Waits while there is no room, until `patience` has passed, the
    /// session ends or the process is asked to stop. Drops records of partitions that are not
    /// assigned, and records below the next offset.
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
        // The first record fetched is the one before the stored offset, unless compaction has
        // removed it.
        if let Some(partition) = &partition
            && let Some(last_timestamp) = partition.last_timestamp
            && record.place.offset.next() == partition.next
            && record.place.timestamp != Some(last_timestamp)
        {
            return Pushed::AnotherLog { partition: record.place.partition, stored: partition.next };
        }
        if let Some(partition) = partition.filter(|partition| record.place.offset >= partition.next) {
            partition.last_timestamp = None;
            partition.next = record.place.offset.next();
            partition.oldest.get_or_insert_with(Instant::now);
            *arrived += 1;
            partition.waiting.push_back((*arrived, record));
            *waiting_records += 1;
            *waiting_bytes += size;
            // Writers wait with a timeout; they need a notification only for a full batch, or for
            // the first record after an idle time.
            if *waiting_records == 1 || *waiting_records >= self.limits.batch_records {
                self.changed.notify_all();
            }
        }
        Pushed::Taken
    }

    /// Returns whether the next record has to wait for room, because writing is slower than
    /// fetching.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().is_full(&self.limits)
    }

    /// Notes where a partition ended when the broker was asked.
    pub(crate) fn note_end(&self, partition: &TopicPartition, end: Offset, asked: Instant) {
        if let Some(partition) = self.lock().partitions.get_mut(partition) {
            partition.followed.ended(end, asked);
        }
    }

    /// Notes that everything below an offset was delivered, including offsets without records.
    pub(crate) fn note_delivered(&self, partition: &TopicPartition, to: Offset) {
        if let Some(partition) = self.lock().partitions.get_mut(partition) {
            partition.followed.delivered(to);
        }
    }

    /// Notes which topics exist, and has a change reported with the next heartbeat.
    pub(crate) fn note_topics(&self, topics: Topics) {
        let mut state = self.lock();
        if state.topics != topics {
            (state.topics, state.topics_told) = (topics, None);
            state.last_heartbeat = None;
            self.changed.notify_all();
        }
    }

    /// Returns the assigned partitions, and for those that cannot be read yet the offset that they
    /// have to reach.
    pub(crate) fn partitions(&self) -> Vec<(TopicPartition, Option<Offset>)> {
        let state = self.lock();
        let readable = state.partitions.keys().map(|partition| (partition.clone(), None));
        let unreadable = state.unreadable.iter().map(|(partition, from)| (partition.clone(), Some(*from)));
        readable.chain(unreadable).collect()
    }

    /// Returns how many messages of each partition are not consumed yet, for partitions whose end
    /// is known.
    pub(crate) fn lag(&self) -> BTreeMap<TopicPartition, i64> {
        let state = self.lock();
        let lag = |partition: &Partition| partition.followed.lag(partition.consumed_to());
        state.partitions.iter().filter_map(|(name, partition)| Some((name.clone(), lag(partition)?))).collect()
    }

    /// Returns how long the slowest writer has made no progress; zero if no writer has work.
    pub(crate) fn stuck_for(&self) -> Duration {
        self.lock().in_hand.values().min().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Waits this long, or until the session ends. Returns whether the session still lasts.
    pub(crate) fn goes_on(&self, after: Duration) -> bool {
        let deadline = Instant::now() + after;
        let mut state = self.lock();
        while state.lasts() && Instant::now() < deadline {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.lasts()
    }

    /// Returns the stored offsets of the assigned partitions.
    pub(crate) fn stored(&self) -> BTreeMap<TopicPartition, Offset> {
        self.lock().partitions.iter().map(|(name, partition)| (name.clone(), partition.stored)).collect()
    }

    /// Waits for work and returns it. Batches wait while there is no room for what they add.
    pub(crate) fn take(&self, has_room: impl Fn() -> bool) -> Work {
        let mut state = self.lock();
        loop {
            if !state.lasts() {
                return Work::Stop;
            }
            if let Some(work) = state.heartbeat_due(&self.limits) {
                return work;
            }
            match if has_room() { state.batch(&self.limits) } else { Err(LOOK_UP) } {
                Ok(batch) => {
                    self.changed.notify_all();
                    return batch;
                }
                Err(ready_in) => state = self.wait(state, ready_in),
            }
        }
    }

    /// Notes that a writer makes progress, so that it does not count as stuck.
    pub(crate) fn goes_forward(&self, work_id: WorkId) {
        if let Some(last) = self.lock().in_hand.get_mut(&work_id) {
            *last = Instant::now();
        }
    }

    /// Notes that a part of a batch is stored. The writer keeps the partitions.
    pub(crate) fn advance(&self, work_id: WorkId, spans: &[Span]) {
        let mut state = self.lock();
        if let Some(last) = state.in_hand.get_mut(&work_id) {
            *last = Instant::now();
        }
        if state.generation == work_id.generation {
            for span in spans {
                if let Some(partition) = state.partitions.get_mut(&span.partition) {
                    partition.stored = span.next;
                    let consumed_to = partition.consumed_to();
                    partition.followed.consumed(consumed_to);
                }
            }
        }
    }

    /// Ends a piece of work and releases its partitions: everything that the writer had is stored.
    pub(crate) fn finish(&self, work_id: WorkId, partitions: &[TopicPartition]) {
        let mut state = self.lock();
        state.in_hand.remove(&work_id);
        if state.generation == work_id.generation {
            for name in partitions {
                if let Some(partition) = state.partitions.get_mut(name) {
                    partition.in_work = false;
                }
            }
        }
        self.changed.notify_all();
    }

    /// Ends a piece of work that is not completely stored. Its partitions are not handed out again
    /// in this assignment: their next records must not be counted before the ones that were given
    /// up.
    pub(crate) fn give_up(&self, work_id: WorkId) {
        self.lock().in_hand.remove(&work_id);
        self.changed.notify_all();
    }

    /// Has all waiting records written, for at most this long. Returns whether nothing is left.
    pub(crate) fn drain(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut state = self.lock();
        state.draining = true;
        self.changed.notify_all();
        while (!state.in_hand.is_empty() || state.waiting_records > 0)
            && matches!(state.end, None | Some(End::Shutdown))
            && Instant::now() < deadline
        {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.in_hand.is_empty() && state.waiting_records == 0
    }

    /// Pauses a writer before it tries again. Returns whether its batch is still wanted, which is
    /// not the case once its partitions are revoked or the session is over.
    pub(crate) fn pause(&self, work_id: WorkId, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut state = self.lock();
        while state.wants(work_id) && Instant::now() < deadline {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.wants(work_id)
    }

    /// Ends the session; the first reason is kept.
    pub(crate) fn end(&self, why: End) {
        self.lock().end.get_or_insert(why);
        self.changed.notify_all();
    }

    /// Ends the session because work was fenced. Ignored if the work belongs to an older
    /// assignment.
    pub(crate) fn fenced(&self, work_id: WorkId) {
        let mut state = self.lock();
        if state.generation == work_id.generation {
            state.end.get_or_insert(End::Fenced);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Returns why the session has to end, if it has to.
    pub(crate) fn ended(&self) -> Option<End> {
        self.lock().end.clone()
    }

    /// Hands out no more work.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
