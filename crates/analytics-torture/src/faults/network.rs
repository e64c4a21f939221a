//! Faults of the network: cut connections, delays, lost bytes, and a connection pooler.

use std::thread;
use std::time::Duration;

use super::workers::kill_one_in_mid_batch;
use crate::arena::{LONGER_THAN_A_SESSION, Run};
use analytics_testkit::pooler::Pooler;
use analytics_testkit::proxy::Proxy;
use analytics_testkit::wait;

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn lose_answers(run: &mut Run<'_>) {
    cut(run, Proxy::lose_answers);
}

pub(super) fn lose_commits(run: &mut Run<'_>) {
    cut(run, Proxy::lose_commits);
}

/// Cuts two connections, six times: that of a batch, and that of its next attempt or of another
/// batch.
fn cut(run: &mut Run<'_>, order: fn(&Proxy, u32)) {
    run.start_workers();
    for _ in 0..6 {
        let feeding = run.feed(15, Duration::from_secs(1));
        let before = run.arena.to_postgres.cuts();
        order(&run.arena.to_postgres, 2);
        wait::until("connections to be cut", PATIENCE, || (run.arena.to_postgres.cuts() >= before + 2).then_some(()));
        feeding.wait();
    }
    run.fault_is_over();
    run.feed_now(10);
}

/// Keeps the network slow until the end. The time of recovery is that of counting what is left when
/// the whole stream is produced.
pub(super) fn slow(run: &mut Run<'_>) {
    for proxy in [&run.arena.to_postgres, &run.arena.to_kafka] {
        proxy.delay(Duration::from_millis(100));
    }
    run.start_workers();
    run.feed(100, Duration::from_secs(8)).wait();
    run.fault_is_over();
}

/// Drops every byte for a while. Dropped bytes, such as a COMMIT or the answer to it, are lost.
pub(super) fn black_hole(run: &mut Run<'_>) {
    run.start_workers();
    let feeding = run.feed(80, Duration::from_secs(8));
    for _ in 0..2 {
        run.wait_for_progress();
        run.arena.to_postgres.swallow(true);
        thread::sleep(LONGER_THAN_A_SESSION);
        run.arena.to_postgres.swallow(false);
    }
    feeding.wait();
    run.fault_is_over();
    run.feed_now(20);
}

/// Runs workers behind a pooler with fewer sessions than they have connections, so that each
/// transaction runs in whichever session is free.
pub(super) fn pooled(run: &mut Run<'_>) {
    let pooler = Pooler::start(&run.arena.postgres, 4);
    run.set("DATABASE_URL", &pooler.in_front_of(&run.database.url, &run.arena.postgres));
    run.pooler = Some(pooler);
    run.start_workers();
    run.feed_now(20);
    for _ in 0..2 {
        kill_one_in_mid_batch(run, 25);
    }
    run.stop_worker(0);
    run.start_worker();
    run.fault_is_over();
    run.feed_now(30);
}
