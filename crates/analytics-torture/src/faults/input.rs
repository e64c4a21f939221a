//! Faults by producers and operators: unusual records, and offsets reset to 0.

use std::time::Duration;

use super::obstacle::Obstacle;
use crate::arena::{OF_ORDERS, Run};

/// Time over which the stream is produced.
const STREAM: Duration = Duration::from_secs(6);

const TOPICS: [&str; 4] = ["product.viewed", "order.created", "rating.updated", "user.registered"];

/// Injects nothing: either there is no fault, or the fault is in the records of the stream.
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

/// Resets all offsets to 0 while workers are in their transactions. Their open batches are fenced,
/// so everything that was counted before is read exactly once more.
pub(super) fn offsets_set_in_mid_batch(run: &mut Run<'_>) {
    run.start_workers();
    run.feed_now(40);
    run.settled();
    run.consumption.by_partition = run.held().into_iter().map(|(place, (_, end))| (place, end)).collect();
    let lock = Obstacle::log(run);
    run.feed_now(30);
    lock.wait_for_worker(run);
    for topic in TOPICS.into_iter().chain(OF_ORDERS) {
        set_to_start(run, topic);
    }
    drop(lock);
    run.fault_is_over();
    run.feed_now(30);
}

pub(super) fn set_to_start(run: &Run<'_>, topic: &str) {
    run.job(&["offsets", "set", "--topic", &format!("{}{topic}", run.prefix), "--offset", "0"]);
}
