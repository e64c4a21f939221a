//! The fold: what it counts, what it leaves for later, and up to where it says that partitions are counted.

use std::time::Duration;

use analytics_core::record::{Offset, TopicPartition};
use analytics_db::batch::Reread;
use analytics_db::tables::ingest_offsets::{self, Gap};
use analytics_db::tables::maintenance;
use analytics_db::transactions::assignment;
use analytics_db::transactions::fold::{self, Folded, Turn};
use analytics_testkit::database::Database;
use diesel::connection::SimpleConnection;

use crate::batches::{batch, business, log};

const VIEWS: &str = "SELECT value FROM metrics WHERE type = 'total_views'";
const OFFSETS: &str = "SELECT topic || ' ' || next_offset || ' ' || counted_offset FROM ingest_offsets ORDER BY topic";

fn fold(database: &Database) -> Folded {
    fold::fold(&mut database.connect(), business(), Turn::IfFree, fold::MOST).unwrap()
}

/// Logs a view of a product for each offset.
fn log_views(database: &Database, offsets: std::ops::Range<i64>) {
    let view = r#"{"productId":"p","vendorId":"v","viewedAt":"2026-11-20T10:00:00Z"}"#;
    let records: Vec<_> = offsets.map(|offset| ("product.viewed", offset, view)).collect();
    log(database, &mut batch(&records), Reread::Unlikely).unwrap();
}

fn views() -> TopicPartition {
    TopicPartition { topic: "product.viewed".into(), partition: 0 }
}

#[test]
fn a_batch_without_events_moves_the_counted_offset() {
    let database = Database::migrated();
    log(&database, &mut batch(&[("product.viewed", 0, "{}")]), Reread::Unlikely).unwrap();
    assert_eq!(database.lines(OFFSETS), ["product.viewed 1 0"]);
    assert_eq!(database.number("SELECT count(*) FROM dead_letters"), Some(1));
    assert_eq!(fold(&database), Folded::Batches { batches: 1, records: 1 });
    assert_eq!(database.lines(OFFSETS), ["product.viewed 1 1"]);
    assert_eq!(database.number("SELECT number FROM watermark"), Some(1));
    assert!(fold::backlog(&mut database.connect()).unwrap().is_empty());
}

#[test]
fn batches_are_counted_in_parts_in_the_order_in_which_they_were_logged() {
    let database = Database::migrated();
    log_views(&database, 0..3);
    log_views(&database, 3..5);
    for (views, offsets) in [(3, "product.viewed 5 3"), (5, "product.viewed 5 5")] {
        fold::fold(&mut database.connect(), business(), Turn::Queued, 1).unwrap();
        assert_eq!((database.number(VIEWS), database.lines(OFFSETS)), (Some(views), vec![offsets.to_owned()]));
    }
}

