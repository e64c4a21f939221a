//! Settings in an environment shared with other services, and the check of settings,
//! `--check-settings`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Output;

use analytics_testkit::client::SECRET;
use analytics_testkit::database::unique_name;
use analytics_testkit::process;
use analytics_testkit::service::Service;

pub(crate) const BINARIES: [&str; 3] = ["analytics-ingest", "analytics-api", "analytics-jobs"];

pub(crate) fn environment(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Returns settings that are valid for every binary, except that `name` is set to `value`.
pub(crate) fn with(name: &str, value: &str) -> BTreeMap<String, String> {
    let mut all = environment(&[
        ("DATABASE_URL", "postgresql://u@127.0.0.1:1/d"),
        ("KAFKA_BROKER", "127.0.0.1:1"),
        ("JWT_SECRET", SECRET),
        ("INGEST_BIND", "127.0.0.1:0"),
        ("API_BIND", "127.0.0.1:0"),
        ("RUST_LOG", "warn,librdkafka=off,rdkafka=off"),
    ]);
    all.insert(name.into(), value.into());
    all
}

/// Returns whether a binary's check of its settings succeeded, and what it wrote to stderr.
fn checked(output: &Output) -> (bool, String) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let answer = if output.status.success() { "the settings can be used\n" } else { "" };
    assert_eq!(String::from_utf8_lossy(&output.stdout), answer, "{said}");
    (output.status.success(), said)
}

pub(crate) fn check(binary: &str, environment: &BTreeMap<String, String>) -> (bool, String) {
    checked(&process::run(binary, &["--check-settings"], environment))
}

/// Creates a folder with this `.env` in it.
pub(crate) fn folder_with(dotenv: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("analytics-settings-{}", unique_name()));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(".env"), dotenv).unwrap();
    folder
}

#[test]
fn settings_of_other_services_do_not_prevent_a_start() {
    let theirs = [
        ("KAFKA_BROKERS", "elsewhere:9092", "is KAFKA_BROKER meant?"),
        ("KAFKA_TOPIC", "shop", "is KAFKA_TOPICS meant?"),
        ("DATABASE_URI", "mongodb://h/d", "is DATABASE_URL meant?"),
        ("APP_NAME", "My Shop", ""),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092", ""),
    ];
    let assert_told = |said: &str| {
        for (name, _, meant) in theirs {
            let mentioned = said.lines().filter(|line| line.contains(&format!("{name} is not a setting"))).count();
            assert_eq!(mentioned, usize::from(!meant.is_empty()), "{name}: {said}");
            assert!(said.contains(meant), "{name}: {said}");
        }
    };
    let mut service = Service::new(1);
    theirs.iter().for_each(|(name, value, _)| service.set(name, value));
    let mut ingest = service.ingest();
    ingest.wait_ready();
    assert_told(&ingest.log());
    assert_told(&service.api().log());
    assert_told(&service.done(&["partitions"]));
    let lines: String = theirs.iter().map(|(name, value, _)| format!("{name}={value}\n")).collect();
    let folder = folder_with(&format!("{lines}JWT_SECRET='{SECRET}'\nDATABASE_URL=postgresql://u@h/d\n"));
    for binary in BINARIES {
        let broker = environment(&[("KAFKA_BROKER", "k"), ("RUST_LOG", "warn,librdkafka=off,rdkafka=off")]);
        let (well, said) = checked(&process::run_in(&folder, binary, &["--check-settings"], &broker));
        assert!(well, "{said}");
        assert_told(&said);
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_apostrophe_in_another_services_line_hides_none_of_ours() {
    let folder = folder_with(&format!("SHOP=Bob's Shop\nJWT_SECRET={SECRET:?}\nDATABASE_URL=postgresql://u@h/d\n"));
    for binary in BINARIES {
        let broker = environment(&[("KAFKA_BROKER", "k"), ("RUST_LOG", "warn,librdkafka=off,rdkafka=off")]);
        let (well, said) = checked(&process::run_in(&folder, binary, &["--check-settings"], &broker));
        assert!(well, "{said}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn settings_are_checked_without_a_database_and_without_kafka() {
    let [database, kafka] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let mut good = with("DATABASE_URL", &format!("postgresql://u@127.0.0.1:{}/d", port(&database)));
    good.insert("KAFKA_BROKER".into(), format!("127.0.0.1:{}", port(&kafka)));
    good.remove("RUST_LOG");
    for binary in BINARIES {
        assert_eq!(check(binary, &good), (true, String::new()), "{binary}");
        for listener in [&database, &kafka] {
            listener.set_nonblocking(true).unwrap();
            let nobody = listener.accept().map_err(|error| error.kind());
            assert!(matches!(nobody, Err(ErrorKind::WouldBlock)), "{binary} connects: {nobody:?}");
        }
        for (name, value) in [("DATABASE_URL", "mysql://h/d"), ("KAFKA_TOPICS", "orders=x"), ("BASE_CURRENCY", "€")] {
            let mut bad = good.clone();
            bad.insert(name.into(), value.into());
            let (well, said) = check(binary, &bad);
            assert!(!well && said.starts_with(&format!("{binary}: {name}")) && said.lines().count() == 1, "{said}");
        }
    }
}
