//! Partitions of the event log: their ranges, and their indexes once they are quiet.

use analytics_db::migrations;
use analytics_db::tables::partitions;
use analytics_db::tables::partitions::Ensured;
use analytics_db::transactions::summarize::summarize;
use analytics_testkit::database::Database;
use chrono::{DateTime, Duration, Utc};
use diesel::connection::SimpleConnection;

/// The number of ends of partitions at which no other partition begins: one if there is no gap.
const ENDS: &str = "WITH bounds AS ( \
         SELECT regexp_match(pg_get_expr(relpartbound, c.oid), 'FROM \\(''(.*)''\\) TO \\(''(.*)''\\)') AS b \
         FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'event_logs'::regclass) \
     SELECT count(*) FROM bounds WHERE b[2] NOT IN (SELECT b[1] FROM bounds WHERE b[1] IS NOT NULL)";

fn now() -> DateTime<Utc> {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

#[test]
fn partitions_fill_the_ranges_around_monthly_ones_without_a_gap() {
    let database = Database::empty();
    let connection = &mut database.connect();
    migrations::migrate(connection).unwrap();
    // October and November of 2026, in milliseconds.
    for (month, from, to) in [("10", "01a0f4c2c400", "01a19467e800"), ("11", "01a19467e800", "01a22ee6b000")] {
        let id = |hex: &str| format!("{}-{}-0000-0000-000000000000", &hex[..8], &hex[8..]);
        database.execute(&format!(
            "CREATE TABLE event_logs_2026_{month} PARTITION OF event_logs FOR VALUES FROM ('{}') TO ('{}')",
            id(from),
            id(to)
        ));
    }
    let made = partitions::ensure(connection, now()).unwrap();
    // 47 for each table; 20 of those of the log lie within the two months, and one overlaps their
    // end.
    assert_eq!(made, Ensured { made: 47 - 20 + 47, postponed: 0 });
    assert_eq!(partitions::ensure(connection, now()).unwrap(), Ensured::default());
    assert_eq!(database.number(ENDS), Some(1), "only the last partition's end");
    let next_day = database.lines("SELECT to_regclass('event_logs_2026_12_01') IS NOT NULL");
    assert_eq!(next_day, ["true"], "the days that are left of the range that November overlaps");
}

#[test]
fn quiet_partitions_get_valid_indexes_once() {
    let database = Database::migrated();
    let connection = &mut database.connect();
    let now = Utc::now();
    partitions::ensure(connection, now).unwrap();
    let index = |at| partitions::index_quiet(&mut database.connect(), &database.address(), at, |_| {}).unwrap();
    let indexes = |suffix: &str| {
        let query =
            format!("SELECT count(*) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indisvalid AND {suffix}");
        database.number(&query).unwrap()
    };
    // Six for each range that ended over a day ago, none for the current one.
    let made = index(now).unwrap();
    assert!(made == 30 * 3 * 2 || made == 29 * 3 * 2, "{made}");
    assert_eq!(indexes("relname ~ '_by_(user|product|vendor|currency)$'"), i64::try_from(made).unwrap());
    assert_eq!(index(now), Some(0));
    assert_eq!(index(now + Duration::days(3)), Some(6), "three days later there is one more");

    // A crash in the middle leaves an invalid index.
    database.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = \
         (SELECT min(oid::regclass::text)::regclass FROM pg_class WHERE relname LIKE '%\\_by\\_vendor')",
    );
    assert_eq!(index(now), Some(1));
    assert_eq!(indexes("relname ~ '_by_(user|product|vendor|currency)$'"), i64::try_from(made).unwrap() + 6);

    let (holder, working) = (&mut database.connect(), Utc::now());
    let nested = std::cell::Cell::new(None);
    database.execute(
        "DO $$ BEGIN EXECUTE (SELECT 'DROP INDEX ' || min(oid::regclass::text) FROM pg_class WHERE relname LIKE '%\\_by\\_user'); END $$",
    );
    let made =
        partitions::index_quiet(holder, &database.address(), working, |_| nested.set(Some(index(working)))).unwrap();
    assert_eq!((made, nested.take()), (Some(1), Some(None)), "of two at once, one works and the other returns None");
}

#[test]
fn the_newest_events_are_found_by_the_small_indexes_before_a_vacuum() {
    let database = Database::migrated();
    let connection = &mut database.connect();
    assert_eq!(summarize(connection).unwrap(), 0, "an empty log");
    database.execute(
        "INSERT INTO event_logs (id, created_at, batch_id, seal, rules_version, event_type, user_id) \
         SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || lpad(to_hex(n), 20, '0'))::uuid, \
             now(), 1, 0, 1, 'product.viewed', 'u-' || n FROM generate_series(1, 20000) AS n",
    );
    let holder = &mut database.connect();
    let table = database.lines("SELECT DISTINCT tableoid::regclass::text FROM event_logs").concat();
    holder.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")).unwrap();
    assert_eq!(summarize(connection).unwrap(), 0, "a table that is being vacuumed");
    holder.batch_execute("ROLLBACK").unwrap();
    let ranges = database.number(&format!("SELECT pg_relation_size('{table}') / 8192 / 8")).unwrap();
    assert!(ranges > 20, "{ranges}");
    // The last ones are left out; the first one has been in the index since it was created.
    let added = summarize(connection).unwrap();
    assert!((ranges - 6..ranges).contains(&added), "{added} of {ranges}");
    assert_eq!(summarize(connection).unwrap(), 0);
    let index = database.lines(&format!(
        "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = '{table}'::regclass AND a.amname = 'brin'"
    ));
    let left = database.number(&format!("SELECT brin_summarize_new_values('{}')", index.concat())).unwrap();
    assert!(left <= 5, "{left}");
}

