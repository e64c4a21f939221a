//! Faults of workers: killed, stopped, frozen, joining and leaving.

use std::thread;
use std::time::Duration;

use super::obstacle::Obstacle;
use crate::arena::{LONGER_THAN_A_SESSION, Run};

/// Time over which the stream is produced.
const STREAM: Duration = Duration::from_secs(8);

pub(super) fn kill(run: &mut Run<'_>) {
    run.start_workers();
    let feeding = run.feed(70, STREAM);
    for _ in 0..2 {
        run.wait_for_progress();
        run.kill_worker(0);
        run.start_worker();
    }
    feeding.wait();
    run.feed_now(30);
    run.kill_worker(0);
    run.start_worker();
    run.fault_is_over();
}

pub(super) fn kill_in_mid_batch(run: &mut Run<'_>) {
    run.start_workers();
    run.feed_now(10);
    for _ in 0..2 {
        kill_one_in_mid_batch(run, 30);
    }
    run.fault_is_over();
    run.feed_now(30);
}

pub(super) fn kill_in_mid_fold(run: &mut Run<'_>) {
    run.start_workers();
    run.feed_now(10);
    run.settled();
    for _ in 0..2 {
        kill_one(run, 30, Obstacle::fold);
    }
    run.fault_is_over();
    run.feed_now(30);
}

/// Produces the next `hundredths` percent of the stream, meanwhile kills a worker that is about to
/// commit a batch, and starts another.
pub(super) fn kill_one_in_mid_batch(run: &mut Run<'_>, hundredths: u64) {
    kill_one(run, hundredths, Obstacle::commit);
}

fn kill_one(run: &mut Run<'_>, hundredths: u64, obstacle: fn(&Run<'_>) -> Obstacle) {
    let lock = obstacle(run);
    let feeding = run.feed(hundredths, Duration::from_secs(1));
    let victim = lock.wait_for_worker(run);
    run.kill_worker(victim);
    drop(lock);
    run.start_worker();
    feeding.wait();
}

pub(super) fn terminate(run: &mut Run<'_>) {
    run.start_workers();
    let feeding = run.feed(70, STREAM);
    for _ in 0..2 {
        run.wait_for_progress();
        run.stop_worker(0);
        run.start_worker();
    }
    feeding.wait();
    run.feed_now(30);
    run.stop_worker(0);
    run.start_worker();
    run.fault_is_over();
}

pub(super) fn freeze(run: &mut Run<'_>) {
    run.start_workers();
    let feeding = run.feed(80, STREAM);
    run.wait_for_progress();
    let zombie = &run.workers[0].process;
    zombie.signal("-STOP");
    thread::sleep(LONGER_THAN_A_SESSION);
    zombie.signal("-CONT");
    feeding.wait();
    run.fault_is_over();
    run.feed_now(20);
}

/// Freezes a worker at the fence.
pub(super) fn freeze_before_the_fence(run: &mut Run<'_>) {
    freeze_in_transaction(run, Obstacle::fence);
}

/// Freezes a worker that has moved its offsets.
pub(super) fn freeze_after_the_fence(run: &mut Run<'_>) {
    freeze_in_transaction(run, Obstacle::commit);
}

/// Freezes a worker that holds the counting lock and has numbered batches.
pub(super) fn freeze_in_fold(run: &mut Run<'_>) {
    freeze_in_transaction(run, Obstacle::fold);
}

/// Freezes a worker during COPY. PostgreSQL waits for the rest of the data, and does not treat the
/// transaction as idle.
pub(super) fn freeze_in_copy(run: &mut Run<'_>) {
    freeze_in_transaction(run, Obstacle::log);
}

fn freeze_in_transaction(run: &mut Run<'_>, obstacle: fn(&Run<'_>) -> Obstacle) {
    run.start_workers();
    run.feed_now(30);
    run.settled();
    let obstacle = obstacle(run);
    let feeding = run.feed(50, Duration::from_secs(1));
    let zombie = obstacle.wait_for_worker(run);
    run.workers[zombie].process.signal("-STOP");
    drop(obstacle);
    feeding.wait();
    // The others must make progress, although they all need what the frozen worker holds.
    run.settled();
    run.workers[zombie].process.signal("-CONT");
    run.fault_is_over();
    run.feed_now(20);
}

pub(super) fn join_and_leave(run: &mut Run<'_>) {
    run.start_workers();
    let feeding = run.feed(100, STREAM + Duration::from_secs(4));
    for _ in 0..6 {
        run.start_worker();
        run.wait_for_progress();
        run.stop_worker(0);
    }
    feeding.wait();
    run.fault_is_over();
}
