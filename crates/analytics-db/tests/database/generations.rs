//! Identities of several generations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use analytics_core::record::{Offset, Place, Record, TopicPartition};
use analytics_core::rejection::Reason;
use analytics_db::batch::Reread;
use analytics_db::tables::generations::{self, Keys, Turned};
use analytics_testkit::database::Database;

use crate::batches::{batch, log, of_records, write};

/// Lets time pass for the generations of both tables, and turns them.
fn turn(database: &Database, days: i32) -> [Turned; 2] {
    database.execute(&format!(
        "UPDATE identity_generations SET opened_at = opened_at - make_interval(days => {days}), \
         closed_at = closed_at - make_interval(days => {days})"
    ));
    Keys::ALL.map(|keys| generations::turn(&mut database.connect(), keys, 35).unwrap())
}

const NOTHING: Turned = Turned { begun: false, dropped: 0, postponed: false };
const BEGUN: Turned = Turned { begun: true, ..NOTHING };

fn tables(database: &Database) -> Vec<String> {
    let tables = "SELECT inhrelid::regclass::text FROM pg_inherits \
                  WHERE inhparent IN ('event_keys'::regclass, 'order_keys'::regclass) ORDER BY 1";
    database.lines(tables)
}

#[test]
fn an_identity_is_found_in_every_generation_until_it_is_dropped() {
    let database = Database::migrated();
    let mut offset = 0;
    // An event of another day is the same one with other content.
    let mut again = |database: &Database, day: u32| {
        let view = format!(r#"{{"productId":"p","eventId":"e","viewedAt":"2026-11-{day}T10:00:00Z"}}"#);
        let order = format!(r#"{{"orderId":"o","total":1,"createdAt":"2026-11-{day}T10:00:00Z"}}"#);
        let mut records = batch(&[("product.viewed", offset, &view), ("order.created", offset, &order)]);
        let written = write(database, &mut records, Reread::Unlikely).unwrap();
        offset += 1;
        (
            written.events.values().sum::<u64>(),
            written.duplicates,
            written.rejected.get(&Reason::IdentityConflict).copied(),
        )
    };
    assert_eq!(again(&database, 10), (2, 0, None));
    assert_eq!(turn(&database, 6), [NOTHING, NOTHING]);
    for generation in 2..=5 {
        assert_eq!(turn(&database, 7), [BEGUN, BEGUN]);
        assert_eq!(tables(&database).len(), 2 * generation);
        assert_eq!(again(&database, 10), (0, 2, None));
        assert_eq!(again(&database, 11), (0, 0, Some(2)));
    }
    assert_eq!(database.lines("SELECT DISTINCT generation::text FROM event_keys"), ["1"]);
    // The first generation was closed 21 days ago; after 35 it is dropped.
    assert_eq!(turn(&database, 7), [BEGUN, BEGUN]);
    assert_eq!(again(&database, 11), (0, 0, Some(2)));
    assert_eq!(turn(&database, 7).map(|turned| turned.dropped), [1, 1]);
    assert!(!tables(&database).contains(&"event_keys_1".to_owned()));
    assert_eq!(again(&database, 12), (2, 0, None));
}

#[test]
fn a_partition_that_an_interrupted_run_left_is_used() {
    let database = Database::migrated();
    database.execute(
        "CREATE TABLE event_keys_2 (LIKE event_keys INCLUDING DEFAULTS);
         CREATE TABLE order_keys_2 PARTITION OF order_keys FOR VALUES IN (2)",
    );
    assert_eq!(turn(&database, 7), [BEGUN, BEGUN]);
    assert_eq!(tables(&database), ["event_keys_1", "event_keys_2", "order_keys_1", "order_keys_2"]);
    assert_eq!(turn(&database, 0), [NOTHING, NOTHING]);
}

#[test]
fn batches_count_an_identity_once_while_generations_change() {
    const EVENTS: i64 = 150;
    let database = Database::migrated();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        // Both write the same events at about the same time, from different partitions.
        let writers = [0, 1].map(|partition| {
            let database = &database;
            scope.spawn(move || {
                for offset in 0..EVENTS {
                    let view = format!(r#"{{"productId":"p","eventId":"e-{offset}"}}"#);
                    let partition = TopicPartition { topic: "product.viewed".into(), partition };
                    let place = Place { partition, offset: Offset(offset), timestamp: Some(1_793_491_200_000) };
                    let record = Record { place, key: None, headers: vec![], payload: Some(view.into_bytes()) };
                    log(database, &mut of_records(std::iter::once(record)), Reread::Unlikely).unwrap();
                }
            })
        });
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                turn(&database, 7);
            }
        });
        let written = writers.map(|writer| writer.join());
        ended.store(true, Ordering::Relaxed);
        written.into_iter().for_each(Result::unwrap);
    });
    assert!(tables(&database).len() > 4, "{:?}", tables(&database));
    assert_eq!(database.number("SELECT count(*) FROM event_logs"), Some(EVENTS));
}
