//! Conditions on payloads, and the indexes that operators add for them.

use analytics_core::calendar::Calendar;
use analytics_core::metadata::{Condition, MetadataPath};
use analytics_core::period::Span;
use analytics_db::batch::Reread;
use analytics_db::read::events::{self, EventFilter};
use analytics_db::read::usage::{self, Counted, Group};
use analytics_db::read::{AsOf, Tenant};
use analytics_db::tables::metadata_indexes::{self, NotAdded};
use analytics_db::tables::partitions;
use analytics_testkit::database::Database;
use analytics_testkit::wait;
use chrono::{DateTime, Duration, Utc};

use crate::batches::{batch, write};

fn path(text: &str) -> MetadataPath {
    MetadataPath::parse(text).unwrap()
}

/// Logs 60 000 views of the six days that end ten days ago, one in 600 of them from a campaign.
fn filled() -> (Database, Span) {
    let database = Database::migrated();
    let end = Utc::now() - Duration::days(10);
    let span = Span { from: end - Duration::days(6), to: end };
    database.execute(&format!(
        "INSERT INTO event_logs (id, created_at, batch_id, seal, rules_version, event_type, metadata) \
         SELECT (lpad(to_hex((extract(epoch FROM t.at) * 1000)::bigint), 12, '0') || '8000' || lpad(to_hex(n), 16, '0'))::uuid, \
         t.at, 1, 0, 1, CASE n % 3 WHEN 0 THEN 'order.created' ELSE 'product.viewed' END, \
         jsonb_build_object('source', CASE n % 600 WHEN 0 THEN 'campaign' ELSE 'search-' || n % 7 END, \
                            'utm', jsonb_build_object('depth', n % 3), 'padding', repeat('x', 200)) \
         FROM generate_series(1, 60000) AS n, \
         LATERAL (SELECT date_trunc('milliseconds', '{}'::timestamptz + n * interval '8.6 seconds') AS at) AS t",
        span.from.to_rfc3339()
    ));
    database.execute("ANALYZE event_logs");
    (database, span)
}

fn index(database: &Database, now: DateTime<Utc>) -> Option<usize> {
    partitions::index_metadata(&mut database.connect(), &database.address(), now, |_| {}).unwrap()
}

fn state(database: &Database) -> Vec<String> {
    let all = metadata_indexes::all(&mut database.connect()).unwrap();
    all.into_iter().map(|index| format!("{} {}", index.path, index.state)).collect()
}

fn count(database: &Database, span: Span, conditions: &[&str]) -> i64 {
    let conditions = conditions.iter().map(|text| Condition::parse(text).unwrap()).collect();
    let counted = Counted { buckets: vec![span], event_type: None, conditions, by: None };
    counts(database, &counted).iter().map(|(_, _, events)| events).sum()
}

fn counts(database: &Database, counted: &Counted) -> Vec<(usize, Group, i64)> {
    let connection = &mut database.connect();
    // As in the API, PostgreSQL plans for the values.
    diesel::connection::SimpleConnection::batch_execute(connection, "SET plan_cache_mode = force_custom_plan").unwrap();
    let as_of = AsOf::latest(connection).unwrap();
    usage::count(connection, Tenant::Marketplace.event_log().unwrap(), &as_of, counted).unwrap()
}

/// How often the indexes for payloads were used.
fn scans(database: &Database) -> i64 {
    let sql = "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes WHERE indexrelname ~ '_metadata_[1-8]$'";
    database.number(sql).unwrap()
}

