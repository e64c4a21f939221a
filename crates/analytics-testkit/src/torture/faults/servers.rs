//! PostgreSQL and Kafka crash and freeze.

use std::thread;
use std::time::Duration;

use crate::torture::arena::{LONGER_THAN_A_SESSION, Run};

/// Over how long the stream comes.
const STREAM: Duration = Duration::from_secs(8);

pub(super) fn database_crash(run: &mut Run<'_>) {
    run.start_workers();
    let feeding = run.feed(100, STREAM);
    run.wait_for_progress();
    run.arena.postgres.crash();
    thread::sleep(Duration::from_secs(1));
    run.arena.postgres.run();
    run.wait_for_progress();
    run.arena.postgres.crash();
    feeding.wait();
    run.arena.postgres.run();
    run.fault_is_over();
}

pub(super) fn database_freeze(run: &mut Run<'_>) {
    run.start_workers();
    let feeding = run.feed(100, STREAM);
    run.wait_for_progress();
    run.arena.postgres.freeze();
    thread::sleep(LONGER_THAN_A_SESSION);
    feeding.wait();
    run.arena.postgres.thaw();
    run.fault_is_over();
}

pub(super) fn broker_kill(run: &mut Run<'_>) {
    run.start_workers();
    let feeding = run.feed(100, STREAM);
    for _ in 0..2 {
        run.wait_for_progress();
        run.arena.kafka.kill();
        run.arena.kafka.run();
    }
    run.fault_is_over();
    feeding.wait();
}

pub(super) fn broker_freeze(run: &mut Run<'_>) {
    run.start_workers();
    let feeding = run.feed(100, STREAM);
    run.wait_for_progress();
    run.arena.kafka.signal("-STOP");
    thread::sleep(LONGER_THAN_A_SESSION);
    run.arena.kafka.signal("-CONT");
    run.fault_is_over();
    feeding.wait();
}
