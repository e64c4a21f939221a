//! A batch is written completely or not at all, and nothing is counted twice.

use std::time::Duration;

use analytics_core::record::Offset;
use analytics_core::rejection::Reason;
use analytics_db::DbError;
use analytics_db::batch::Reread;
use analytics_db::error::WriteError;
use analytics_db::tables::ingest_offsets;
use analytics_db::tables::ingest_offsets::Gap;
use analytics_db::transactions::assignment;
use analytics_testkit::database::Database;
use analytics_testkit::wait;
use diesel::connection::SimpleConnection;

use crate::batches::{batch, start, write};

const VIEW: &str = r#"{"productId":"p","vendorId":"v"}"#;
const ORDER: &str = r#"{"orderId":"o","items":[{"productId":"p","price":"2.00","qty":2}]}"#;

/// The identities of events and of orders.
const KEYS: &str = "(SELECT key, event_id FROM event_keys UNION ALL SELECT key, event_id FROM order_keys) k";

fn everything(database: &Database) -> Vec<String> {
    [
        "event_logs",
        "order_lines",
        "metrics",
        "rollups",
        "event_keys",
        "order_keys",
        "product_vendors",
        "dead_letters",
        "ingest_offsets",
        "arrivals",
    ]
    .iter()
    .flat_map(|table| database.lines(&format!("SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1")))
    .collect()
}

