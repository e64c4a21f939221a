//! PostgreSQL's own COPY over one connection: what there is to beat.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::watched::settle;
use analytics_testkit::database::{Database, unique_name};

/// The event log of the service that this one replaces, as its migrations make it.
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

/// How many rows a transaction has.
const ROWS_A_TRANSACTION: usize = 10_000;

/// Rows of an event log, rendered beforehand, with the statements that copy them.
pub struct Rows {
    directory: PathBuf,
    rows: u64,
}

impl Rows {
    /// The events of a database as rows of the seed's table.
    #[must_use]
    pub fn for_the_seed(database: &Database) -> Self {
        Self::render(database, "id, event_type, user_id, metadata, created_at", "gen_random_uuid()")
    }

    /// The events of a database as rows of its own table.
    #[must_use]
    pub fn for_our_own(database: &Database) -> Self {
        let columns = "id, event_type, user_id, metadata, created_at, rules_version, product_id, vendor_id, \
                       vendor_learned, stars, seal";
        Self::render(database, columns, "id")
    }

    fn render(database: &Database, columns: &str, id: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("analytics-rows-{}", unique_name()));
        std::fs::create_dir(&directory).expect("a directory");
        let all = directory.join("all");
        let selected = columns.replacen("id", id, 1);
        // As they came: in the order in which the table has them.
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
        std::fs::remove_file(all).expect("it to go");
        Self { directory, rows }
    }

    /// Copies them into a fresh table of the seed's, and returns how long it took.
    #[must_use]
    pub fn into_the_seeds_table(&self) -> Duration {
        let database = Database::empty();
        database.execute(SEED_SCHEMA);
        self.copy_into(&database)
    }

    /// Copies them into a fresh table of our own, and returns how long it took.
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
        assert!(run.status().expect("psql").success(), "COPY fails");
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
