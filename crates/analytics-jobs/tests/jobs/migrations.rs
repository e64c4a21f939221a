//! Migrations: applying, reverting and applying them again results in the same schema; several
//! processes may migrate at once.

use std::thread;
use std::time::Duration;

use analytics_testkit::database::Database;
use analytics_testkit::{process, wait};
use diesel::connection::SimpleConnection as _;

/// Describes every column, index, constraint, table, view and function of the schema, one per line.
fn schema(database: &Database) -> Vec<String> {
    [
        "SELECT format('%s.%s %s %s %s %s', table_name, column_name, data_type, is_nullable, column_default, collation_name) \
         FROM information_schema.columns WHERE table_schema IN ('public', 'bi')",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
         WHERE connamespace = 'public'::regnamespace",
        "SELECT oid::regclass || ' ' || relkind::text || coalesce(reloptions::text, '') || coalesce(pg_get_expr(relpartbound, oid), '') \
         || coalesce(obj_description(oid), '') FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND relnamespace IN ('public'::regnamespace, to_regnamespace('bi'))",
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace IN ('public'::regnamespace, to_regnamespace('bi'))",
    ]
    .iter()
    .flat_map(|query| database.lines(&format!("{query} ORDER BY 1")))
    .filter(|line| !line.contains("__diesel"))
    .collect()
}

#[test]
fn migrations_go_up_down_and_up_to_the_same_schema() {
    let database = Database::empty();
    let up = || {
        analytics_db::migrations::migrate(&mut database.connect()).unwrap();
        schema(&database)
    };
    let first = up();
    assert!(first.iter().any(|line| line.contains("event_logs")));
    analytics_db::migrations::revert(&mut database.connect(), true).unwrap();
    assert_eq!(schema(&database), Vec::<String>::new(), "reverting leaves nothing behind");
    assert_eq!(up(), first);
}

#[test]
fn several_may_migrate_at_once_and_again() {
    let database = Database::empty();
    let environment = [("DATABASE_URL".to_owned(), database.url.clone())].into();
    thread::scope(|scope| {
        let run = || process::run("analytics-jobs", &["migrate"], &environment);
        let running: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        for output in running.into_iter().map(|running| running.join().unwrap()) {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    });
    let again = process::run("analytics-jobs", &["migrate"], &environment);
    assert_eq!(String::from_utf8_lossy(&again.stdout), "the schema is up to date\n");
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'event_logs'::regclass";
    assert_eq!(
        database.number(partitions),
        Some(30 + 1 + 16 + 1),
        "30 before today's, today's, 16 after it, and the default partition"
    );
}

#[test]
fn a_migration_gives_way_to_those_who_use_its_tables() {
    let database = Database::migrated();
    analytics_db::migrations::revert(&mut database.connect(), false).unwrap();
    let select = "SELECT FROM bi.order_lines_v1";
    let mut reader = database.connect();
    reader.batch_execute(&format!("BEGIN; {select}")).unwrap();
    let mut later = database.connect();
    later.batch_execute("SET statement_timeout = '1s'").unwrap();
    thread::scope(|scope| {
        let migrating = scope.spawn(|| analytics_db::migrations::migrate(&mut database.connect()).unwrap());
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let is_waiting = || (database.number(waiting) == Some(1)).then_some(());
        wait::until("the migration waits for the view", Duration::from_secs(30), is_waiting);
        // Who comes later is not kept, while the migration is tried again and again.
        for _ in 0..5 {
            later.batch_execute(select).unwrap();
        }
        assert!(!migrating.is_finished());
        reader.batch_execute("COMMIT").unwrap();
        assert_eq!(migrating.join().unwrap().len(), 1);
    });
}
