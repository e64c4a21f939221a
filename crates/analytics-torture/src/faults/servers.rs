//! Faults of the servers: crashes, freezes, and a partition without a leader.

use std::thread;
use std::time::Duration;

use crate::arena::{LONGER_THAN_A_SESSION, Run};
use analytics_testkit::broker::{self, Sender};

/// Time over which the stream is produced.
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

/// Places one partition of an additional topic on a second broker. While that broker is down, all
/// other partitions must be counted.
pub(super) fn leaderless(run: &mut Run<'_>) {
    // Kafka creates the internal topics of consumer groups before the second broker exists, so that
    // none of their partitions is on it.
    run.start_workers();
    run.feed_now(10);
    run.settled();
    while !run.workers.is_empty() {
        run.stop_worker(0);
    }
    let mut second = run.arena.kafka.second();
    run.arena.spoiled = true;
    let apart = format!("{}apart", run.prefix);
    broker::create_topic_on(&run.arena.kafka.address, &apart, &[&[1], &[2]]);
    run.set("KAFKA_TOPICS", &format!("{},product.viewed={apart}", run.setting("KAFKA_TOPICS")));
    run.start_workers();
    views_apart(run, 20);
    run.more_topics.push(apart);
    run.settled();

    let elsewhere = run.more_topics.pop().expect("the additional topic");
    second.kill();
    run.feed_now(30);
    run.settled();
    // A worker that starts meanwhile must make progress, too.
    run.kill_worker(0);
    run.start_worker();
    run.feed_now(10);
    run.settled();
    second.run();
    run.more_topics.push(elsewhere);
    run.second = Some(second);
    run.fault_is_over();
    views_apart(run, 10);
    run.feed_now(20);
}

/// Produces the next `hundredths` percent of the stream at once, with views in the topic `apart`.
fn views_apart(run: &mut Run<'_>, hundredths: u64) {
    let mut messages = run.stream.take(run.options.records * hundredths / 100);
    for message in messages.iter_mut().filter(|message| message.topic == "product.viewed") {
        message.topic = "apart".into();
    }
    Sender::new(&run.arena.kafka.address, &run.prefix).send(&messages);
}
