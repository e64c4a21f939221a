//! A process that cannot start reports the reason in one sentence.

use analytics_testkit::client::SECRET;
use analytics_testkit::database::Database;
use analytics_testkit::process::{self, Job, Process};
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;

#[test]
fn a_bad_setting_stops_every_binary_with_one_sentence() {
    let service = Service::new(1);
    for (binary, name, value, says) in [
        ("analytics-ingest", "DATABASE_URL", "", "DATABASE_URL: must be set"),
        ("analytics-ingest", "BUSINESS_TIMEZONE", "Mars/Olympus", "BUSINESS_TIMEZONE"),
        ("analytics-ingest", "KAFKA_PROPERTIES", "no.such.property=1", "KAFKA_PROPERTIES: the name of entry 1"),
        (
            "analytics-ingest",
            "BASE_CURRENCY",
            "EUR",
            "BASE_CURRENCY is EUR, but the database's numbers were counted with USD",
        ),
        ("analytics-api", "JWT_SECRET", "short", "JWT_SECRET: must have 32 bytes or more for HS256, got 5"),
        ("analytics-api", "API_MODE", "write", "API_MODE: must be read-only or read-write, got \"write\""),
        ("analytics-api", "API_BIND", "8080", "API_BIND: must be an address and a port"),
        ("analytics-api", "BASE_CURRENCY", "EUR", "counted with USD"),
        ("analytics-api", "JWT_SECRET", "", "one of JWT_SECRET, JWT_PUBLIC_KEY and JWT_JWKS must be set"),
        ("analytics-api", "JWT_PUBLIC_KEY", "@/no/such/file", "JWT_PUBLIC_KEY: the file after @ cannot be read"),
        ("analytics-api", "API_BASE_PATH", "analytics/", "API_BASE_PATH: must be a path"),
        ("analytics-api", "DASHBOARD", "yes", "DASHBOARD: must be on or off, got \"yes\""),
        ("analytics-api", "DASHBOARD_AUTH", "none", "DASHBOARD_AUTH: must be token or gateway, got \"none\""),
        ("analytics-api", "EMBED_ORIGINS", "*", "EMBED_ORIGINS: must be https origins such as"),
        (
            "analytics-api",
            "EMBED_SIGNING_KEY",
            "short",
            "EMBED_SIGNING_KEY: must have 32 bytes or more for HS256, got 5",
        ),
        ("analytics-api", "EMBED_SIGNING_KEY", SECRET, "EMBED_SIGNING_KEY: must differ from JWT_SECRET"),
        ("analytics-api", "API_POOL_SIZE", "0", "API_POOL_SIZE: must be a number of connections from 2 to 1000"),
        ("analytics-api", "API_POOL_SIZE", "1", "API_POOL_SIZE: must be a number of connections from 2 to 1000"),
        ("analytics-api", "LOG_FORMAT", "xml", "LOG_FORMAT: must be text or json, got \"xml\""),
    ] {
        let mut environment = service.environment.clone();
        environment.insert("INGEST_BIND".into(), "127.0.0.1:0".into());
        environment.insert("API_BIND".into(), "127.0.0.1:0".into());
        environment.insert(name.into(), value.into());
        environment.insert("RUST_LOG".into(), "off".into());
        let output = process::run(binary, &[], &environment);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.contains(says) && said.trim_end().lines().count() == 1, "{binary} {name}={value} printed: {said}");
        assert!(!said.contains(SECRET));
    }
}

/// Waits until the log has the line.
fn wait_said(process: &Process, says: &str) {
    wait::until(says, PATIENCE, || process.log().contains(says).then_some(()));
}

#[test]
fn processes_wait_for_the_schema_that_they_need_and_are_not_ready_meanwhile() {
    let service = Service::on(Database::empty(), 1);
    let start = |binary, bind| Process::start(binary, bind, &service.environment);
    let mut processes = [start("analytics-ingest", "INGEST_BIND"), start("analytics-api", "API_BIND")];
    let mut job = Job::start("analytics-jobs", &["migrate", "--wait"], &service.environment);
    for process in &processes {
        wait_said(process, "waiting: the database has no schema yet, this version needs 2026");
        assert!(!process.is_ready());
    }
    let (done, said) = service.job(&["verify"]);
    assert!(!done && said.contains("no schema yet") && said.contains("run `analytics-jobs migrate`"), "{said}");
    service.done(&["migrate"]);
    processes.iter_mut().for_each(Process::wait_ready);
    assert!(job.wait_ended(PATIENCE).success());

    // As after restoring a backup of an older version.
    let versions =
        service.database.lines("SELECT version FROM __diesel_schema_migrations WHERE version > '20261127000001'");
    service.database.execute("DELETE FROM __diesel_schema_migrations WHERE version > '20261127000001'");
    let too_old = "waiting: the database has schema 20261127000001, this version needs 2026";
    let [ingest, api] = &mut processes;
    assert!(ingest.stop().success());
    *ingest = start("analytics-ingest", "INGEST_BIND");
    for process in [&*ingest, &*api] {
        wait_said(process, too_old);
        wait::until("it not to be ready", PATIENCE, || (!process.is_ready()).then_some(()));
    }
    service.database.execute(&format!(
        "INSERT INTO __diesel_schema_migrations (version) SELECT unnest(string_to_array('{}', ','))",
        versions.join(",")
    ));
    for process in [ingest, api] {
        process.wait_ready();
        assert_eq!(process.log().matches(too_old).count(), 1, "{}", process.log());
    }
}

