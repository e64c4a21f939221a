//! Partitions that are exchanged for others while the log is read and written.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration as StdDuration;

use analytics_db::migrations;
use analytics_db::tables::partitions::{self, Moved};
use analytics_testkit::database::{Database, number};
use analytics_testkit::wait;
use chrono::{DateTime, Duration, Utc};
use diesel::connection::SimpleConnection;

fn now() -> DateTime<Utc> {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// Returns SQL that logs an event, an order of two lines, in each of `events` seconds from a time on.
fn logged(start: DateTime<Utc>, events: u32) -> String {
    let id = format!(
        "(lpad(to_hex({} + n * 1000), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid",
        start.timestamp_millis()
    );
    format!(
        "INSERT INTO event_logs (id, event_type, user_id, metadata, created_at, ingested_at, rules_version, batch_id, seal) \
         SELECT {id}, 'order.created', 'u-' || n % 100, '{{\"x\": 1}}', '{start}', '{start}', 1, 1, n \
             FROM generate_series(1, {events}) AS n; \
         INSERT INTO order_lines (event_id, line, product_id, vendor_id, quantity, amount, currency) \
         SELECT {id}, line, 'p', 'v', 1, n, 'USD' FROM generate_series(1, {events}) AS n, generate_series(1, 2) AS line;"
    )
}

/// Returns all rows of both tables, as digests.
fn rows(database: &Database) -> Vec<String> {
    let digest =
        |table: &str| format!("SELECT count(*) || ' ' || md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t");
    ["event_logs", "order_lines"].iter().flat_map(|table| database.lines(&digest(table))).collect()
}

/// Returns the partitions of the log that have rows.
fn used(database: &Database) -> Vec<String> {
    database.lines("SELECT DISTINCT tableoid::regclass::text FROM event_logs ORDER BY 1")
}

fn arrange(database: &Database, now: DateTime<Utc>, tell: impl Fn(&str)) -> Moved {
    partitions::arrange(&mut database.connect(), &database.address(), now, tell).unwrap().unwrap()
}

/// Asserts that nothing is left of an exchange, and that every index of the log is one of each partition.
fn assert_tidy(database: &Database) {
    let left = "SELECT relname::text FROM pg_class WHERE relname IN ('exchange_changes', 'event_logs_rest', 'order_lines_rest') \
         UNION ALL SELECT tgname::text FROM pg_trigger WHERE tgname = 'note_exchange_change' \
         UNION ALL SELECT proname::text FROM pg_proc WHERE proname = 'note_exchange_change' \
         UNION ALL SELECT conname::text FROM pg_constraint WHERE conname IN ('in_range', 'before_all_partitions') \
         UNION ALL SELECT description FROM pg_description WHERE description LIKE 'Being filled%' \
         UNION ALL SELECT relname::text FROM pg_class WHERE relkind = 'r' AND NOT relispartition \
             AND relname ~ '^(event_logs|order_lines)_'";
    assert_eq!(database.lines(left), [""; 0]);
    let invalid = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid AND indexrelid::regclass::text !~ 'toast'";
    assert_eq!(database.lines(invalid), [""; 0]);
}

/// A database with partitions around 300 days ago, when `rows` were logged in two partitions of the same thirty days.
fn with_old_partitions() -> (Database, DateTime<Utc>) {
    let database = Database::empty();
    let connection = &mut database.connect();
    migrations::migrate(connection).unwrap();
    let then = now() - Duration::days(300);
    partitions::ensure(connection, then).unwrap();
    let start = DateTime::from_timestamp(then.timestamp().div_euclid(30 * 86_400) * 30 * 86_400, 0).unwrap();
    database.execute(&logged(start, 500));
    database.execute(&logged(start + Duration::days(4), 500));
    (database, start)
}

/// Returns the name of the partition of thirty days.
fn merged(start: DateTime<Utc>) -> String {
    let end = start + Duration::days(29);
    format!("event_logs_{}_to_{}", start.format("%Y_%m_%d"), end.format("%Y_%m_%d"))
}

#[test]
fn partitions_of_old_days_are_merged_without_changing_a_row() {
    let (database, start) = with_old_partitions();
    let (before, two) = (rows(&database), used(&database));
    assert_eq!(two.len(), 2);
    let count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'event_logs'::regclass";
    let partitions_before = database.number(count).unwrap();

    let told = RefCell::new(Vec::new());
    let foreign = include_str!("../../src/transactions/foreign_triggers.sql");
    let moved = arrange(&database, now(), |step| {
        told.borrow_mut().push(step.to_owned());
        let foreign = format!("SELECT named FROM ({foreign}) AS f");
        assert_eq!(database.lines(&foreign), [""; 0], "ingest stops where somebody else's trigger is");
    });
    assert_eq!((moved.separated, moved.postponed), (0, 0));
    assert!(moved.merged > 60, "{moved:?}");
    assert!(told.borrow().iter().any(|step| step.starts_with("copying events to event_logs_")), "{told:?}");
    assert_eq!(rows(&database), before);
    let name = merged(start);
    assert_eq!(used(&database), [name.as_str()]);
    let left = i64::try_from(moved.merged / 2).unwrap();
    assert!(database.number(count).unwrap() < partitions_before - left * 8 / 10, "ten become one");
    assert_tidy(&database);
    for index in ["by_user", "by_product", "by_vendor"] {
        let valid =
            format!("SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid = '{name}_{index}'::regclass");
        assert_eq!(database.number(&valid), Some(1), "{index}");
    }
    let of = |name: &str| format!("SELECT count(*) FROM pg_index WHERE indrelid = '{name}'::regclass");
    assert_eq!(database.number(&of(&name)), database.number(&of("event_logs")).map(|own| own + 3));
    assert_eq!(arrange(&database, now(), |_| {}), Moved::default(), "done once");

    database.execute(&logged(start + Duration::days(2), 1));
    assert_eq!(used(&database), [name], "a late event");
    // The same event is refused, as before.
    let again = logged(start + Duration::days(2), 1);
    database.connect().batch_execute(&again).unwrap_err();
}

#[test]
fn rows_that_change_meanwhile_are_the_same_afterwards() {
    let (database, start) = with_old_partitions();
    let (untouched, _) = with_old_partitions();
    let first = |number: u32| format!("WHERE id IN (SELECT id FROM event_logs ORDER BY id LIMIT {number})");
    let change = |database: &Database, step: u32| {
        let day = start + Duration::days(i64::from(step % 5));
        database.execute(&logged(day + Duration::hours(1) + Duration::seconds(i64::from(step)), 1));
        database.execute(&format!("UPDATE event_logs SET vendor_id = 'learned-{step}' {}", first(step)));
        database.execute(&format!(
            "DELETE FROM order_lines WHERE event_id IN (SELECT id FROM event_logs ORDER BY id OFFSET {step} LIMIT 1)"
        ));
        database.execute(&format!(
            "DELETE FROM event_logs WHERE id IN (SELECT id FROM event_logs ORDER BY id OFFSET {step} LIMIT 1)"
        ));
    };
    // Whatever is done next, rows change before it.
    let step = Cell::new(0);
    let moved = arrange(&database, now(), |_| {
        step.set(step.get() + 1);
        change(&database, step.get());
    });
    assert_eq!(moved.postponed, 0);
    for step in 1..=step.get() {
        change(&untouched, step);
    }
    assert!(step.get() > 20, "{step:?}");
    assert_eq!(rows(&database), rows(&untouched));
    assert_tidy(&database);
}

#[test]
fn nothing_is_lost_while_events_arrive_all_the_time() {
    let (database, start) = with_old_partitions();
    let before = database.number("SELECT count(*) FROM event_logs").unwrap();
    let (sender, stop) = std::sync::mpsc::channel::<()>();
    let arrived = thread::scope(|scope| {
        let writing = &database;
        let writer = scope.spawn(move || {
            let mut arrived = 0;
            while stop.recv_timeout(StdDuration::from_millis(20)).is_err() {
                arrived += 1;
                writing.execute(&logged(start + Duration::hours(2) + Duration::seconds(arrived), 1));
            }
            arrived
        });
        let moved = arrange(&database, now(), |_| {});
        assert!(moved.merged > 0, "{moved:?}");
        sender.send(()).unwrap();
        writer.join().unwrap()
    });
    assert!(arrived > 2, "{arrived}");
    assert_eq!(database.number("SELECT count(*) FROM event_logs"), Some(before + arrived));
    assert_eq!(database.number("SELECT count(*) FROM order_lines"), Some((before + arrived) * 2));
    assert_tidy(&database);
}

#[test]
fn a_transaction_that_began_before_the_last_copy_reads_every_row() {
    let (database, start) = with_old_partitions();
    let count = "SELECT count(*) FROM event_logs";
    let (holder, before) = (RefCell::new(database.connect()), database.number(count).unwrap());
    thread::scope(|scope| {
        let moved = Cell::new(None);
        let began = Cell::new(false);
        let reader = RefCell::new(None);
        moved.set(Some(arrange(&database, now(), |step| {
            if !step.starts_with("exchanging") || !step.ends_with(&merged(start)) || began.replace(true) {
                return;
            }
            // It is copied after the holder's snapshot.
            database.execute(&logged(start + Duration::hours(3), 1));
            let mut connection = holder.replace(database.connect());
            connection.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM batches").unwrap();
            let database = &database;
            *reader.borrow_mut() = Some(scope.spawn(move || {
                let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                     AND query LIKE 'CREATE INDEX CONCURRENTLY exchange_changes_key%' AND datname = current_database()";
                wait::until("the exchange to wait", StdDuration::from_secs(30), || {
                    database.number(waiting).filter(|count| *count == 1)
                });
                let seen = number(&mut connection, count);
                // One more, which is not copied yet when the exchange goes on.
                database.execute(&logged(start + Duration::hours(4), 1));
                connection.batch_execute("COMMIT").unwrap();
                seen
            }));
        })));
        let seen = reader.take().unwrap().join().unwrap();
        assert_eq!(seen, Some(before + 1));
        assert_eq!(moved.take().unwrap().postponed, 0);
    });
    assert_eq!(database.number(count), Some(before + 2));
    assert_eq!(used(&database).len(), 1);
}

#[test]
fn a_run_after_one_that_was_interrupted_begins_again() {
    let (database, _) = with_old_partitions();
    let before = rows(&database);
    let two = used(&database);
    let interrupted = catch_unwind(AssertUnwindSafe(|| {
        arrange(&database, now(), |step| assert!(!step.starts_with("exchanging"), "interrupted"));
    }));
    interrupted.unwrap_err();
    assert_eq!(used(&database), two);
    assert_eq!(rows(&database), before);
    assert!(database.number("SELECT count(*) FROM pg_trigger WHERE tgname = 'note_exchange_change'") > Some(0));
    let moved = arrange(&database, now(), |_| {});
    assert!(moved.merged > 0 && moved.postponed == 0, "{moved:?}");
    assert_eq!(rows(&database), before);
    assert_tidy(&database);
}

#[test]
fn what_another_run_has_begun_is_not_exchanged_by_one_that_lost_its_lock() {
    let (database, start) = with_old_partitions();
    let before = rows(&database);
    let other = format!(
        "DROP FUNCTION note_exchange_change() CASCADE; DROP TABLE exchange_changes; CREATE TABLE exchange_changes (key uuid); \
         DROP TABLE {name}; CREATE TABLE {name} (LIKE event_logs INCLUDING ALL)",
        name = merged(start)
    );
    let lost = partitions::arrange(&mut database.connect(), &database.address(), now(), |step| {
        if step.starts_with("exchanging") && step.ends_with(&merged(start)) {
            database.execute(&other);
        }
    });
    assert!(lost.unwrap_err().to_string().contains("another run exchanges partitions"));
    assert_eq!(rows(&database), before);
    let left =
        format!("SELECT to_regclass('{}') IS NOT NULL AND to_regclass('exchange_changes') IS NOT NULL", merged(start));
    assert_eq!(database.lines(&left), ["true"], "what the other run made");
}

#[test]
fn a_table_of_an_operator_with_the_name_of_a_partition_is_left_alone() {
    let (database, start) = with_old_partitions();
    let name = merged(start);
    database.execute(&format!("CREATE TABLE {name} AS SELECT 1 AS theirs"));
    let before = rows(&database);
    let moved = arrange(&database, now(), |_| {});
    assert_eq!(moved.postponed, 1);
    assert!(moved.merged > 0);
    assert_eq!(database.lines(&format!("SELECT theirs FROM {name}")), ["1"]);
    assert_eq!(rows(&database), before);
}

#[test]
fn what_fell_into_the_default_partition_gets_partitions_once_its_days_are_over() {
    let (database, start) = with_old_partitions();
    let connection = &mut database.connect();
    // The job did not run since, so that there are no partitions: neither for those days nor before all others.
    database.execute(&logged(now() - Duration::days(120), 300));
    database.execute(&logged(now() - Duration::days(20), 300));
    database.execute(&logged(start - Duration::days(400), 10));
    let before = rows(&database);
    let default = |database: &Database| database.number("SELECT count(*) FROM event_logs_default").unwrap();
    assert_eq!(default(&database), 610);

    partitions::ensure(connection, now()).unwrap();
    // An event of the present days in the default partition: it does not stand still.
    let present = now() - Duration::hours(3);
    assert_eq!(default(&database), 610);
    let moved = arrange(&database, now() - Duration::days(20), |_| {});
    assert_eq!((moved.separated, moved.postponed), (0, 0), "in use");
    assert_eq!(default(&database), 610);

    let moved = arrange(&database, now(), |_| {});
    assert_eq!((moved.separated, moved.postponed), (4, 0), "two ranges of each table");
    assert_eq!(rows(&database), before);
    assert_eq!(default(&database), 10, "what is older than all partitions is little");
    assert_tidy(&database);
    assert_eq!(partitions::ensure(connection, now()).unwrap(), partitions::Ensured::default());
    let moved = arrange(&database, now(), |_| {});
    assert_eq!((moved.separated, moved.postponed), (0, 0));
    database.execute(&logged(present, 1));
    database.execute(&logged(start - Duration::days(300), 1));
    assert_eq!(default(&database), 11);
}

#[test]
fn a_long_history_beside_other_days_becomes_a_partition_too() {
    let (database, start) = with_old_partitions();
    database.execute(&logged(now() - Duration::days(120), 10));
    database.execute(&logged(start - Duration::days(400), 260_000));
    let before = rows(&database);
    partitions::ensure(&mut database.connect(), now()).unwrap();
    let moved = arrange(&database, now(), |_| {});
    assert_eq!((moved.separated, moved.postponed), (4, 0));
    assert_eq!(rows(&database), before);
    assert_eq!(database.number("SELECT count(*) FROM event_logs_default"), Some(0));
    let used = used(&database);
    assert!(used.iter().any(|name| name.starts_with("event_logs_before_")), "{used:?}");
    assert_tidy(&database);
}

#[test]
fn a_large_default_partition_is_not_read_while_it_is_locked() {
    let database = Database::empty();
    let connection = &mut database.connect();
    migrations::migrate(connection).unwrap();
    // In use: the job never ran.
    database.execute(&logged(now() - Duration::days(8), 700_000));
    let large = "SELECT pg_relation_size('event_logs_default') / (64 << 20) + pg_relation_size('order_lines_default') / (64 << 20)";
    assert!(database.number(large) >= Some(2));
    let scans = |database: &Database| {
        database.number("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'order_lines_default'")
    };
    let before = scans(&database).unwrap();
    let ensured = partitions::ensure(connection, now()).unwrap();
    connection.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    assert_eq!(ensured.postponed, 0);
    assert!((30..=34).contains(&ensured.made), "those that are to come, {ensured:?}");
    wait::until("the statistics", StdDuration::from_secs(30), || scans(&database).filter(|count| *count > before));
    let read = scans(&database).map(|scans| scans - before);
    assert!(read < Some(6), "{read:?} times, not with each of 17 partitions");
    assert_tidy(&database);
    database.execute(&logged("2027-06-01T00:00:00Z".parse().unwrap(), 1));
}
