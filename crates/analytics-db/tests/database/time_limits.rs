//! A read of several statements takes no longer than one statement may.

use std::time::{Duration, Instant};

use analytics_core::calendar::Calendar;
use analytics_db::DbError;
use analytics_db::connection::{Plans, Reading, View};
use analytics_db::read::events::{self, EventFilter};
use analytics_db::read::{AsOf, Tenant};
use analytics_testkit::database::Database;
use diesel::connection::SimpleConnection;

#[test]
fn statements_share_the_time_of_their_transaction() {
    let database = Database::migrated();
    // Every read of the log takes 0.4 seconds, and a search without a result reads it six times.
    let slow = "ALTER TABLE event_logs RENAME TO all_logs; \
                CREATE FUNCTION slow_logs() RETURNS SETOF all_logs LANGUAGE plpgsql AS \
                'BEGIN PERFORM pg_sleep(0.4); RETURN QUERY SELECT * FROM all_logs; END'; \
                CREATE VIEW event_logs AS SELECT * FROM slow_logs()";
    database.connect().batch_execute(slow).unwrap();
    let filter = EventFilter { user: Some("nobody".into()), ..EventFilter::default() };
    let read = |statement_timeout| {
        let began = Instant::now();
        let reading = Reading { view: View::OneMoment, plans: Plans::ForValues, statement_timeout };
        let found = reading.run(&mut database.connect(), |connection| {
            let as_of = AsOf::latest(connection)?;
            events::newest(connection, Tenant::Marketplace.event_log().unwrap(), &as_of, Calendar::utc(), &filter, 9)
        });
        (found.map(|found| found.events.len()).map_err(|error| error.is_temporary()), began.elapsed())
    };
    let (found, took) = read(Duration::from_millis(500));
    assert_eq!(found, Err(true));
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    let (found, took) = read(Duration::from_secs(30));
    assert_eq!(found, Ok(0));
    assert!(took > Duration::from_secs(2), "{took:?}: the reads were not slow enough to test anything");
}

/// The server names a position where the statement waited, as it does in a wrong one.
#[test]
fn a_table_that_is_locked_while_a_statement_is_analysed_is_a_reason_to_try_again() {
    let database = Database::migrated();
    let (mut holder, mut reader) = (database.connect(), database.connect());
    holder.batch_execute("BEGIN; LOCK TABLE batches").unwrap();
    for limit in ["lock_timeout", "statement_timeout"] {
        let read = format!("BEGIN; SET LOCAL {limit} = '50ms'; SELECT FROM batches");
        let error = DbError::from(reader.batch_execute(&read).unwrap_err());
        reader.batch_execute("ROLLBACK").unwrap();
        assert!(error.is_temporary(), "{error}");
    }
    let wrong = DbError::from(reader.batch_execute("SELECT no_column FROM watermark").unwrap_err());
    assert!(!wrong.is_temporary(), "{wrong}");
}
