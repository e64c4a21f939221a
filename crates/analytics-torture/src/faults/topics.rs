//! Faults in the topics: aborted transactions, retention, added partitions, and recreated topics.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arena::{PARTITIONS, Run};
use crate::stream::{NUMBER, Stream};
use crate::traits::Traits;
use analytics_testkit::broker::{self, Sender};
use analytics_testkit::wait;

/// Returns a stream of ordinary records that must not be counted.
pub(super) fn phantoms(run: &Run<'_>) -> Stream {
    let traits = Traits { no_reversals: true, ..Traits::default() };
    Stream::new(run.options.seed, run.options.records, traits, true)
}

pub(super) fn aborted(run: &mut Run<'_>) {
    run.start_workers();
    let mut phantoms = phantoms(run);
    let sender = Sender::transactional(&run.arena.kafka.address, &run.prefix);
    let portion = run.options.records / 10;
    for _ in 0..8 {
        sender.transaction(&phantoms.take(portion / 2), false);
        sender.transaction(&run.stream.take(portion), true);
    }
    run.fault_is_over();
    // The last offset of each partition must be a record, so that the stored offset can reach the
    // end.
    run.feed_now(20);
    run.consumption.only_sum = true;
}

pub(super) fn retention(run: &mut Run<'_>) {
    run.start_workers();
    run.feed_now(40);
    run.settled();
    while !run.workers.is_empty() {
        run.stop_worker(0);
    }
    let counted = run.held();
    let forgotten = phantoms(run).take(run.options.records / 5);
    Sender::new(&run.arena.kafka.address, &run.prefix).send(&forgotten);
    let grown = run.held();
    run.feed_now(40);
    let mut before = run.arena.kafka.numbers(&run.topics(), NUMBER);
    for (place @ (topic, partition), (_, to)) in &grown {
        let (_, from) = counted[place];
        if from < *to {
            run.arena.kafka.forget_below(topic, *partition, *to);
            run.consumption.by_partition.insert(place.clone(), from - to);
            run.consumption.gaps.insert((topic.clone(), *partition, from, *to, "retention"));
        }
    }
    // The deleted records, except for the phantoms, were counted before.
    for n in run.arena.kafka.numbers(&run.topics(), NUMBER).keys() {
        before.remove(n);
    }
    run.deleted = before;
    run.start_workers();
    run.fault_is_over();
    run.feed_now(20);
}

pub(super) fn remade_short(run: &mut Run<'_>) {
    run.start_workers();
    remade(run, 60);
}

pub(super) fn remade_grown(run: &mut Run<'_>) {
    run.start_workers();
    remade(run, 35);
}

pub(super) fn stopped_short(run: &mut Run<'_>) {
    run.start_workers();
    stopped(run, 60);
}

pub(super) fn stopped_grown(run: &mut Run<'_>) {
    run.start_workers();
    stopped(run, 35);
}

/// Counts the first part of the stream, recreates the topic of views, and produces the rest.
fn remade(run: &mut Run<'_>, hundredths: u64) {
    run.feed_now(hundredths);
    run.settled();
    make_again(run);
    run.feed_now(90 - hundredths);
    run.fault_is_over();
    run.feed(10, Duration::from_secs(1)).wait();
}

/// The same while no worker runs.
fn stopped(run: &mut Run<'_>, hundredths: u64) {
    run.feed_now(hundredths);
    run.settled();
    while !run.workers.is_empty() {
        run.stop_worker(0);
    }
    make_again(run);
    run.feed_now(90 - hundredths);
    run.start_workers();
    run.fault_is_over();
    run.feed(10, Duration::from_secs(1)).wait();
}

/// Deletes the topic of views and creates it again. Everything in it was counted, so nothing is
/// lost. Counting of each partition starts from the beginning, and a gap with this reason is
/// recorded.
fn make_again(run: &mut Run<'_>) {
    let topic = format!("{}product.viewed", run.prefix);
    let before: BTreeMap<_, _> = run.held().into_iter().filter(|((name, _), _)| *name == topic).collect();
    run.deleted = run.arena.kafka.numbers(std::slice::from_ref(&topic), NUMBER);
    run.arena.kafka.remake(&topic, PARTITIONS);
    for ((_, partition), (_, end)) in before.into_iter().filter(|(_, (_, end))| *end > 0) {
        run.consumption.by_partition.insert((topic.clone(), partition), end);
        run.consumption.gaps.insert((topic.clone(), partition, end, end, "recreated"));
    }
}

/// Adds partitions while workers run with `KAFKA_START=latest`. Records in a new partition must all
/// be counted, since they were produced after the workers started.
pub(super) fn partition_added(run: &mut Run<'_>) {
    run.set("KAFKA_START", "latest");
    run.start_workers();
    run.feed_now(40);
    // Keys map to other partitions afterwards. Earlier records must be counted before later ones
    // with the same key.
    run.settled();
    let more = 2 * PARTITIONS.unsigned_abs() as usize;
    for topic in run.topics() {
        broker::add_partitions(&run.arena.kafka.address, &topic, more);
    }
    wait::until("the new partitions to be visible", Duration::from_secs(60), || {
        (run.held().len() == run.topics().len() * more).then_some(())
    });
    run.feed(40, Duration::from_secs(6)).wait();
    run.fault_is_over();
    run.feed_now(20);
}
