//! How far a partition is consumed, beside where it ended at what time: from this follows up to when
//! everything is counted.

use std::collections::VecDeque;
use std::time::Instant;

use analytics_core::record::Offset;
use analytics_db::batch::Progress;

/// How many ends are remembered that are not reached yet. A partition that is further behind is told with
/// a coarser time.
const REMEMBERED: usize = 240;

/// What is known of one partition besides its records.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Ends that are not consumed yet, and when they were asked for, in order.
    ahead: VecDeque<(Offset, Instant)>,
    /// The end as told last.
    end: Option<(Offset, Instant)>,
    /// Everything below was delivered, records or not.
    delivered: Offset,
    /// Everything that was there at this moment is consumed.
    caught_up: Option<Instant>,
}

impl Followed {
    /// The partition ended here when the broker was asked.
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

    /// Everything below was delivered.
    pub(super) fn delivered(&mut self, to: Offset) {
        self.delivered = self.delivered.max(to);
    }

    /// How far a partition is consumed once all records are stored that were delivered, the last of them
    /// before `stored`.
    pub(super) fn consumed_after(&self, stored: Offset) -> Offset {
        stored.max(self.delivered)
    }

    /// Everything below is consumed.
    pub(super) fn consumed(&mut self, to: Offset) {
        while let Some((_, asked)) = self.ahead.pop_front_if(|(end, _)| *end <= to) {
            self.caught_up = Some(asked);
        }
    }

    /// What there is to tell of the partition once it is consumed up to here.
    pub(super) fn progress(&self, consumed_to: Offset) -> Progress {
        let reached = self.ahead.iter().take_while(|(end, _)| *end <= consumed_to).last();
        Progress {
            end: self.end,
            consumed_to: Some(consumed_to),
            caught_up: reached.map(|(_, asked)| *asked).or(self.caught_up),
        }
    }

    /// How many messages are not consumed.
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
        // Markers of transactions: no record comes any more.
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
