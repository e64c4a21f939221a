//! Many faults in a row. The seed decides which, when and for how long.

use std::thread;
use std::time::{Duration, Instant};

use super::input::set_to_start;
use super::obstacle::Obstacle;
use super::topics::phantoms;
use crate::arena::Run;
use analytics_testkit::broker::Sender;
use analytics_testkit::traffic::Random;

type Mischief = fn(&mut Run<'_>, &mut Random);

/// The faults of a storm. Each leaves the servers and at least one worker running.
const MISCHIEF: &[(&str, Mischief)] = &[
    ("a worker is killed", |run, random| {
        let victim = any_worker(run, random);
        run.kill_worker(victim);
        run.start_worker();
    }),
    ("a worker is stopped", |run, random| {
        let victim = any_worker(run, random);
        run.stop_worker(victim);
        run.start_worker();
    }),
    ("a worker is killed during a batch", |run, random| in_mid_batch(run, random, false)),
    ("a worker freezes during a batch", |run, random| in_mid_batch(run, random, true)),
    ("a producer aborts a transaction", |run, _| {
        let sender = Sender::transactional(&run.arena.kafka.address, &run.prefix);
        sender.transaction(&phantoms(run).take(500), false);
    }),
    ("a worker joins", |run, _| run.start_worker()),
    ("a worker freezes", |run, random| {
        let victim = any_worker(run, random);
        run.workers[victim].process.signal("-STOP");
        thread::sleep(some_time(random, 9_000));
        run.workers[victim].process.signal("-CONT");
    }),
    ("PostgreSQL crashes", |run, random| {
        run.arena.postgres.crash();
        thread::sleep(some_time(random, 3_000));
        run.arena.postgres.run();
    }),
    ("PostgreSQL freezes", |run, random| {
        run.arena.postgres.freeze();
        thread::sleep(some_time(random, 6_000));
        run.arena.postgres.thaw();
    }),
    ("Kafka is killed", |run, _| {
        run.arena.kafka.kill();
        run.arena.kafka.run();
    }),
    ("Kafka freezes", |run, random| {
        run.arena.kafka.signal("-STOP");
        thread::sleep(some_time(random, 9_000));
        run.arena.kafka.signal("-CONT");
    }),
    ("answers to COMMIT are lost", |run, _| run.arena.to_postgres.lose_answers(3)),
    ("COMMITs are lost", |run, _| run.arena.to_postgres.lose_commits(3)),
    ("the network slows down", |run, random| {
        for proxy in [&run.arena.to_postgres, &run.arena.to_kafka] {
            proxy.delay(some_time(random, 150));
        }
    }),
    ("the network is no longer slow", |run, _| {
        for proxy in [&run.arena.to_postgres, &run.arena.to_kafka] {
            proxy.delay(Duration::ZERO);
        }
    }),
    ("offsets are reset to 0", |run, random| {
        run.consumption.may_repeat = true;
        let topics = ["product.viewed", "order.created", "rating.updated", "user.registered"];
        set_to_start(run, topics[usize::try_from(random.below(4)).expect("small")]);
    }),
];

pub(super) fn run(run: &mut Run<'_>) {
    let mut random = Random(run.options.seed);
    run.start_workers();
    // Offsets can be reset once every topic was read.
    run.feed_now(10);
    run.settled();
    // About a minute with 100,000 records, some seconds in the short form.
    let calls = (run.options.records / 6_000).clamp(4, 40);
    let feeding = run.feed(80, Duration::from_secs(calls * 3));
    for _ in 0..calls {
        let (what, mischief) = MISCHIEF[usize::try_from(random.below(MISCHIEF.len() as u64)).expect("small")];
        eprintln!("    storm: {what}");
        mischief(run, &mut random);
        thread::sleep(some_time(&mut random, 2_000));
    }
    feeding.wait();
    for proxy in [&run.arena.to_postgres, &run.arena.to_kafka] {
        proxy.behave();
    }
    run.fault_is_over();
    // The last offset of each partition must be a record, so that the stored offset can reach the
    // end. Other offsets are transaction markers.
    run.feed_now(10);
    run.consumption.only_sum = true;
}

/// Kills or freezes a worker before or after the fence. Does nothing if none gets there within 4 s.
fn in_mid_batch(run: &mut Run<'_>, random: &mut Random, freeze: bool) {
    let obstacle = if random.below(2) == 0 { Obstacle::commit(run) } else { Obstacle::fold(run) };
    let deadline = Instant::now() + Duration::from_secs(4);
    let mut victim = obstacle.worker(run);
    while victim.is_none() && Instant::now() < deadline {
        thread::park_timeout(Duration::from_millis(20));
        victim = obstacle.worker(run);
    }
    match victim {
        Some(victim) if freeze => {
            run.workers[victim].process.signal("-STOP");
            drop(obstacle);
            thread::sleep(some_time(random, 14_000));
            run.workers[victim].process.signal("-CONT");
        }
        Some(victim) => {
            run.kill_worker(victim);
            drop(obstacle);
            run.start_worker();
        }
        None => {}
    }
}

fn any_worker(run: &Run<'_>, random: &mut Random) -> usize {
    usize::try_from(random.below(run.workers.len() as u64)).expect("few workers")
}

fn some_time(random: &mut Random, at_most_millis: u64) -> Duration {
    Duration::from_millis(random.below(at_most_millis))
}