#[test]
fn processes_wait_between_the_last_migration_and_the_settings_that_migrate_stores_after_it() {
    let service = Service::new(1);
    service.database.execute("DELETE FROM service_settings");
    let start = |binary, bind| Process::start(binary, bind, &service.environment);
    let mut processes = [start("analytics-ingest", "INGEST_BIND"), start("analytics-api", "API_BIND")];
    let mut job = Job::start("analytics-jobs", &["migrate", "--wait"], &service.environment);
    for process in &processes {
        wait_said(process, "waiting: the database has no settings stored yet");
        assert!(!process.is_ready());
    }
    let (done, said) = service.job(&["verify"]);
    assert!(!done && said.contains("no settings stored yet: run `analytics-jobs migrate`"), "{said}");
    service.done(&["migrate"]);
    processes.iter_mut().for_each(Process::wait_ready);
    assert!(job.wait_ended(PATIENCE).success());
}

#[test]
fn a_schema_that_is_too_new_or_too_old_for_migrate_is_refused_with_both_versions() {
    let service = Service::new(1);
    let newest = service.database.lines("SELECT max(version) FROM __diesel_schema_migrations").remove(0);
    // A newer schema, with which this version works unless schema_compatibility excludes it.
    service.database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000001')");
    let mut ingest = service.ingest();
    ingest.wait_ready();
    drop(ingest);
    let mut api = service.api();
    service.done(&["migrate"]);
    service.done(&["migrate", "--wait"]);
    service.database.execute("UPDATE schema_compatibility SET oldest_program = '20990101000001'");
    let output = process::run("analytics-ingest", &[], &service.environment);
    let said = String::from_utf8(output.stderr).unwrap();
    let says = format!(
        "the database has schema 20990101000001, which needs programs of schema 20990101000001 or newer, \
         this version has {newest}: run a newer version"
    );
    assert!(!output.status.success() && said.contains(&says), "{said}");
    assert!(!api.wait_ended(PATIENCE).success(), "the API must end when the schema excludes its version");
    for job in [&["migrate"][..], &["migrate", "--wait"]] {
        let (done, said) = service.job(job);
        assert!(!done && said.contains(&says), "an older version must not migrate a newer schema: {said}");
    }
    service.database.execute("DELETE FROM __diesel_schema_migrations");
    service.database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20261122000001')");
    let (done, said) = service.job(&["migrate"]);
    assert!(!done && said.contains("the database has schema 20261122000001, which cannot be upgraded"), "{said}");
}

#[test]
fn ingest_says_why_it_gets_no_answer_from_kafka() {
    let mut service = Service::new(1);
    service.set("KAFKA_BROKER", &format!("127.0.0.1:{}", process::free_port()));
    let ingest = service.ingest();
    wait_said(&ingest, "waiting: Kafka: ");
    wait_said(&ingest, "Connection refused");
    let said = ingest.log();
    assert!(
        said.lines().any(|line| line.contains("waiting: Kafka: ") && line.ends_with("failed: Connection refused")),
        "{said}"
    );
}

#[test]
fn a_job_does_its_work_although_nobody_reads_what_it_prints() {
    let service = Service::new(1);
    for job in ["verify", "offsets show", "dead-letters list", "partitions", "migrate", "rebuild --dry-run"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(process::binary("analytics-jobs"));
        command.args(job.split(' ')).envs(&service.environment).current_dir("/");
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        assert!(command.status().unwrap().success(), "{job}");
    }
    assert_eq!(service.database.number("SELECT count(*) FROM proofs"), Some(1));
}

#[test]
fn logs_can_be_json() {
    let mut service = Service::new(1);
    service.set("LOG_FORMAT", "json");
    let mut ingest = service.ingest();
    ingest.wait_ready();
    assert!(ingest.stop().success());
    for line in ingest.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(line["level"].is_string() && line["message"].is_string());
    }
}

#[test]
fn sigterm_stops_the_api_gracefully() {
    let service = Service::new(1);
    let mut api = service.api();
    assert!(api.stop().success());
    assert!(api.log().contains("stopped"), "{}", api.log());
}
