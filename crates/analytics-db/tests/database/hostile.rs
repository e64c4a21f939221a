//! Hostile records from the decoder's fuzz tests: the server stores every one that decoding
//! accepts.

use std::collections::BTreeMap;

use analytics_core::record::{self, Offset};
use analytics_db::batch::Reread;
use analytics_testkit::database::Database;

use crate::batches::{of_records, write};
use crate::generate::Generator;

/// Number of batches, and of records in each.
const BATCHES: u64 = 40;
const RECORDS: u64 = 500;
const SEED: u64 = 20_261_125;

#[test]
fn the_server_stores_every_hostile_record_that_is_an_event() {
    let database = Database::migrated();
    let mut next: BTreeMap<String, i64> = BTreeMap::new();
    let mut events = 0;
    for number in 0..BATCHES {
        let cases = number * RECORDS..(number + 1) * RECORDS;
        let mut batch = of_records(cases.map(|case| {
            let mut record = Generator::new(SEED, case).record();
            let offset = next.entry(record.place.partition.topic.to_string()).or_default();
            record.place.offset = Offset(*offset);
            record.place.timestamp = record.place.timestamp.filter(|millis| record::time(*millis).is_some());
            *offset += 1;
            record
        }));
        let written = write(&database, &mut batch, Reread::Unlikely);
        let written = written.unwrap_or_else(|error| panic!("batch {number} of seed {SEED}: {error}"));
        events += written.events.values().sum::<u64>();
    }
    assert!(events > 1_000, "only {events} of the records are events");
    let logged = database.number("SELECT count(*) FROM event_logs").unwrap();
    assert_eq!(u64::try_from(logged).unwrap(), events);
}
