//! Work that outlives its assignment, work that is given up, and progress.

use analytics_core::record::Place;
use analytics_process::shutdown::Shutdown;

use super::*;

const LIMITS: Limits = Limits {
    batch_records: 100,
    batch_bytes: 1 << 20,
    waiting_bytes: 1 << 20,
    waiting_records: 1_000,
    linger: Duration::ZERO,
    heartbeat: Duration::from_secs(3600),
    writers: 2,
};

fn partition() -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: 0 }
}

/// Assigns the partition from offset 0, and pushes its first records.
fn assign(buffer: &Buffer, records: i64) {
    buffer.assign([(partition(), Begin { stored: Offset(0), last_timestamp: None })].into(), HashMap::new());
    buffer.lock().last_heartbeat = Some(Instant::now());
    push(buffer, 0, records);
}

fn push(buffer: &Buffer, from: i64, to: i64) {
    for offset in from..to {
        let place = Place { partition: partition(), offset: Offset(offset), timestamp: None };
        let record = Record { place, key: None, headers: vec![], payload: None };
        assert_eq!(buffer.push(record, Duration::ZERO, &Shutdown::default()), Pushed::Taken);
    }
}

fn take(buffer: &Buffer) -> (WorkId, Vec<Span>, usize) {
    match buffer.take(|| true) {
        Work::Batch { work_id, spans, records } => (work_id, spans, records.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_late_writer_does_not_change_a_partition_that_was_assigned_again() {
    let buffer = Buffer::new(LIMITS);
    assign(&buffer, 5);
    let (late, spans, _) = take(&buffer);
    assert_eq!((spans[0].expected, spans[0].next), (Offset(0), Offset(5)));
    // The transaction hangs for longer than a rebalance waits.
    buffer.revoke(Duration::ZERO);
    assign(&buffer, 5);
    buffer.advance(late, &spans);
    buffer.finish(late, &[partition()]);
    let (work_id, spans, records) = take(&buffer);
    assert_eq!((spans[0].expected, records), (Offset(0), 5), "the fence must see where these records begin");
    assert_ne!(work_id, late);
}

#[test]
fn a_partition_that_was_assigned_again_has_one_writer() {
    let buffer = Buffer::new(LIMITS);
    assign(&buffer, 5);
    let (late, ..) = take(&buffer);
    buffer.revoke(Duration::ZERO);
    assign(&buffer, 5);
    let _in_hand = take(&buffer);
    buffer.finish(late, &[partition()]);
    assert!(buffer.lock().partitions[&partition()].in_work);
}

#[test]
fn work_of_an_older_assignment_is_not_wanted() {
    let buffer = Buffer::new(LIMITS);
    assign(&buffer, 5);
    let (late, ..) = take(&buffer);
    assert!(buffer.pause(late, Duration::ZERO));
    buffer.revoke(Duration::ZERO);
    assert!(!buffer.pause(late, Duration::ZERO));
    assign(&buffer, 5);
    assert!(!buffer.pause(late, Duration::ZERO));
    assert!(buffer.pause(take(&buffer).0, Duration::ZERO));
}

#[test]
fn being_fenced_ends_the_session_only_if_the_assignment_is_current() {
    let buffer = Buffer::new(LIMITS);
    assign(&buffer, 5);
    let (late, ..) = take(&buffer);
    buffer.revoke(Duration::ZERO);
    assign(&buffer, 5);
    buffer.fenced(late);
    assert_eq!(buffer.ended(), None);
    buffer.fenced(take(&buffer).0);
    assert_eq!(buffer.ended(), Some(End::Fenced));
}

#[test]
fn records_after_those_that_were_given_up_are_not_counted() {
    let buffer = Buffer::new(LIMITS);
    assign(&buffer, 5);
    let (work_id, ..) = take(&buffer);
    push(&buffer, 5, 10);
    buffer.give_up(work_id);
    assert!(buffer.lock().batch(&LIMITS).is_err(), "offsets 0 to 4 are not stored");
    buffer.end(End::DatabaseAway(String::new()));
    assert!(matches!(buffer.take(|| true), Work::Stop));
}

#[test]
fn a_batch_is_stored_in_parts_and_its_partitions_are_free_after_the_last() {
    let buffer = Buffer::new(LIMITS);
    assign(&buffer, 5);
    let (work_id, spans, _) = take(&buffer);
    push(&buffer, 5, 10);
    let part = Span { next: Offset(3), ..spans[0].clone() };
    buffer.advance(work_id, &[part]);
    assert_eq!(buffer.stored()[&partition()], Offset(3));
    assert!(buffer.lock().batch(&LIMITS).is_err(), "the writer has not finished");
    buffer.advance(work_id, &spans);
    buffer.finish(work_id, &[partition()]);
    assert_eq!(take(&buffer).1[0].expected, Offset(5));
}

#[test]
fn a_writer_is_stuck_for_as_long_as_it_makes_no_progress() {
    let buffer = Buffer::new(LIMITS);
    assert_eq!(buffer.stuck_for(), Duration::ZERO);
    assign(&buffer, 5);
    let (work_id, ..) = take(&buffer);
    *buffer.lock().in_hand.get_mut(&work_id).unwrap() -= Duration::from_secs(30);
    assert!(buffer.stuck_for() >= Duration::from_secs(30));
    buffer.goes_forward(work_id);
    assert!(buffer.stuck_for() < Duration::from_secs(30));
    buffer.give_up(work_id);
    assert_eq!(buffer.stuck_for(), Duration::ZERO);
}

#[test]
fn an_end_without_a_record_counts_as_consumed_only_after_all_records() {
    let buffer = Buffer::new(LIMITS);
    assign(&buffer, 5);
    buffer.note_end(&partition(), Offset(7), Instant::now());
    buffer.note_delivered(&partition(), Offset(7));
    assert_eq!(buffer.lag()[&partition()], 7, "five records and two markers");
    let (work_id, spans, _) = take(&buffer);
    assert_eq!(spans[0].progress.consumed_to, Some(Offset(7)), "once they are counted");
    assert!(spans[0].progress.caught_up.is_some());
    buffer.advance(work_id, &spans);
    assert_eq!(buffer.lag()[&partition()], 0);
}
