//! What was fetched and is not written yet: between the one thread that polls Kafka and the
//! threads that write.
//!
//! Each partition's records stay in order and are in the hands of at most one writer. Room is
//! bounded: when it is used up, [`Buffer::push`] waits. A session of group membership ends by
//! [`Buffer::end`], with the first reason that anyone gives.

mod progress;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, Record, TopicPartition};
use analytics_db::batch::Progress;
use analytics_db::batch::Span;
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
    /// How long a record waits for company.
    pub(crate) linger: Duration,
    /// How often idle partitions are reported to the database.
    pub(crate) heartbeat: Duration,
    /// Among how many writers the partitions are shared.
    pub(crate) writers: usize,
}

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
    Batch { work_id: WorkId, spans: Vec<Span>, records: Vec<Record> },
    /// Tell the database how these partitions are doing, and which topics there are, if that is to be
    /// told.
    Heartbeat { work_id: WorkId, partitions: Vec<(TopicPartition, Offset, Progress)>, topics: Option<Topics> },
    /// Nothing any more.
    Stop,
}

/// The topics of the mapping, each with the number of its partitions; 0 where it does not exist.
pub(crate) type Topics = BTreeMap<String, i32>;

/// Some work, and which assignment it belongs to. Work may outlive its assignment: a transaction that
/// hangs while the partitions are given away and given back. What comes of it then says nothing
/// about the partitions as they were given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkId {
    generation: u64,
    number: u64,
}

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

    /// Takes partitions over, each from its stored offset; and those that cannot be read before they reach
    /// some offset.
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

    /// Gives all partitions up: drops what waits and waits for what is being written, at most
    /// this long. What is not finished by then is fenced by the database.
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
        // Who is not finished by now has the work of an assignment that is over.
        state.generation += 1;
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

    /// Notes where a partition ended when the broker was asked.
    pub(crate) fn note_end(&self, partition: &TopicPartition, end: Offset, asked: Instant) {
        if let Some(partition) = self.lock().partitions.get_mut(partition) {
            partition.followed.ended(end, asked);
        }
    }

    /// Notes that everything below an offset was delivered, records or not.
    pub(crate) fn note_delivered(&self, partition: &TopicPartition, to: Offset) {
        if let Some(partition) = self.lock().partitions.get_mut(partition) {
            partition.followed.delivered(to);
        }
    }

    /// Notes which topics there are.
    pub(crate) fn note_topics(&self, topics: Topics) {
        let mut state = self.lock();
        if state.topics != topics {
            (state.topics, state.topics_told) = (topics, None);
            // The next heartbeat tells.
            state.last_heartbeat = None;
            self.changed.notify_all();
        }
    }

    /// The partitions that are ours, and for those that cannot be read yet the offset that they have to
    /// reach.
    pub(crate) fn partitions(&self) -> Vec<(TopicPartition, Option<Offset>)> {
        let state = self.lock();
        let readable = state.partitions.keys().map(|partition| (partition.clone(), None));
        let unreadable = state.unreadable.iter().map(|(partition, from)| (partition.clone(), Some(*from)));
        readable.chain(unreadable).collect()
    }

    /// How many messages of each partition are not consumed yet, as far as its end is known.
    pub(crate) fn lag(&self) -> BTreeMap<TopicPartition, i64> {
        let state = self.lock();
        let lag = |partition: &Partition| partition.followed.lag(partition.consumed_to());
        state.partitions.iter().filter_map(|(name, partition)| Some((name.clone(), lag(partition)?))).collect()
    }

    /// Since when nothing came of what some writer has in hand, if that is so of any.
    pub(crate) fn stuck_for(&self) -> Duration {
        self.lock().in_hand.values().min().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Waits this long; tells whether the session still lasts.
    pub(crate) fn goes_on(&self, after: Duration) -> bool {
        let deadline = Instant::now() + after;
        let mut state = self.lock();
        while state.lasts() && Instant::now() < deadline {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.lasts()
    }

    /// The stored offsets of the partitions that are ours.
    pub(crate) fn stored(&self) -> BTreeMap<TopicPartition, Offset> {
        self.lock().partitions.iter().map(|(name, partition)| (name.clone(), partition.stored)).collect()
    }

    /// Waits for work.
    pub(crate) fn take(&self) -> Work {
        let mut state = self.lock();
        loop {
            if !state.lasts() {
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

    /// Something came of the work: a writer that says so is not stuck.
    pub(crate) fn goes_forward(&self, work_id: WorkId) {
        if let Some(last) = self.lock().in_hand.get_mut(&work_id) {
            *last = Instant::now();
        }
    }

    /// Some of a batch is stored. Its partitions stay in the writer's hands.
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

    /// Takes partitions back of which everything is stored that a writer was given.
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

    /// A writer gives up what it has not stored. Those partitions stay out of work until they are assigned
    /// anew: their next records must not be counted before the ones that were given up.
    pub(crate) fn give_up(&self, work_id: WorkId) {
        self.lock().in_hand.remove(&work_id);
        self.changed.notify_all();
    }

    /// Has everything that waits written, at most this long; tells whether nothing is left.
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

    /// Lets a writer wait before it tries again; tells whether its batch is still wanted: not once its
    /// partitions were given up.
    pub(crate) fn pause(&self, work_id: WorkId, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut state = self.lock();
        while state.wants(work_id) && Instant::now() < deadline {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.wants(work_id)
    }

    /// Ends the session; the first reason stands.
    pub(crate) fn end(&self, why: End) {
        self.lock().end.get_or_insert(why);
        self.changed.notify_all();
    }

    /// Ends the session of a worker that was fenced; but not for work of an assignment that is over
    /// anyway.
    pub(crate) fn fenced(&self, work_id: WorkId) {
        let mut state = self.lock();
        if state.generation == work_id.generation {
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

#[cfg(test)]
mod tests;
