//! A read of several statements takes no longer than one statement may.

use std::time::{Duration, Instant};

use analytics_core::calendar::Calendar;
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