#[test]
fn an_index_is_used_and_changes_no_answer() {
    let (database, span) = filled();
    let all_conditions: &[&[&str]] = &[
        &["metadata.source=campaign"],
        &["metadata.source=campaign", "metadata.utm.depth=0"],
        &["metadata.source=nothing"],
        &["metadata.source=null"],
        &["metadata.utm.depth=1"],
    ];
    let answers = || all_conditions.iter().map(|conditions| count(&database, span, conditions)).collect::<Vec<_>>();
    let before = answers();
    assert_eq!(before, [100, 100, 0, 0, 20_000]);
    metadata_indexes::add(&mut database.connect(), &path("source"), None).unwrap().unwrap();
    assert_eq!(state(&database), ["source building"]);
    let made = index(&database, Utc::now()).unwrap();
    assert!(made > 25, "one for each quiet partition and the default one: {made}");
    assert_eq!((state(&database), index(&database, Utc::now())), (vec!["source ready".to_owned()], Some(0)));
    assert_eq!(answers(), before);
    assert_eq!(count(&database, span, &["metadata.source=campaign"]), 100);
    wait::until("the index to be used", std::time::Duration::from_secs(20), || (scans(&database) >= 2).then_some(()));
    let list = || {
        let connection = &mut database.connect();
        let as_of = AsOf::latest(connection).unwrap();
        let filter = EventFilter {
            conditions: vec![Condition::parse("metadata.source=campaign").unwrap()],
            from: Some(span.from),
            to: Some(span.to),
            ..EventFilter::default()
        };
        let access = Tenant::Marketplace.event_log().unwrap();
        events::newest(connection, access, &as_of, Calendar::utc(), &filter, 1000).unwrap().events.len()
    };
    assert_eq!(list(), 100);
    // An index of one type serves only requests for that type.
    let indexes = metadata_indexes::all(&mut database.connect()).unwrap();
    assert!(indexes[0].serves(&path("source"), None) && indexes[0].serves(&path("source"), Some("order.created")));
    assert!(!indexes[0].serves(&path("source.x"), None));
    metadata_indexes::add(&mut database.connect(), &path("utm.depth"), Some("order.created")).unwrap().unwrap();
    index(&database, Utc::now()).unwrap();
    let indexes = metadata_indexes::all(&mut database.connect()).unwrap();
    assert!(indexes[1].serves(&path("utm.depth"), Some("order.created")));
    assert!(!indexes[1].serves(&path("utm.depth"), None));
    assert!(!indexes[1].serves(&path("utm.depth"), Some("product.viewed")));
}

#[test]
fn building_and_dropping_continue_where_they_were_interrupted() {
    let (database, span) = filled();
    let now = Utc::now();
    metadata_indexes::add(&mut database.connect(), &path("source"), None).unwrap().unwrap();
    let made = index(&database, now).unwrap();
    // A crash in the middle leaves an invalid index, partitions without one, and the state.
    database.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = \
         (SELECT min(relname)::regclass FROM pg_class WHERE relname LIKE 'event\\_logs\\_2%\\_metadata\\_1'); \
         DROP INDEX event_logs_default_metadata_1; UPDATE metadata_indexes SET state = 'building'",
    );
    assert_eq!(index(&database, now), Some(2));
    assert_eq!(state(&database), ["source ready"]);
    // Later partitions get it from the daily job, three days later there is one more.
    let quiet = partitions::index_quiet(&mut database.connect(), &database.address(), now, |_| {}).unwrap().unwrap();
    let later = now + Duration::days(3);
    let next = partitions::index_quiet(&mut database.connect(), &database.address(), later, |_| {}).unwrap();
    assert!(quiet > 0);
    assert_eq!(next, Some(6 + 1));
    // One process at a time.
    let nested = std::cell::Cell::new(None);
    metadata_indexes::add(&mut database.connect(), &path("other"), None).unwrap().unwrap();
    partitions::index_metadata(&mut database.connect(), &database.address(), now, |_| {
        nested.set(Some(index(&database, now)))
    })
    .unwrap();
    assert_eq!(nested.take(), Some(None));

    let connection = &mut database.connect();
    let retired = metadata_indexes::retire(connection, &path("source"), None).unwrap().unwrap();
    assert!(!metadata_indexes::all(connection).unwrap().iter().any(|index| index.serves(&path("source"), None)));
    assert_eq!(metadata_indexes::add(connection, &path("source"), None).unwrap(), Err(NotAdded::BeingDropped));
    database.execute("DROP INDEX event_logs_default_metadata_1");
    let dropped = partitions::drop_metadata(connection, &database.address(), &retired).unwrap();
    assert_eq!(dropped, Some(made), "all but the one that was dropped before the crash, and one more");
    assert_eq!(state(&database), ["other ready"]);
    assert_eq!(database.number("SELECT count(*) FROM pg_class WHERE relname LIKE '%metadata\\_1'"), Some(0));
    assert_eq!(metadata_indexes::retire(connection, &path("source"), None).unwrap(), None);
    assert_eq!(count(&database, span, &["metadata.source=campaign"]), 100);
}

#[test]
fn there_are_at_most_eight_and_a_free_number_is_used_again() {
    let database = Database::migrated();
    let connection = &mut database.connect();
    for n in 0..8 {
        metadata_indexes::add(connection, &path(&format!("p{n}")), None).unwrap().unwrap();
        metadata_indexes::add(connection, &path(&format!("p{n}")), None).unwrap().unwrap();
    }
    assert_eq!(metadata_indexes::add(connection, &path("p8"), None).unwrap(), Err(NotAdded::TooMany));
    let retired = metadata_indexes::retire(connection, &path("p3"), None).unwrap().unwrap();
    partitions::drop_metadata(connection, &database.address(), &retired).unwrap();
    metadata_indexes::add(connection, &path("p8"), Some("order.created")).unwrap().unwrap();
    assert_eq!(database.lines("SELECT path FROM metadata_indexes WHERE number = 4"), ["p8"]);
}

