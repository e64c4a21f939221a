//! The state of the buffer: the records that wait, and how batches are cut from them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, Record, TopicPartition};
use analytics_db::batch::Span;

use super::progress::Followed;
use super::{End, Limits, Topics, Work, WorkId};
use crate::kafka::Begin;

/// Below this many waiting records, one writer gets all of them: two small transactions cost more
/// than one.
const TOO_FEW_TO_SHARE: usize = 2_000;
/// How often the topics are reported to the database if they do not change.
const TELL_TOPICS: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Partition {
    /// The stored offset.
    pub(super) stored: Offset,
    /// The offset after the last record that was pushed.
    pub(super) next: Offset,
    /// The timestamp that the record before `stored` must have; `None` if it is unknown, or once
    /// a later record was accepted.
    pub(super) last_timestamp: Option<i64>,
    /// Waiting records, each with its position in the order of arrival over all partitions.
    pub(super) waiting: VecDeque<(u64, Record)>,
    /// Since when the oldest record may have been waiting; `None` if no record waits.
    pub(super) oldest: Option<Instant>,
    /// Whether a writer has this partition.
    pub(super) in_work: bool,
    pub(super) followed: Followed,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) partitions: HashMap<TopicPartition, Partition>,
    /// Assigned partitions that cannot be read before they reach this offset.
    pub(super) unreadable: HashMap<TopicPartition, Offset>,
    /// How many records have arrived.
    pub(super) arrived: u64,
    /// The number of the current assignment.
    pub(super) generation: u64,
    /// The work that writers have, and when each last made progress.
    pub(super) in_hand: BTreeMap<WorkId, Instant>,
    /// How many pieces of work have been handed out.
    pub(super) handed_out: u64,
    pub(super) waiting_records: usize,
    pub(super) waiting_bytes: usize,
    pub(super) last_heartbeat: Option<Instant>,
    pub(super) topics: Topics,
    /// When the topics were last reported; `None` if they have changed since.
    pub(super) topics_told: Option<Instant>,
    /// Whether the partitions are being revoked.
    pub(super) revoking: bool,
    /// Whether all waiting records have to be written without delay.
    pub(super) draining: bool,
    /// Whether no further work is handed out.
    pub(super) closed: bool,
    pub(super) end: Option<End>,
}

impl State {
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.waiting_records >= limits.waiting_records || self.waiting_bytes >= limits.waiting_bytes
    }

    /// Returns whether the session continues, or is being shut down and still writes.
    pub(super) fn lasts(&self) -> bool {
        !self.closed && matches!(self.end, None | Some(End::Shutdown))
    }

    /// Returns whether a writer should still try to store this work.
    pub(super) fn wants(&self, work_id: WorkId) -> bool {
        self.lasts() && !self.revoking && self.generation == work_id.generation
    }

    /// Registers a piece of work that is handed out, and returns its id.
    fn hand_out(&mut self) -> WorkId {
        self.handed_out += 1;
        let work_id = WorkId { generation: self.generation, number: self.handed_out };
        self.in_hand.insert(work_id, Instant::now());
        work_id
    }

    /// Cuts a batch, or returns how long to wait until one may be due.
    pub(super) fn batch(&mut self, limits: &Limits) -> Result<Work, Duration> {
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
        // With n writers, every n-th partition by size goes to this one, the rest to the next ones.
        due.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let busy_writers = self.in_hand.len() + 1;
        let stride = if records < TOO_FEW_TO_SHARE || busy_writers >= limits.writers { 1 } else { limits.writers };
        let chosen: Vec<TopicPartition> = due.iter().step_by(stride).map(|(name, ..)| (*name).clone()).collect();
        Ok(self.cut(&chosen, limits))
    }

    /// Cuts a batch from these partitions: for each an equal share of the records, until the batch
    /// has its limit of bytes.
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
            let next = last.place.offset.next();
            let consumed_to = if partition.waiting.is_empty() { partition.followed.consumed_after(next) } else { next };
            spans.push(Span {
                partition: name.clone(),
                expected: partition.stored,
                next,
                last_timestamp: last.place.timestamp,
                progress: partition.followed.progress(consumed_to),
            });
            partition.in_work = true;
            partition.oldest = if partition.waiting.is_empty() { None } else { partition.oldest };
            // Otherwise each partition would keep the memory of its largest backlog.
            partition.waiting.shrink_to_fit();
        }
        self.waiting_records = self.waiting_records.saturating_sub(records.len());
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        // Records are counted in the order of their arrival, across partitions, too: an earlier one
        // may tell to which vendor a product of a later one belongs.
        records.sort_unstable_by_key(|(arrival, _)| *arrival);
        let records = records.into_iter().map(|(_, record)| record).collect();
        Work::Batch { work_id: self.hand_out(), spans, records }
    }

    /// Returns a heartbeat for the partitions that no writer has, with the topics if they are due,
    /// if it is time for one.
    pub(super) fn heartbeat_due(&mut self, limits: &Limits) -> Option<Work> {
        let due = self.last_heartbeat.is_none_or(|last| last.elapsed() >= limits.heartbeat);
        if !due || self.end.is_some() || self.draining {
            return None;
        }
        let mut idle = Vec::new();
        for (name, partition) in self.partitions.iter_mut().filter(|(_, partition)| !partition.in_work) {
            partition.in_work = true;
            let consumed_to = partition.consumed_to();
            partition.followed.consumed(consumed_to);
            let progress = partition.followed.progress(consumed_to);
            idle.push((name.clone(), partition.stored, progress));
        }
        self.last_heartbeat = Some(Instant::now());
        let topics_due = self.topics_told.is_none_or(|told| told.elapsed() >= TELL_TOPICS);
        let topics = (topics_due && !self.topics.is_empty()).then(|| self.topics.clone());
        if topics.is_some() {
            self.topics_told = self.last_heartbeat;
        }
        (!idle.is_empty() || topics.is_some()).then(|| Work::Heartbeat {
            work_id: self.hand_out(),
            partitions: idle,
            topics,
        })
    }
}

impl Partition {
    pub(super) fn from(Begin { stored, last_timestamp }: Begin) -> Self {
        Self {
            stored,
            next: stored,
            last_timestamp,
            waiting: VecDeque::new(),
            oldest: None,
            in_work: false,
            followed: Followed::default(),
        }
    }

    /// Returns the offset below which everything is consumed: stored, or known to hold no record.
    pub(super) fn consumed_to(&self) -> Offset {
        if self.stored == self.next { self.followed.consumed_after(self.stored) } else { self.stored }
    }
}
