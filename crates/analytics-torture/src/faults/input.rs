//! What producers and operators do.

use std::time::Duration;

use super::obstacle::Obstacle;
use crate::arena::Run;

/// Over how long the stream comes.
const STREAM: Duration = Duration::from_secs(6);

const TOPICS: [&str; 4] = ["product.viewed", "order.created", "rating.updated", "user.registered"];

/// Nothing happens, or what happens is in the stream itself.
pub(super) fn stream_alone(run: &mut Run<'_>) {
    run.start_workers();
    run.feed(100, STREAM).wait();
    run.fault_is_over();
}

pub(super) fn offsets_set_back(run: &mut Run<'_>) {
    run.start_workers();
    run.feed_now(30);
    run.settled();
    run.consumption.may_repeat = true;
    let feeding = run.feed(70, STREAM);
    for topic in TOPICS {
        run.wait_for_progress();
        set_to_start(run, topic);
    }
    feeding.wait();
    run.fault_is_over();
}

/// Workers stand in their transactions when all offsets are set back. What they have in hand is
/// fenced, so everything that was counted before is read exactly once more.
pub(super) fn offsets_set_in_mid_batch(run: &mut Run<'_>) {
    run.start_workers();
    run.feed_now(40);
    run.settled();
    run.consumption.by_partition = run.held().into_iter().map(|(place, (_, end))| (place, end)).collect();
    let lock = Obstacle::counting_lock(run);
    run.feed_now(30);
    lock.wait_for_worker(run);
    for topic in TOPICS {
        set_to_start(run, topic);
    }
    drop(lock);
    run.fault_is_over();
    run.feed_now(30);
}

pub(super) fn set_to_start(run: &Run<'_>, topic: &str) {
    run.job(&["offsets", "set", "--topic", &format!("{}{topic}", run.prefix), "--offset", "0"]);
}