#[test]
fn values_of_any_size_are_logged_and_counted_with_an_index() {
    let database = Database::migrated();
    metadata_indexes::add(&mut database.connect(), &path("source"), None).unwrap().unwrap();
    // As if all partitions were quiet: late events arrive in partitions that are indexed.
    index(&database, Utc::now() + Duration::days(100)).unwrap();
    let long = "\u{1F980}".repeat(20_000);
    let nested = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let values = [
        format!("\"{long}\""),
        format!("\"{}\"", "a".repeat(100)),
        format!("\"{}\"", "a".repeat(101)),
        nested,
        r#"{"a":"'\"}"}"#.to_owned(),
        "null".to_owned(),
        "\"null\"".to_owned(),
        "5".to_owned(),
        "\"5\"".to_owned(),
        "5.0".to_owned(),
        "1e2".to_owned(),
        "true".to_owned(),
        "\"\"".to_owned(),
    ];
    let mut payloads: Vec<String> =
        values.iter().map(|value| format!(r#"{{"productId":"p","source":{value}}}"#)).collect();
    payloads.push(r#"{"productId":"p"}"#.to_owned());
    let records: Vec<_> = (0..).zip(&payloads).map(|(n, payload)| ("product.viewed", n, payload.as_str())).collect();
    let written = write(&database, &mut batch(&records), Reread::Unlikely).unwrap();
    assert_eq!(written.events["product.viewed"], 14);
    let at: DateTime<Utc> = DateTime::from_timestamp_millis(1_793_491_200_000).unwrap();
    let span = Span { from: at, to: at + Duration::hours(1) };
    let by_value = |condition: &str| count(&database, span, &[condition]);
    assert_eq!(by_value(&format!("metadata.source={}", "a".repeat(100))), 1);
    for (condition, expected) in [
        ("metadata.source=null", 2),
        ("metadata.source=\"null\"", 1),
        ("metadata.source=5", 2),
        ("metadata.source=5.0", 1),
        ("metadata.source=100", 1),
        ("metadata.source=true", 1),
        ("metadata.source=", 1),
        ("metadata.source.a='\"}", 1),
        ("metadata.source={\"a\": \"'\\\"}\"}", 1),
        ("metadata.source.0.0.0.0.0.0.0=null", 13),
        ("metadata.source.-1.0=null", 13),
        ("metadata.source=' OR true --", 0),
    ] {
        assert_eq!(by_value(condition), expected, "{condition}");
    }
    let counted = Counted { buckets: vec![span], event_type: None, conditions: Vec::new(), by: Some(path("source")) };
    let groups = counts(&database, &counted);
    let of = |wanted: &Group| groups.iter().find(|(_, group, _)| group == wanted).map(|(_, _, events)| *events);
    assert_eq!(of(&Group::Type("product.viewed".into())), Some(14));
    assert_eq!(of(&Group::Missing), Some(2));
    assert_eq!(of(&Group::Other), Some(3), "the values of more than 100 characters");
    assert_eq!(of(&Group::Value("5".into())), Some(2));
    assert_eq!(of(&Group::Value("null".into())), Some(1));
}

#[test]
fn ingest_writes_into_partitions_while_they_are_indexed_and_while_indexes_are_dropped() {
    let database = Database::migrated();
    let writes = std::sync::atomic::AtomicI64::new(0);
    let done = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(relaxed) {
                let n = writes.fetch_add(1, relaxed);
                let payload = format!(r#"{{"productId":"p","source":"s-{}"}}"#, n % 2);
                write(&database, &mut batch(&[("product.viewed", n, &payload)]), Reread::Unlikely).unwrap();
            }
        });
        while writes.load(relaxed) < 30 {
            let connection = &mut database.connect();
            metadata_indexes::add(connection, &path("source"), None).unwrap().unwrap();
            assert!(index(&database, Utc::now()).unwrap() > 25);
            let retired = metadata_indexes::retire(connection, &path("source"), None).unwrap().unwrap();
            assert!(partitions::drop_metadata(connection, &database.address(), &retired).unwrap().unwrap() > 25);
        }
        metadata_indexes::add(&mut database.connect(), &path("source"), None).unwrap().unwrap();
        index(&database, Utc::now()).unwrap();
        done.store(true, relaxed);
    });
    let at: DateTime<Utc> = DateTime::from_timestamp_millis(1_793_491_200_000).unwrap();
    let span = Span { from: at, to: at + Duration::hours(1) };
    let written = writes.load(relaxed);
    let counted = ["metadata.source=s-0", "metadata.source=s-1"].map(|condition| count(&database, span, &[condition]));
    assert_eq!(counted, [(written + 1) / 2, written / 2]);
}
