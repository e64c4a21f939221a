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
    intake.assign([(partition(), Begin { stored: Offset(0), witness: None })].into());
    intake.lock().last_heartbeat = Some(Instant::now());
    for offset in 0..records {
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
    intake.finish(late, &[(partition(), Some(Offset(5)))]);
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
    intake.finish(late, &[(partition(), None)]);
    assert!(intake.lock().partitions[&partition()].in_work);
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