#[test]
fn a_locked_offset_stops_no_fold_and_is_stored_by_the_next_one() {
    let database = Database::migrated();
    log_views(&database, 0..3);
    log(&database, &mut batch(&[("user.registered", 0, r#"{"userId":"u"}"#)]), Reread::Unlikely).unwrap();
    let mut holder = database.connect();
    let lock = "BEGIN; SELECT FROM ingest_offsets WHERE topic = 'product.viewed' FOR UPDATE";
    holder.batch_execute(lock).unwrap();
    fold(&database);
    assert_eq!(database.number(VIEWS), Some(3));
    assert_eq!(database.lines(OFFSETS), ["product.viewed 3 0", "user.registered 1 1"]);
    assert!(!fold::backlog(&mut database.connect()).unwrap().is_empty());
    drop(holder);
    // It is stored although more waits meanwhile, and also when nothing does.
    log_views(&database, 3..4);
    fold::fold(&mut database.connect(), business(), Turn::Queued, fold::MOST).unwrap();
    assert_eq!(database.lines(OFFSETS), ["product.viewed 4 4", "user.registered 1 1"]);
    database.execute("UPDATE ingest_offsets SET counted_offset = 1");
    assert_eq!(fold(&database), Folded::Batches { batches: 0, records: 0 });
    assert_eq!(database.lines(OFFSETS), ["product.viewed 4 4", "user.registered 1 1"]);
}

#[test]
fn a_batch_of_a_newer_format_is_left_and_nothing_is_said_to_be_counted_past_it() {
    let database = Database::migrated();
    log_views(&database, 0..3);
    database.execute("UPDATE batches SET format = format + 9");
    log_views(&database, 3..4);
    assert_eq!(fold(&database), Folded::Batches { batches: 1, records: 1 });
    assert_eq!((database.number(VIEWS), database.lines(OFFSETS)), (Some(1), vec!["product.viewed 4 0".to_owned()]));
    assert_eq!(database.number("SELECT counted_timestamp FROM ingest_offsets"), None);
    assert_eq!(fold(&database), Folded::Batches { batches: 0, records: 0 });
    fold::catch_up(&mut database.connect(), business()).unwrap();
    // No writer waits for what only a newer program can count.
    let backlog = fold::backlog(&mut database.connect()).unwrap();
    assert_eq!((backlog.batches, backlog.records, backlog.oldest), (0, 0, Duration::ZERO));
    // A newer program counts it.
    database.execute("UPDATE batches SET format = format - 9 WHERE number IS NULL");
    fold(&database);
    assert_eq!((database.number(VIEWS), database.lines(OFFSETS)), (Some(4), vec!["product.viewed 4 4".to_owned()]));
}

#[test]
fn an_offset_that_is_set_while_batches_wait_is_not_counted_before_they_are() {
    let gap = |from: i64, resume_at: i64| {
        move |database: &Database| {
            let gap = Gap { from: Offset(from), to: Offset(from + 50), resume_at: Offset(resume_at) };
            assert!(assignment::record_gap(&mut database.connect(), "group", &views(), gap, "retention").unwrap());
        }
    };
    let set = |to: i64| {
        move |database: &Database| {
            assert!(ingest_offsets::set(&mut database.connect(), "group", &views(), Offset(to)).unwrap());
        }
    };
    type Change<'a> = &'a dyn Fn(&Database);
    let cases: [(Change<'_>, _, _); 4] = [
        (&set(50), "product.viewed 50 0", "product.viewed 50 50"),
        (&set(1), "product.viewed 1 0", "product.viewed 1 1"),
        (&gap(3, 50), "product.viewed 50 0", "product.viewed 50 50"),
        (&gap(3, 2), "product.viewed 2 0", "product.viewed 2 2"),
    ];
    for (change, before, after) in cases {
        let database = Database::migrated();
        log_views(&database, 0..3);
        change(&database);
        assert_eq!(database.lines(OFFSETS), [before]);
        fold(&database);
        assert_eq!((database.number(VIEWS), database.lines(OFFSETS)), (Some(3), vec![after.to_owned()]));
        // Where nothing waits, it counts as counted at once.
        set(7)(&database);
        assert_eq!(database.lines(OFFSETS), ["product.viewed 7 7"]);
    }
}

#[test]
fn adjacent_ranges_are_one_and_those_of_another_log_are_not() {
    const RANGES: &str =
        "SELECT concat_ws(' ', from_offset, to_offset, records, digest, state) FROM offset_ranges ORDER BY id";
    let database = Database::migrated();
    log_views(&database, 0..3);
    fold(&database);
    let first = database.lines(RANGES);
    assert!(first.len() == 1 && first[0].starts_with("0 3 3 ") && first[0].ends_with(" waiting"), "{first:?}");
    for offset in 3..20 {
        log_views(&database, offset..offset + 1);
    }
    fold(&database);
    let (all, other) = (Database::migrated(), Database::migrated());
    log_views(&all, 0..20);
    fold(&all);
    // Digests of ranges add up to that of all of them, although the sum is past 2^128.
    assert_eq!(database.lines(RANGES), all.lines(RANGES));
    assert_eq!(
        database.number("SELECT count(*) FROM batches WHERE num_nonnulls(ends, delivered, digests, logs) > 0"),
        Some(0)
    );
    // A range that was closed or is old is not extended, nor one of another log, nor over a gap.
    let places = "SELECT concat_ws(' ', from_offset, to_offset, records, state) FROM offset_ranges ORDER BY id";
    type Change = (&'static str, &'static [&'static str]);
    let changes: [Change; 2] = [
        ("UPDATE offset_ranges SET is_open = false", &["0 20 20 waiting", "20 22 2 waiting"]),
        (
            "UPDATE offset_ranges SET first_logged_at = now() - interval '301 s'",
            &["0 20 20 waiting", "20 22 2 waiting", "22 24 2 waiting"],
        ),
    ];
    for ((change, expected), from) in changes.into_iter().zip([20, 22]) {
        database.execute(change);
        log_views(&database, from..from + 2);
        fold(&database);
        assert_eq!(database.lines(places), expected);
    }
    // Offsets were set back before the fold: both pieces begin where the range ends, and neither is lost.
    let twice = Database::migrated();
    log_views(&twice, 0..3);
    fold(&twice);
    log_views(&twice, 3..5);
    twice.execute("UPDATE ingest_offsets SET next_offset = 3");
    let again = [3, 4, 5].map(|offset| ("product.viewed", offset, r#"{"productId":"p"}"#));
    log(&twice, &mut batch(&again), Reread::Possible).unwrap();
    fold(&twice);
    assert_eq!(twice.lines(places), ["0 5 5 waiting", "3 6 3 waiting"]);
    log_views(&other, 0..3);
    fold(&other);
    for (from, to, resume_at) in [(3, 5, 5), (7, 7, 0)] {
        let gap = Gap { from: Offset(from), to: Offset(to), resume_at: Offset(resume_at) };
        assert!(assignment::record_gap(&mut other.connect(), "group", &views(), gap, "lost").unwrap());
        let view = |offset| ("product.viewed", offset, r#"{"productId":"p"}"#);
        let again = [view(resume_at), view(resume_at + 1)];
        log(&other, &mut batch(&again), Reread::Possible).unwrap();
        fold(&other);
    }
    assert_eq!(other.lines(places), ["0 3 3 waiting", "3 5 0 gap", "5 7 2 waiting", "0 2 2 waiting"]);
    let logs = "SELECT count(DISTINCT log_since) FROM offset_ranges";
    assert_eq!(other.number(logs), Some(2));
}

#[test]
fn old_ranges_that_were_never_audited_are_joined_and_those_of_another_log_deleted() {
    const RANGES: &str =
        "SELECT concat_ws(' ', from_offset, to_offset, records, digest) FROM offset_ranges ORDER BY id";
    let (database, whole) = (Database::migrated(), Database::migrated());
    for offset in 0..6 {
        log_views(&database, offset..offset + 1);
        fold(&database);
        database.execute("UPDATE offset_ranges SET is_open = false");
    }
    let each = database.lines(RANGES);
    assert_eq!(each.len(), 6);
    let tidied = |days: u32| {
        database.execute(&format!("UPDATE offset_ranges SET last_logged_at = now() - interval '{days} days'"));
        maintenance::delete_leftovers(&mut database.connect(), 35).unwrap().ranges
    };
    assert_eq!((tidied(39), database.lines(RANGES)), (0, each));
    log_views(&whole, 0..6);
    fold(&whole);
    assert_eq!((tidied(41), database.lines(RANGES)), (5, whole.lines(RANGES)));
    database.execute("UPDATE ingest_offsets SET log_since = now()");
    assert_eq!((tidied(41), database.lines(RANGES)), (1, vec![]));
}

#[test]
fn two_folds_at_once_count_every_batch_once() {
    let database = Database::migrated();
    for offset in 0..40 {
        log_views(&database, offset..offset + 1);
    }
    std::thread::scope(|scope| {
        for turn in [Turn::IfFree, Turn::Within(std::time::Duration::from_secs(60)), Turn::Queued, Turn::IfFree] {
            let database = &database;
            scope.spawn(move || {
                let connection = &mut database.connect();
                while !fold::backlog(connection).unwrap().is_empty() {
                    fold::fold(connection, business(), turn, 3).unwrap();
                }
            });
        }
    });
    assert_eq!((database.number(VIEWS), database.lines(OFFSETS)), (Some(40), vec!["product.viewed 40 40".to_owned()]));
    assert_eq!(database.number("SELECT count(DISTINCT number) FROM batches"), Some(40));
}

/// What a view, an order of 12.34 EUR, a signup and a rating of four stars add, in format 1, and the
/// vendor that they name. Such values wait in databases: who changes their structure gives them a new
/// format, and still reads this one.
const FORMAT_1: (&str, &str) = (
    "0567726f7570040d6f726465722e63726561746564000200000180a096eac9acb0060e70726f647563742e76696577656400\
     0200000180a096eac9acb0060e726174696e672e75706461746564000200000180a096eac9acb0060f757365722e72656769\
     737465726564000200000180a096eac9acb0060680b6fcaf0d020170034555520000000001a413c0e880b00d030176000102\
     00010201040080b6fcaf0d020170000102000102010400c0e880b00d0000010201020102010400c0e880b00d030176034555\
     520000000001a413c0e880b00d00034555520000000001a413011070726f647563745f726174696e673a7001750480a096ea\
     c9acb0061001a1f8660d00853b83d556172cb8071a040a323032362d31312d32300e70726f647563742e766965776564020a\
     323032362d31312d32300e726174696e672e75706461746564020a323032362d31312d32300f757365722e72656769737465\
     726564020a323032362d31312d32300d6f726465722e6372656174656402",
    "010170017680a096eac9acb0061001a1f8660d008b71891af18424dd87c2",
);

#[test]
fn values_that_wait_stay_readable() {
    let database = Database::migrated();
    let batches = format!(
        "INSERT INTO batches (id, kind, records, weight, format, deltas, learned) \
         SELECT n, 'ingest', 4, 12, 1, '\\x{}', '\\x{}' FROM generate_series(1, 2) AS n",
        FORMAT_1.0, FORMAT_1.1
    );
    database.execute(&batches);
    assert_eq!(fold(&database), Folded::Batches { batches: 2, records: 8 });
    let numbers = [
        "conversion_rate:v 10000",
        "daily_signups:2026-11-20 2",
        "product_orders:p 2",
        "product_rating:p 400",
        "product_revenue:p:EUR 2468",
        "product_units:p 4",
        "product_views:p 2",
        "refund_rate:v:EUR 0",
        "seller_net_revenue:v:EUR 2468",
        "seller_orders:v 2",
        "seller_revenue:v:EUR 2468",
        "seller_units:v 4",
        "seller_views:v 2",
        "total_net_revenue:EUR 2468",
        "total_orders 2",
        "total_revenue:EUR 2468",
        "total_signups 2",
        "total_units 4",
        "total_views 2",
    ];
    assert_eq!(database.lines("SELECT type || ' ' || value FROM metrics ORDER BY type COLLATE \"C\""), numbers);
    assert_eq!(database.lines("SELECT product_id || ' ' || vendor_id FROM product_vendors"), ["p v"]);
    for broken in ["deltas || '\\x00'", "substr(deltas, 1, length(deltas) - 1)", "deltas, learned = '\\x01'"] {
        let database = Database::migrated();
        database.execute(&batches);
        database.execute(&format!("UPDATE batches SET deltas = {broken}"));
        let refused = fold::fold(&mut database.connect(), business(), Turn::IfFree, fold::MOST).unwrap_err();
        assert!(refused.to_string().contains("cannot be read"), "{refused}");
    }
}
