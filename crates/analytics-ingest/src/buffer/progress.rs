//! Tracks how far a partition is consumed and where it ended at which time, to derive the time up
//! to which everything in it is counted.

use std::collections::VecDeque;
use std::time::Instant;

use analytics_core::record::Offset;
use analytics_db::batch::Progress;

/// How many ends that are not reached yet are remembered. For a partition that is further behind,
/// the time is coarser.
const REMEMBERED: usize = 240;

/// What is known about one partition besides its records.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Ends that are not consumed yet, and when they were queried, in order.
    ahead: VecDeque<(Offset, Instant)>,
    /// The last reported end, and when it was queried.
    end: Option<(Offset, Instant)>,
    /// Everything below this offset was delivered, including offsets without records.
    delivered: Offset,
    /// Everything that was in the partition at this moment is consumed.
    caught_up: Option<Instant>,
}

impl Followed {
    /// Notes where the partition ended when the broker was queried.
    pub(super) fn ended(&mut self, end: Offset, asked: Instant) {
        self.end = Some((end, asked));
        if self.ahead.len() >= REMEMBERED {
            let mut keep = false;
            self.ahead.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.ahead.push_back((end, asked));
    }

    /// Notes that everything below an offset was delivered.
    pub(super) fn delivered(&mut self, to: Offset) {
        self.delivered = self.delivered.max(to);
    }

    /// Returns how far the partition is consumed once all delivered records are stored, the last of
    /// them just before `stored`.
    pub(super) fn consumed_after(&self, stored: Offset) -> Offset {
        stored.max(self.delivered)
    }

    /// Notes that everything below an offset is consumed.
    pub(super) fn consumed(&mut self, to: Offset) {
        while let Some((_, asked)) = self.ahead.pop_front_if(|(end, _)| *end <= to) {
            self.caught_up = Some(asked);
        }
    }

    /// Returns the progress to report once the partition is consumed up to this offset.
    pub(super) fn progress(&self, consumed_to: Offset) -> Progress {
        let reached = self.ahead.iter().take_while(|(end, _)| *end <= consumed_to).last();
        Progress {
            end: self.end,
            consumed_to: Some(consumed_to),
            caught_up: reached.map(|(_, asked)| *asked).or(self.caught_up),
        }
    }

    /// Returns how many messages are not consumed, if the end is known.
    pub(super) fn lag(&self, consumed_to: Offset) -> Option<i64> {
        self.end.map(|(end, _)| (end.0 - consumed_to.0).max(0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_partition_is_counted_up_to_the_last_moment_whose_end_is_consumed() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let mut followed = Followed::default();
        assert_eq!(followed.progress(Offset(7)).caught_up, None);
        followed.ended(Offset(10), at(1));
        followed.ended(Offset(20), at(2));
        followed.ended(Offset(30), at(3));
        for (consumed, caught_up, lag) in [(9, None, 21), (10, Some(1), 20), (29, Some(2), 1), (30, Some(3), 0)] {
            let progress = followed.progress(Offset(consumed));
            assert_eq!(progress.caught_up, caught_up.map(at), "{consumed}");
            assert_eq!(progress.end, Some((Offset(30), at(3))));
            assert_eq!(followed.lag(Offset(consumed)), Some(lag));
        }
        followed.consumed(Offset(20));
        assert_eq!(followed.progress(Offset(20)).caught_up, Some(at(2)));
        // The rest are transaction markers: no record follows.
        followed.delivered(Offset(30));
        assert_eq!(followed.progress(followed.consumed_after(Offset(20))).caught_up, Some(at(3)));
    }

    #[test]
    fn a_partition_that_is_far_behind_takes_no_more_room() {
        let mut followed = Followed::default();
        for end in 1..10_000 {
            followed.ended(Offset(end), Instant::now());
        }
        assert!(followed.ahead.len() <= REMEMBERED);
        followed.consumed(Offset(9_999));
        assert_eq!(followed.caught_up, followed.end.map(|(_, asked)| asked));
    }
}
