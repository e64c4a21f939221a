//! What PostgreSQL can store: the decoder's limits against the server's.

use analytics_core::rejection::Reason;
use analytics_db::DbError;
use analytics_db::batch::{Batch, Reread};
use analytics_db::error::WriteError;
use analytics_db::transactions::{count, refusal};
use analytics_testkit::database::Database;
use diesel::connection::SimpleConnection;

use crate::batches::{batch, business, start, write};

fn nested(levels: usize) -> String {
    format!(r#"{{"productId":"p","deep":{}{}}}"#, r#"{"a":"#.repeat(levels), "1".to_owned() + &"}".repeat(levels))
}

#[test]
fn the_server_stores_everything_that_the_decoder_accepts() {
    let database = Database::migrated();
    let number = |number: &str| format!(r#"{{"productId":"p","n":{number}}}"#);
    let numbers = [
        "1e400",
        "1e131071",
        "1e-16383",
        "-123e131069",
        "0.0001e131075",
        "1.5e-16382",
        "0e200000",
        "0e1073741822",
        "-0",
        "0.00000e-16378",
        "10000000000e131061",
    ];
    let mut payloads: Vec<String> = numbers.iter().map(|n| number(n)).collect();
    payloads.push(number(&"9".repeat(131_072)));
    payloads.push(number(&format!("0.{}", "1".repeat(16_383))));
    payloads.push(nested(9_990));
    payloads.push(r#"{"productId":"\ud83d\ude00 \u0001 \u001f","a\u0020b":"\\u0000","":{"":[[],{}]}}"#.into());
    let records: Vec<_> =
        (0..).zip(&payloads).map(|(offset, payload)| ("product.viewed", offset, payload.as_str())).collect();
    let mut batch = batch(&records);
    for item in &batch.items {
        assert!(item.decoded.is_ok(), "{:?}", item.decoded);
    }
    let written = write(&database, &mut batch, Reread::Unlikely).unwrap();
    assert_eq!(written.events["product.viewed"], payloads.len() as u64);
}

#[test]
fn the_decoder_rejects_nothing_that_the_server_could_store() {
    let database = Database::migrated();
    let refused = |json: &str| {
        let escaped = json.replace('\'', "''");
        database.connect().batch_execute(&format!("SELECT '{escaped}'::jsonb")).is_err()
    };
    let version = database.number("SELECT current_setting('server_version_num')").unwrap();
    for number in [
        "1e131072",
        "1e-16384",
        "123e131070",
        "0.0001e131076",
        "1.5e-16383",
        "0e-20000",
        "0e1073741823",
        "1e99999999999",
    ] {
        let payload = format!(r#"{{"productId":"p","n":{number}}}"#);
        let decoded = &batch(&[("product.viewed", 0, &payload)]).items[0].decoded;
        assert_eq!(decoded.as_ref().unwrap_err().reason, Reason::Unstorable, "{number}");
        // PostgreSQL 17 stores this zero. The rule is that of the oldest version that is supported.
        assert!(refused(&payload) || (version >= 170_000 && number == "0e1073741823"), "{number}");
    }
    assert!(refused(&nested(20_000)));
}

#[test]
fn a_record_that_a_stricter_server_refuses_becomes_the_only_dead_letter() {
    let database = Database::migrated();
    let deep = nested(5_000);
    let view = r#"{"productId":"p"}"#;
    let mut records = vec![("product.viewed", 0, view); 9];
    records[5].2 = &deep;
    for (offset, record) in (0..).zip(&mut records) {
        record.1 = offset;
    }
    let mut batch = batch(&records);
    start(&database, &batch);
    let connection = &mut database.connect();
    connection.batch_execute("SET max_stack_depth = '200kB'").unwrap();
    count::count(connection, &mut batch, business(), Reread::Unlikely).unwrap_err();
    assert_eq!(refusal::reject_refused(connection, &mut batch).unwrap(), 1);
    let written = count::count(connection, &mut batch, business(), Reread::Unlikely).unwrap();
    assert_eq!((written.events["product.viewed"], written.rejected[&Reason::Unstorable]), (8, 1));
    assert_eq!(database.lines("SELECT \"offset\"::text FROM dead_letters"), ["5"]);
}

#[test]
fn a_sum_past_the_range_is_stored_as_such_and_stops_nothing() {
    let database = Database::migrated();
    let order = |order: &str, total: &str| format!(r#"{{"orderId":"{order}","total":"{total}","vendorId":"v"}}"#);
    let (first, second, third) = (order("a", "10.00"), order("b", "20.00"), order("c", "0.01"));
    write(&database, &mut batch(&[("order.created", 0, &first)]), Reread::Unlikely).unwrap();
    for almost_full in [
        "UPDATE metrics SET value = 9223372036854775807 - 1000 WHERE type LIKE 'total%'",
        "UPDATE metrics SET numerator = 9223372036854775807, denominator = 9223372036854775807 WHERE type LIKE 'conv%'",
        "UPDATE rollups SET revenue = 9223372036854775807 - 1000, orders = 9223372036854775807",
    ] {
        database.execute(almost_full);
    }
    let mut batch = batch(&[("order.created", 1, &second), ("order.created", 2, &third)]);
    let written = write(&database, &mut batch, Reread::Unlikely).unwrap();
    assert_eq!((written.events["order.created"], written.rejected.len()), (2, 0));
    let full = Some(i64::MAX);
    assert_eq!(database.number("SELECT value FROM metrics WHERE type = 'total_revenue'"), full);
    assert_eq!(database.number("SELECT min(orders) FROM rollups WHERE orders IS NOT NULL"), full);
    assert_eq!(database.number("SELECT min(revenue) FROM rollups WHERE revenue IS NOT NULL"), full);
    assert_eq!(database.number("SELECT value FROM metrics WHERE type = 'total_orders'"), Some(i64::MAX - 998));
    assert_eq!(database.number("SELECT count(*) FROM metrics WHERE type LIKE 'conv%' AND value IS NULL"), Some(1));
}

/// Writes nine views of which the sixth has another value in the field `refuse`, expects that to
/// fail, and has the batch tested for records that the database refuses.
fn judged(database: &Database, rule: &str, refuse: &str) -> (Result<usize, DbError>, Batch) {
    database.execute(rule);
    let odd = format!(r#"{{"productId":"p","refuse":"{refuse}"}}"#);
    let mut records: Vec<_> =
        (0..9).map(|offset| ("product.viewed", offset, r#"{"productId":"p","refuse":"1"}"#)).collect();
    records[5].2 = &odd;
    let mut batch = batch(&records);
    write(database, &mut batch, Reread::Unlikely).unwrap_err();
    let refused = refusal::reject_refused(&mut database.connect(), &mut batch);
    (refused, batch)
}

#[test]
fn a_record_that_an_operators_constraint_refuses_becomes_the_only_dead_letter() {
    for rule in [
        "ALTER TABLE event_logs ADD CHECK (metadata->>'refuse' <> 'x')",
        // Not a constraint, but an index that cannot read the value (SQLSTATE 22P02).
        "CREATE INDEX ON event_logs (((metadata->>'refuse')::int))",
    ] {
        let database = Database::migrated();
        let (refused, mut batch) = judged(&database, rule, "x");
        assert_eq!(refused.unwrap(), 1, "{rule}");
        let written = write(&database, &mut batch, Reread::Unlikely).unwrap();
        assert_eq!((written.events["product.viewed"], written.rejected[&Reason::Unstorable]), (8, 1));
        assert_eq!(database.lines("SELECT \"offset\"::text FROM dead_letters"), ["5"]);
    }
}

#[test]
fn an_operators_triggers_and_unique_indexes_reject_no_record() {
    let trigger = |does: &str| {
        format!(
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {does} END$$; \
             CREATE TRIGGER theirs BEFORE INSERT ON event_logs FOR EACH ROW EXECUTE FUNCTION theirs()"
        )
    };
    for rule in [
        trigger("RAISE SQLSTATE '53100';"),
        trigger("RAISE SQLSTATE '23514';"),
        trigger("IF NEW.metadata->>'refuse' = 'x' THEN RETURN NULL; END IF; RETURN NEW;"),
    ] {
        let database = Database::migrated();
        let (refused, batch) = judged(&database, &rule, "x");
        let sentence = refused.unwrap_err().to_string();
        assert!(sentence.contains("theirs on event_logs") && sentence.contains("dropped"), "{sentence}");
        assert!(batch.items.iter().all(|item| item.decoded.is_ok()));
        assert_eq!(database.number("SELECT count(*) FROM event_logs"), Some(0), "no row was left out");
    }
    let database = Database::migrated();
    database.execute("CREATE UNIQUE INDEX theirs ON event_logs_default (product_id)");
    let old = r#"{"productId":"p","viewedAt":"2001-02-03"}"#;
    let mut batch = batch(&[("product.viewed", 0, old), ("product.viewed", 1, old)]);
    let failed = write(&database, &mut batch, Reread::Unlikely).unwrap_err();
    let WriteError::Database(DbError::Statement(failed)) = failed else { panic!("{failed}") };
    assert_eq!(refusal::fault(&failed), refusal::Fault::Operator);
    assert_eq!(refusal::reject_refused(&mut database.connect(), &mut batch).unwrap(), 0);
}
