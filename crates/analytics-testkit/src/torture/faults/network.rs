//! The network cuts and delays.

use std::time::Duration;

use crate::proxy::Proxy;
use crate::torture::arena::Run;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn lose_answers(run: &mut Run<'_>) {
    cut(run, Proxy::lose_answers);
}

pub(super) fn lose_commits(run: &mut Run<'_>) {
    cut(run, Proxy::lose_commits);
}

/// Six times two connections at once: a batch, and the next attempt of it or another's.
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

/// The network stays slow; the recovery is what is left to count when the stream has ended.
pub(super) fn slow(run: &mut Run<'_>) {
    for proxy in [&run.arena.to_postgres, &run.arena.to_kafka] {
        proxy.delay(Duration::from_millis(100));
    }
    run.start_workers();
    run.feed(100, Duration::from_secs(8)).wait();
    run.fault_is_over();
}