/// Returns SQL that logs `events` large events of one second after another from `start` on, with four lines of an
/// order each: 100,000 of them are large tables.
fn logged(start: &str, events: u32) -> String {
    // The first 48 bits of the id are the time of the event in milliseconds.
    let id = format!(
        "(lpad(to_hex((extract(epoch FROM '{start}'::timestamptz) * 1000)::bigint + n * 1000), 12, '0') \
         || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid"
    );
    format!(
        "INSERT INTO event_logs (id, event_type, user_id, metadata, created_at, rules_version, batch_id, seal) \
         SELECT {id}, 'order.created', 'u-' || n % 100, jsonb_build_object('x', repeat('x', 700)), '{start}', 1, 1, n \
             FROM generate_series(1, {events}) AS n; \
         INSERT INTO order_lines (event_id, line, product_id, vendor_id, quantity, amount, currency) \
         SELECT {id}, line, repeat('p', 64), repeat('v', 64), 1, 1, 'USD' \
             FROM generate_series(1, {events}) AS n, generate_series(1, 4) AS line"
    )
}

#[test]
fn a_long_history_becomes_a_partition_without_moving_a_row() {
    let database = Database::migrated();
    let connection = &mut database.connect();
    let now = Utc::now();
    database.execute(&logged("2020-01-01", 100_000));
    let [events, lines] = ["event_logs", "order_lines"].map(|table| {
        let rows = format!("SELECT count(*) || ' ' || md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t");
        move |database: &Database| database.lines(&rows).concat()
    });
    let before = (events(&database), lines(&database));
    let partition = |day: &str| {
        let id = format!("lpad(to_hex((extract(epoch FROM '{day}'::timestamptz) * 1000)::bigint), 12, '0') || '%'");
        let of =
            format!("SELECT DISTINCT tableoid::regclass FROM event_logs WHERE replace(id::text, '-', '') LIKE {id}");
        database.lines(&of)
    };
    // A crash left the constraint behind.
    database.execute("ALTER TABLE order_lines_default ADD CONSTRAINT before_all_partitions CHECK (false) NOT VALID");

    assert_eq!(partitions::ensure(connection, now).unwrap(), Ensured { made: 2, postponed: 0 });
    assert_eq!((events(&database), lines(&database)), before);
    assert_eq!(database.number("SELECT count(*) FROM event_logs_default"), Some(0));
    assert_eq!(database.number("SELECT count(*) FROM order_lines_default"), Some(0));
    let history = database.lines("SELECT DISTINCT tableoid::regclass FROM event_logs");
    assert!(matches!(&history[..], [name] if name.starts_with("event_logs_before_20")), "{history:?}");
    assert_eq!(partitions::ensure(connection, now).unwrap(), Ensured::default());

    // It takes older events, and the default partition those for which there is no other.
    database.execute(&logged("2001-02-03", 1));
    database.execute(&logged("2999-01-01", 1));
    assert_eq!(partition("2001-02-03 00:00:01"), history);
    assert_eq!(partition("2999-01-01 00:00:01"), ["event_logs_default"]);
    assert_eq!(database.number("SELECT count(*) FROM pg_constraint WHERE conname = 'before_all_partitions'"), Some(0));

    partitions::index_quiet(connection, &database.address(), now, |_| {}).unwrap();
    for index in ["event_logs_before%_by_user", "order_lines_before%_by_vendor"] {
        let valid = format!(
            "SELECT count(*) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indisvalid AND relname LIKE '{index}'"
        );
        assert_eq!(database.number(&valid), Some(1), "{index}");
    }
}

#[test]
fn a_default_partition_that_holds_more_than_history_stays_what_it_is() {
    let database = Database::migrated();
    let connection = &mut database.connect();
    database.execute(&logged("2020-01-01", 100_000));
    database.execute(&logged("2999-01-01", 1));
    partitions::ensure(connection, Utc::now()).unwrap();
    assert_eq!(database.number("SELECT count(*) FROM event_logs_default"), Some(100_001));
}

#[test]
fn a_run_that_fails_leaves_a_default_partition_that_takes_every_event() {
    let database = Database::migrated();
    let connection = &mut database.connect();
    database.execute(&logged("2020-01-01", 100_000));
    // A view where the empty table would be created.
    database.execute("CREATE VIEW event_logs_empty AS SELECT 1 AS one");
    partitions::ensure(connection, Utc::now()).unwrap_err();
    database.execute(&logged("2999-01-01", 1));
    assert_eq!(database.number("SELECT count(*) FROM event_logs_default"), Some(100_001));

    database.execute("DELETE FROM event_logs WHERE created_at > '2900-01-01'; DROP VIEW event_logs_empty");
    database.execute("DELETE FROM order_lines WHERE event_id NOT IN (SELECT id FROM event_logs)");
    assert_eq!(partitions::ensure(connection, Utc::now()).unwrap(), Ensured { made: 2, postponed: 0 });
}
