//! A database whose encoding is not UTF8 is refused by every process, with and without a schema.

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::database::Database;
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};

const OTHERS: [&str; 3] = ["LATIN1", "WIN1252", "SQL_ASCII"];

fn sentence(encoding: &str) -> String {
    format!(
        "the database has the encoding {encoding}, it must be UTF8: create it with CREATE DATABASE ... ENCODING 'UTF8' \
         TEMPLATE template0"
    )
}

/// Applies the migrations without the check of the encoding, as a version without it would have
/// done.
fn migrate_unchecked(database: &Database) {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations")).unwrap();
    let mut migrations: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    migrations.sort();
    database.execute(
        "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp DEFAULT now())",
    );
    for migration in migrations {
        database.execute(&std::fs::read_to_string(migration.join("up.sql")).unwrap());
        let name = migration.file_name().unwrap().to_str().unwrap();
        let (version, _) = name.split_once('_').unwrap();
        let version = version.replace('-', "");
        database.execute(&format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')"));
    }
    database.execute("INSERT INTO service_settings (base_currency, business_timezone) VALUES ('USD', 'UTC')");
}

/// Returns the last line in the log of a process that must end with an error.
fn last_line(service: &Service, binary: &'static str, bind: &str) -> String {
    let mut process = Process::start(binary, bind, &service.environment);
    assert!(!process.wait_ended(PATIENCE).success());
    process.log().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn migrate_creates_nothing_in_another_encoding() {
    for encoding in OTHERS {
        let service = Service::on(Database::encoded(encoding), 1);
        let (well, said) = service.job(&["migrate"]);
        assert!(!well && said == format!("analytics-jobs: {}\n", sentence(encoding)), "{said}");
        let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        assert_eq!(service.database.number(tables), Some(0));
        // The other processes do not wait for a schema, since it cannot be created.
        for (binary, bind) in [("analytics-ingest", "INGEST_BIND"), ("analytics-api", "API_BIND")] {
            assert_eq!(last_line(&service, binary, bind), format!("{binary}: {}", sentence(encoding)));
        }
    }
}

#[test]
fn no_process_works_with_a_schema_in_another_encoding() {
    for encoding in OTHERS {
        let service = Service::on(Database::encoded(encoding), 1);
        migrate_unchecked(&service.database);
        for (binary, bind) in [("analytics-ingest", "INGEST_BIND"), ("analytics-api", "API_BIND")] {
            assert_eq!(last_line(&service, binary, bind), format!("{binary}: {}", sentence(encoding)));
        }
        for job in ["migrate", "verify", "rebuild", "partitions", "offsets show", "dead-letters list"] {
            let (well, said) = service.job(&job.split(' ').collect::<Vec<_>>());
            assert!(!well && said == format!("analytics-jobs: {}\n", sentence(encoding)), "{job}: {said}");
        }
    }
}

#[test]
fn every_character_is_counted_in_utf8_whatever_the_locale() {
    let service = Service::on(Database::encoded("UTF8"), 1);
    service.done(&["migrate"]);
    let _ingest = service.ingest();
    service.send(&[Message::json("product.viewed", r#"{"productId":"日本","vendorId":"é☕","userId":"😀"}"#)]);
    service.wait_all_consumed();
    let api = service.api();
    assert_eq!(Client::admin(&api.address).value("product_views:日本"), Some(1));
    service.done(&["verify", "--full"]);
}
