//! Work that outlives its assignment.

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

/// Gives the partition to the intake from its start on, and the first records of it.
fn assign(intake: &Intake, records: i64) {
    intake.assign([(partition(), Begin { stored: Offset(0), last_timestamp: None })].into(), HashMap::new());
    intake.lock().last_heartbeat = Some(Instant::now());
    push(intake, 0, records);
}

fn push(intake: &Intake, from: i64, to: i64) {
    for offset in from..to {
        let place = Place { partition: partition(), offset: Offset(offset), timestamp: None };
        let record = Record { place, key: None, headers: vec![], payload: None };
        assert_eq!(intake.push(record, Duration::ZERO, &Shutdown::default()), Pushed::Taken);
    }
}

fn take(intake: &Intake) -> (Turn, Vec<Span>, usize) {
    match intake.take() {
        Work::Batch { turn, spans, records } => (turn, spans, records.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_late_writer_stored_says_nothing_of_the_partition_as_it_was_given_back() {
    let intake = Intake::new(LIMITS);
    assign(&intake, 5);
    let (late, spans, _) = take(&intake);
    assert_eq!((spans[0].expected, spans[0].next), (Offset(0), Offset(5)));
    // The transaction hangs for longer than a rebalance waits.
    intake.revoke(Duration::ZERO);
    assign(&intake, 5);
    intake.advance(late, &spans);
    intake.finish(late, &[partition()]);
    let (turn, spans, records) = take(&intake);
    assert_eq!((spans[0].expected, records), (Offset(0), 5), "the fence has to see where these records begin");
    assert_ne!(turn, late);
}

#[test]
fn a_partition_that_was_given_back_is_in_the_hands_of_one_writer() {
    let intake = Intake::new(LIMITS);
    assign(&intake, 5);
    let (late, ..) = take(&intake);
    intake.revoke(Duration::ZERO);
    assign(&intake, 5);
    let _in_hand = take(&intake);
    intake.finish(late, &[partition()]);
    assert!(intake.lock().partitions[&partition()].in_work);
}

#[test]
fn what_an_assignment_held_is_not_wanted_once_it_is_over() {
    let intake = Intake::new(LIMITS);
    assign(&intake, 5);
    let (late, ..) = take(&intake);
    assert!(intake.pause(late, Duration::ZERO));
    intake.revoke(Duration::ZERO);
    assert!(!intake.pause(late, Duration::ZERO));
    assign(&intake, 5);
    assert!(!intake.pause(late, Duration::ZERO));
    assert!(intake.pause(take(&intake).0, Duration::ZERO));
}

#[test]
fn being_fenced_ends_the_session_only_while_its_assignment_lasts() {
    let intake = Intake::new(LIMITS);
    assign(&intake, 5);
    let (late, ..) = take(&intake);
    intake.revoke(Duration::ZERO);
    assign(&intake, 5);
    intake.fenced(late);
    assert_eq!(intake.ended(), None);
    intake.fenced(take(&intake).0);
    assert_eq!(intake.ended(), Some(End::Fenced));
}

#[test]
fn what_comes_after_records_that_were_given_up_is_not_counted() {
    let intake = Intake::new(LIMITS);
    assign(&intake, 5);
    let (turn, ..) = take(&intake);
    push(&intake, 5, 10);
    intake.give_up(turn);
    assert!(intake.lock().batch(&LIMITS).is_err(), "offsets 0 to 4 are not stored");
    intake.end(End::DatabaseAway(String::new()));
    assert!(matches!(intake.take(), Work::Stop));
}

#[test]
fn a_batch_is_stored_in_parts_and_its_partitions_are_free_after_the_last() {
    let intake = Intake::new(LIMITS);
    assign(&intake, 5);
    let (turn, spans, _) = take(&intake);
    push(&intake, 5, 10);
    let part = Span { next: Offset(3), ..spans[0].clone() };
    intake.advance(turn, &[part]);
    assert_eq!(intake.stored()[&partition()], Offset(3));
    assert!(intake.lock().batch(&LIMITS).is_err(), "its writer is not done");
    intake.advance(turn, &spans);
    intake.finish(turn, &[partition()]);
    assert_eq!(take(&intake).1[0].expected, Offset(5));
}

#[test]
fn a_writer_is_stuck_for_as_long_as_nothing_comes_of_its_work() {
    let intake = Intake::new(LIMITS);
    assert_eq!(intake.stuck_for(), Duration::ZERO);
    assign(&intake, 5);
    let (turn, ..) = take(&intake);
    *intake.lock().in_hand.get_mut(&turn).unwrap() -= Duration::from_secs(30);
    assert!(intake.stuck_for() >= Duration::from_secs(30));
    intake.goes_forward(turn);
    assert!(intake.stuck_for() < Duration::from_secs(30));
    intake.give_up(turn);
    assert_eq!(intake.stuck_for(), Duration::ZERO);
}

#[test]
fn an_end_without_a_record_counts_as_consumed_only_after_all_records() {
    let intake = Intake::new(LIMITS);
    assign(&intake, 5);
    intake.note_end(&partition(), Offset(7), Instant::now());
    intake.note_delivered(&partition(), Offset(7));
    assert_eq!(intake.lag()[&partition()], 7, "five records and two markers");
    let (turn, spans, _) = take(&intake);
    assert_eq!(spans[0].progress.consumed_to, Some(Offset(7)), "once they are counted");
    assert!(spans[0].progress.caught_up.is_some());
    intake.advance(turn, &spans);
    assert_eq!(intake.lag()[&partition()], 0);
}