#[test]
fn a_stale_writer_is_fenced_and_changes_nothing() {
    let database = Database::migrated();
    write(&database, &mut batch(&[("product.viewed", 0, VIEW), ("order.created", 0, ORDER)]), Reread::Unlikely)
        .unwrap();
    let before = everything(&database);
    // It still expects the offset of the order's partition at 0; the offset of the view's partition
    // would be right.
    let mut stale = batch(&[("product.viewed", 1, VIEW), ("order.created", 0, r#"{"orderId":"x","total":1}"#)]);
    let refused = write(&database, &mut stale, Reread::Unlikely).unwrap_err();
    assert!(matches!(refused, WriteError::Fenced), "{refused:?}");
    assert_eq!(everything(&database), before);
}

#[test]
fn a_batch_is_not_counted_again_after_a_lost_answer_to_commit() {
    let database = Database::migrated();
    let mut same = batch(&[("product.viewed", 0, VIEW), ("order.created", 0, ORDER)]);
    write(&database, &mut same, Reread::Unlikely).unwrap();
    let before = everything(&database);
    // The writer does not know that it was committed, and writes the same batch again.
    let again = write(&database, &mut same, Reread::Unlikely).unwrap_err();
    assert!(matches!(again, WriteError::Fenced | WriteError::AlreadyLogged), "{again:?}");
    let looked_up = write(&database, &mut same, Reread::Possible).unwrap_err();
    assert!(matches!(looked_up, WriteError::Fenced), "{looked_up:?}");
    assert_eq!(everything(&database), before);
    let partitions: Vec<_> = same.spans.iter().map(|span| span.partition.clone()).collect();
    let stored = ingest_offsets::load(&mut database.connect(), "group", &partitions).unwrap();
    assert!(
        same.spans.iter().all(|span| stored[&span.partition] == span.next),
        "the stored offsets show what was committed"
    );
}

#[test]
fn records_read_again_are_found_by_their_ids() {
    let database = Database::migrated();
    let records = [
        ("product.viewed", 0, VIEW),
        ("product.viewed", 1, VIEW),
        ("order.created", 0, ORDER),
        ("order.created", 1, "{}"),
    ];
    write(&database, &mut batch(&records), Reread::Unlikely).unwrap();
    let numbers = || {
        let metrics = database.lines("SELECT type || ' ' || value FROM metrics ORDER BY 1");
        (
            metrics,
            database.number("SELECT count(*) FROM event_logs"),
            database.number("SELECT count(*) FROM dead_letters"),
        )
    };
    let before = numbers();
    database.execute("UPDATE ingest_offsets SET next_offset = 0");
    let blind = write(&database, &mut batch(&records), Reread::Unlikely).unwrap_err();
    assert!(matches!(blind, WriteError::AlreadyLogged), "{blind:?}");
    let written = write(&database, &mut batch(&records), Reread::Possible).unwrap();
    assert_eq!((written.duplicates, written.reread, written.events.len()), (3, 3, 0));
    assert_eq!(numbers(), before);
    // The keys are deleted after DEDUPE_DAYS; the log still has the ids.
    database.execute("UPDATE ingest_offsets SET next_offset = 0; DELETE FROM event_keys; DELETE FROM order_keys");
    assert_eq!(write(&database, &mut batch(&records), Reread::Possible).unwrap().duplicates, 3);
    assert_eq!(numbers(), before);
}

#[test]
fn an_identity_that_a_rejected_record_claimed_is_free_again() {
    let database = Database::migrated();
    let order = |offset, order: &str, event: &str, total: i64| {
        (offset, format!(r#"{{"orderId":"{order}","eventId":"{event}","total":{total}}}"#))
    };
    let records = [order(0, "a", "e1", 1), order(1, "a", "e2", 2), order(2, "b", "e2", 3), order(3, "a", "e3", 9)];
    let records: Vec<_> =
        records.iter().map(|(offset, payload)| ("order.created", *offset, payload.as_str())).collect();
    let written = write(&database, &mut batch(&records), Reread::Unlikely).unwrap();
    assert_eq!(written.rejected.get(&Reason::IdentityConflict), Some(&2));
    assert_eq!(written.events["order.created"], 2);
    // a, e1, b, e2. The last record's e3 belongs to no event.
    assert_eq!(database.number(&format!("SELECT count(*) FROM {KEYS}")), Some(4));
    let dangling =
        format!("SELECT count(*) FROM {KEYS} LEFT JOIN event_logs e ON e.id = k.event_id WHERE e.id IS NULL");
    assert_eq!(database.number(&dangling), Some(0));
    let later = order(4, "c", "e3", 5);
    let written = write(&database, &mut batch(&[("order.created", 4, &later.1)]), Reread::Unlikely).unwrap();
    assert_eq!(written.events["order.created"], 1);
}

#[test]
fn decisions_are_stored_with_the_event() {
    let database = Database::migrated();
    write(&database, &mut batch(&[("product.viewed", 0, VIEW)]), Reread::Unlikely).unwrap();
    let view = r#"{"productId":"p"}"#;
    write(&database, &mut batch(&[("order.created", 0, ORDER), ("product.viewed", 1, view)]), Reread::Unlikely)
        .unwrap();
    let decided = database.lines(
        "SELECT concat_ws(' ', e.event_type, coalesce(l.vendor_id, e.vendor_id), coalesce(l.vendor_learned, e.vendor_learned), \
         l.quantity, l.amount, l.currency, e.rules_version) \
         FROM event_logs e LEFT JOIN order_lines l ON l.event_id = e.id ORDER BY 1",
    );
    assert_eq!(decided, ["order.created v t 2 400 USD 2", "product.viewed v f 2", "product.viewed v t 2"]);
}

#[test]
fn an_old_event_is_stored_in_the_default_partition_and_a_gap_is_recorded_once() {
    let database = Database::migrated();
    let old = r#"{"productId":"p","viewedAt":"2001-02-03"}"#;
    let mut batch = batch(&[("product.viewed", 0, old)]);
    write(&database, &mut batch, Reread::Unlikely).unwrap();
    assert_eq!(database.number("SELECT count(*) FROM event_logs_default"), Some(1));
    let partition = batch.spans[0].partition.clone();
    let connection = &mut database.connect();
    let record = |connection: &mut _| {
        let gap = Gap { from: Offset(1), to: Offset(50), resume_at: Offset(50) };
        assignment::record_gap(connection, "group", &partition, gap, "retention").unwrap()
    };
    assert!(record(connection));
    assert!(!record(connection), "already recorded by another worker");
    let gaps =
        database.lines("SELECT concat_ws(' ', topic, partition, from_offset, to_offset, reason) FROM ingest_gaps");
    assert_eq!(gaps, ["product.viewed 0 1 50 retention"]);
    assert_eq!(database.number("SELECT next_offset FROM ingest_offsets"), Some(50));
}

#[test]
fn a_lock_timeout_is_a_failure_and_never_a_rejection() {
    let database = Database::migrated();
    let mut batch = batch(&[("product.viewed", 0, VIEW)]);
    start(&database, &batch);
    let mut holder = database.connect();
    holder.batch_execute("BEGIN; LOCK TABLE arrivals IN EXCLUSIVE MODE").unwrap();
    let failed = write(&database, &mut batch, Reread::Unlikely).unwrap_err();
    assert!(matches!(failed, WriteError::Database(DbError::Statement(_))), "{failed:?}");
    let refused = analytics_db::transactions::refusal::reject_refused(&mut database.connect(), &mut batch);
    assert_eq!(refused.unwrap(), 0);
    drop(holder);
    write(&database, &mut batch, Reread::Unlikely).unwrap();
}

/// Statements find their rows by keys, whatever the planner estimates for joins: a batch must not
/// cost more the more was counted before. `product_vendors` is queried by a list of keys, for which
/// the planner may read the whole table where that is quicker.
#[test]
fn a_batch_never_reads_a_whole_table() {
    const HELD: i64 = 50_000;
    let database = Database::migrated();
    database.execute(&format!(
        "INSERT INTO ratings SELECT 'product_rating:q-' || n, 'u-' || n, 5, now(), gen_random_uuid()
             FROM generate_series(1, {HELD}) n;
         INSERT INTO metrics (type, value) SELECT 'product_views:q-' || n, 0 FROM generate_series(1, {HELD}) n;
         INSERT INTO event_keys SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1
             FROM generate_series(1, {HELD});
         INSERT INTO order_keys (key, digest, event_id, generation)
             SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1
             FROM generate_series(1, {HELD});
         ANALYZE"
    ));
    let payloads: Vec<_> = (0..6_000)
        .map(|n| {
            let (topic, payload) = match n % 3 {
                0 => ("product.viewed", format!(r#"{{"productId":"p-{n}"}}"#)),
                1 => ("order.created", format!(r#"{{"orderId":"{n}","items":[{{"productId":"p-{n}","price":1}}]}}"#)),
                _ => ("rating.updated", format!(r#"{{"userId":"{n}","productId":"p-{n}","vendorId":"v","stars":4}}"#)),
            };
            (topic, n / 3, payload)
        })
        .collect();
    let records: Vec<_> = payloads.iter().map(|(topic, offset, payload)| (*topic, *offset, payload.as_str())).collect();
    let rows_read = || {
        // The statistics of another session are only complete when it has ended.
        wait::until("the sessions to end", Duration::from_secs(10), || {
            let others = "SELECT count(*) FROM pg_stat_activity \
                          WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
            (database.number(others) == Some(0)).then_some(())
        });
        database.lines(
            "SELECT relname || ' ' || seq_tup_read FROM pg_stat_user_tables \
             WHERE relname IN ('ratings', 'metrics', 'event_keys_1', 'order_keys_1', 'rollups') ORDER BY 1",
        )
    };
    let before = rows_read();
    assert_eq!(before.len(), 5);
    write(&database, &mut batch(&records), Reread::Unlikely).unwrap();
    assert_eq!(rows_read(), before);
}
