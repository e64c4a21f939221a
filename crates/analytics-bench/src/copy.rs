//! Measures PostgreSQL's COPY over one connection, with which ingest is compared.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::watched::settle;
use analytics_testkit::database::{Database, unique_name};

/// Schema of the event log of the service that this one replaces ("the seed"), as its migrations
/// create it.
const SEED_SCHEMA: &str = "
    CREATE TABLE event_logs (
        id uuid NOT NULL PRIMARY KEY,
        event_type varchar(100) NOT NULL,
        user_id varchar(255),
        metadata jsonb,
        created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
    );
    CREATE INDEX event_logs_event_type_idx ON event_logs (event_type);
    CREATE INDEX event_logs_user_id_idx ON event_logs (user_id)";

/// Number of rows per transaction.
const ROWS_A_TRANSACTION: usize = 10_000;

/// Rows of an event log in files, with a psql script that copies them.
pub struct Rows {
    directory: PathBuf,
    rows: u64,
}

impl Rows {
    /// Exports the events of a database as rows of the seed's table.
    #[must_use]
    pub fn for_the_seed(database: &Database) -> Self {
        Self::render(database, "id, event_type, user_id, metadata, created_at", "gen_random_uuid()")
    }

    /// Exports the events of a database as rows of this service's table.
    #[must_use]
    pub fn for_our_own(database: &Database) -> Self {
        let columns = "id, event_type, user_id, metadata, created_at, rules_version, product_id, vendor_id, \
                       vendor_learned, stars, seal, batch_id";
        Self::render(database, columns, "id")
    }

    fn render(database: &Database, columns: &str, id: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("analytics-rows-{}", unique_name()));
        std::fs::create_dir(&directory).expect("a directory");
        let all = directory.join("all");
        let selected = columns.replacen("id", id, 1);
        // Without ORDER BY: the rows keep the order in which the table stores them.
        psql(&database.url, &format!("\\copy (SELECT {selected} FROM event_logs) TO '{}'", all.display()));
        let mut script = BufWriter::new(File::create(directory.join("script")).expect("a script"));
        let mut rows = 0;
        let mut lines = BufReader::new(File::open(&all).expect("the rows")).split(b'\n').peekable();
        for part in 0.. {
            if lines.peek().is_none() {
                break;
            }
            let path = directory.join(part.to_string());
            let mut file = BufWriter::new(File::create(&path).expect("a part"));
            for line in lines.by_ref().take(ROWS_A_TRANSACTION) {
                file.write_all(&line.expect("a row")).and_then(|()| file.write_all(b"\n")).expect("a part");
                rows += 1;
            }
            writeln!(script, "\\copy event_logs ({columns}) FROM '{}'", path.display()).expect("a script");
        }
        std::fs::remove_file(all).expect("the removal of the file");
        Self { directory, rows }
    }

    /// Copies the rows into a new database with the seed's table, and returns the time that COPY
    /// took.
    #[must_use]
    pub fn into_the_seeds_table(&self) -> Duration {
        let database = Database::empty();
        database.execute(SEED_SCHEMA);
        self.copy_into(&database)
    }

    /// Copies the rows into a new database with this service's schema, and returns the time that
    /// COPY took.
    #[must_use]
    pub fn into_our_table(&self) -> Duration {
        self.copy_into(&Database::migrated())
    }

    fn copy_into(&self, database: &Database) -> Duration {
        settle(database);
        let began = Instant::now();
        let script = self.directory.join("script");
        let mut run = Command::new("psql");
        run.args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-f"]).arg(script).arg(&database.url);
        assert!(run.status().expect("psql").success(), "COPY failed");
        let took = began.elapsed();
        assert_eq!(database.number("SELECT count(*) FROM event_logs"), i64::try_from(self.rows).ok());
        took
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.directory);
    }
}

fn psql(url: &str, command: &str) {
    let run = Command::new("psql").args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-c", command, url]).status();
    assert!(run.expect("psql").success(), "{command}");
}
