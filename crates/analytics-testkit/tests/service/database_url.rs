//! `DATABASE_URL` in the forms that other programs write. Usable ones are accepted; one that can
//! never work ends every process at once, with one sentence.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use analytics_testkit::process::{self, Job, Process};
use analytics_testkit::service::Service;

use crate::settings::{BINARIES, check, environment, folder_with, with};

/// Time within which a process must end if its `DATABASE_URL` can never work.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Returns what a process writes to stderr when it must end at once.
fn refused(binary: &'static str, environment: &BTreeMap<String, String>) -> String {
    let bind = match binary {
        "analytics-ingest" => "INGEST_BIND",
        "analytics-api" => "API_BIND",
        job => {
            assert!(!Job::start(job, &["partitions"], environment).wait_ended(AT_ONCE).success());
            return String::from_utf8(process::run(job, &["partitions"], environment).stderr).unwrap();
        }
    };
    let mut process = Process::start(binary, bind, environment);
    assert!(!process.wait_ended(AT_ONCE).success());
    process.log()
}

#[test]
fn a_prisma_url_works_for_every_binary() {
    let mut service = Service::new(1);
    let prisma = "?schema=public&connection_limit=5&pgbouncer=true&pool_timeout=10&socket_timeout=3\
                  &connect_timeout=9&statement_cache_size=0&sslmode=prefer&application_name=shop";
    let url = format!("{}{prisma}", service.database.url);
    service.set("DATABASE_URL", &url);
    service.ingest().wait_ready();
    drop(service.api());
    service.done(&["verify"]);
    // Quoted in `.env`, as Prisma writes it into the file that both may read.
    let folder = folder_with(&format!("DATABASE_URL=\"{url}\"\n"));
    let output = process::run_in(&folder, "analytics-jobs", &["offsets", "show"], &environment(&[]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn each_prisma_parameter_is_accepted_or_refused_by_name() {
    let wrong: Vec<String> = [
        ("schema=public", true),
        ("connection_limit=1", true),
        ("pool_timeout=0", true),
        ("socket_timeout=1", true),
        ("connect_timeout=300", true),
        ("pgbouncer=true", true),
        ("statement_cache_size=0", true),
        ("single_use_connections=true", true),
        ("max_connection_lifetime=0", true),
        ("max_idle_connection_lifetime=0", true),
        ("schema=shop", false),
        ("sslaccept=strict", false),
        ("sslidentity=client.p12", false),
    ]
    .into_iter()
    .flat_map(|(parameter, accepted)| BINARIES.map(|binary| (binary, parameter, accepted)))
    .filter_map(|(binary, parameter, accepted)| {
        let (name, _) = parameter.split_once('=')?;
        let (well, said) = check(binary, &with("DATABASE_URL", &format!("postgresql://u@h/d?{parameter}")));
        let right = well == accepted && (well || said.contains(&format!("DATABASE_URL: {name}: ")));
        (!right).then(|| format!("{parameter}: {said}"))
    })
    .collect();
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_url_that_can_never_work_stops_every_start_at_once_with_one_sentence() {
    for url in [
        "mysql://u:p@127.0.0.1:3306/shop",
        "jdbc:postgresql://127.0.0.1:5432/shop?user=u&password=p",
        "prisma+postgres://127.0.0.1:51213/?api_key=k",
        "postgresql://u:p@127.0.0.1:99999/shop",
        "host=127.0.0.1 port=99999 dbname=shop",
        "127.0.0.1:5432/shop",
    ] {
        for binary in BINARIES {
            let said = refused(binary, &with("DATABASE_URL", url));
            assert!(
                said.starts_with(&format!("{binary}: DATABASE_URL: ")) && said.lines().count() == 1,
                "{url}: {said}"
            );
        }
    }
}
