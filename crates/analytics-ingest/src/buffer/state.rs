//! What waits, and how batches are cut from it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use analytics_core::record::{Offset, Record, TopicPartition};
use analytics_db::batch::Span;

use super::progress::Followed;
use super::{End, Limits, Topics, Work, WorkId};
use crate::kafka::Begin;

/// Below this many waiting records one writer takes all: two small transactions cost more than one.
const TOO_FEW_TO_SHARE: usize = 2_000;
/// How often the database is told which topics there are, if nothing about them changes.
const TELL_TOPICS: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Partition {
    /// The offset that the database has.
    pub(super) stored: Offset,
    /// The offset after the last record that was pushed.
    pub(super) next: Offset,
    /// The timestamp that the record before `stored` must have, until it was looked at.
    pub(super) last_timestamp: Option<i64>,
    /// Records with the order of their arrival.
    pub(super) waiting: VecDeque<(u64, Record)>,
    pub(super) oldest: Option<Instant>,
    pub(super) in_work: bool,
    pub(super) followed: Followed,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) partitions: HashMap<TopicPartition, Partition>,
    /// Partitions that are ours and cannot be read before they reach this offset.
    pub(super) unreadable: HashMap<TopicPartition, Offset>,
    pub(super) arrived: u64,
    pub(super) generation: u64,
    /// What writers have in hand, and when something last came of it.
    pub(super) in_hand: BTreeMap<WorkId, Instant>,
    pub(super) handed_out: u64,
    pub(super) waiting_records: usize,
    pub(super) waiting_bytes: usize,
    pub(super) last_heartbeat: Option<Instant>,
    pub(super) topics: Topics,
    pub(super) topics_told: Option<Instant>,
    /// The partitions are being given up.
    pub(super) revoking: bool,
    /// Everything that waits is to be written at once.
    pub(super) draining: bool,
    /// No further work is handed out.
    pub(super) closed: bool,
    pub(super) end: Option<End>,
}

impl State {
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.waiting_records >= limits.waiting_records || self.waiting_bytes >= limits.waiting_bytes
    }

    /// Whether the session goes on, or is about to end in good order.
    pub(super) fn lasts(&self) -> bool {
        !self.closed && matches!(self.end, None | Some(End::Shutdown))
    }

    /// Whether what a writer has in hand can still be of use.
    pub(super) fn wants(&self, work_id: WorkId) -> bool {
        self.lasts() && !self.revoking && self.generation == work_id.generation
    }

    /// A number for work that is handed out.
    fn hand_out(&mut self) -> WorkId {
        self.handed_out += 1;
        let work_id = WorkId { generation: self.generation, number: self.handed_out };
        self.in_hand.insert(work_id, Instant::now());
        work_id
    }

    /// Cuts a batch, or says how long it is until one may be due.
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
        // Every other partition by size goes to this writer, the rest is for the next one.
        due.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let busy_writers = self.in_hand.len() + 1;
        let stride = if records < TOO_FEW_TO_SHARE || busy_writers >= limits.writers { 1 } else { limits.writers };
        let chosen: Vec<TopicPartition> = due.iter().step_by(stride).map(|(name, ..)| (*name).clone()).collect();
        Ok(self.cut(&chosen, limits))
    }

    /// Takes records of these partitions, as many as a batch holds, at least one of each.
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
            // Each partition would keep room for all that ever waits, one after the other.
            partition.waiting.shrink_to_fit();
        }
        self.waiting_records = self.waiting_records.saturating_sub(records.len());
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        // What arrived earlier is counted earlier, across partitions too: it may say whose a product is.
        records.sort_unstable_by_key(|(arrival, _)| *arrival);
        let records = records.into_iter().map(|(_, record)| record).collect();
        Work::Batch { work_id: self.hand_out(), spans, records }
    }

    /// The partitions that nobody is writing and the topics, if it is time to report them.
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

    /// All below this offset is consumed: stored, or known to hold no record.
    pub(super) fn consumed_to(&self) -> Offset {
        if self.stored == self.next { self.followed.consumed_after(self.stored) } else { self.stored }
    }
}
