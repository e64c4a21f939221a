//! Formats the results of the runs: as lines of a table, and as the page `docs/evidence/faults.md`.

use std::fmt::Write as _;
use std::process::Command;

use chrono::Utc;

use super::Outcome;
use super::arena::{Options, PARTITIONS, WORKERS};
use super::stream::marketplace;

/// Returns the header line of the table.
#[must_use]
pub fn head() -> String {
    format!(
        "{:<29} {:>8} {:>9} {:>6} {:>10} {:>6} {:>6} {:>9} {:>7}  RESULT",
        "FAULT", "RECORDS", "REPEATED", "LOST", "DUPLICATED", "WRONG", "STUCK", "RECOVERY", "TOOK"
    )
}

/// Returns the line of the table for one run.
#[must_use]
pub fn line(outcome: &Outcome) -> String {
    let verdict = &outcome.verdict;
    let (name, result) = match (&outcome.mutant, verdict.is_clean()) {
        (None, true) => (outcome.fault.name.to_owned(), "ok"),
        (None, false) => (outcome.fault.name.to_owned(), "FAILED"),
        (Some(mutant), _) if verdict.broke_off => (format!("mutant {mutant}"), "FAILED"),
        (Some(mutant), false) => (format!("mutant {mutant}"), "caught"),
        (Some(mutant), true) => (format!("mutant {mutant}"), "NOT CAUGHT"),
    };
    format!(
        "{name:<29} {:>8} {:>9} {:>6} {:>10} {:>6} {:>6} {:>7.1} s {:>5.0} s  {result}",
        verdict.records,
        verdict.repeated,
        verdict.lost,
        verdict.duplicated,
        verdict.wrong,
        verdict.stuck,
        verdict.recovery.as_secs_f64(),
        outcome.took.as_secs_f64(),
    )
}

/// Returns the page with the results of all runs, in Markdown.
#[must_use]
pub fn page(outcomes: &[Outcome], options: &Options, at_once: usize) -> String {
    let (seed, records) = (options.seed, options.records);
    let (products, vendors) = marketplace(i64::try_from(records).unwrap_or(i64::MAX));
    let mut page = format!(
        "# Exact under any fault\n\n\
         Written by `scripts/torture --fault all --seed {seed} --records {records} --at-once {at_once}`; the same command \
         repeats the run.\n\n\
         - {date}, {machine}\n\
         - {records} records for each fault, of {products} products and {vendors} vendors, {WORKERS} workers at first, {PARTITIONS} partitions in each of 4 topics\n\
         - every fault gets a new database and new topics; the expected result is computed from what Kafka holds in \
           the end, read back with Kafka's own console consumer, and without any of the service's code\n\n\
         The columns:\n\n\
         - consumed: records that were consumed\n\
         - repeated: records that Kafka holds once more because the producer sent them again after a failure; each \
           is a record like any other\n\
         - lost, duplicated: events, by the number that each carries; duplicated also counts records that were \
           consumed more often than they should be\n\
         - wrong: metrics, rollups, ratings, dead letters, gaps and counters that differ, and what \
           `analytics-ingest audit` and `analytics-jobs verify --full` find\n\
         - stuck: partitions that are not consumed to their end\n\
         - recovery: the time from the end of the fault until everything is counted\n\n\
         | fault | what happens | consumed | repeated | lost | duplicated | wrong | stuck | recovery |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
        date = Utc::now().format("%Y-%m-%d"),
        machine = machine(),
    );
    for outcome in outcomes.iter().filter(|outcome| outcome.mutant.is_none()) {
        let verdict = &outcome.verdict;
        let broken = if verdict.is_clean() { "" } else { " **failed**" };
        writeln!(
            page,
            "| `{}`{broken} | {} | {} | {} | {} | {} | {} | {} | {:.1} s |",
            outcome.fault.name,
            outcome.fault.what,
            verdict.records,
            verdict.repeated,
            verdict.lost,
            verdict.duplicated,
            verdict.wrong,
            verdict.stuck,
            verdict.recovery.as_secs_f64()
        )
        .expect("text");
    }
    let mutants: Vec<_> = outcomes.iter().filter_map(|outcome| Some((outcome.mutant.as_ref()?, outcome))).collect();
    if !mutants.is_empty() {
        page += "\n## The checker is itself checked\n\n\
            Mutants are workers with a deliberate defect, compiled only for this test. The fault in the second \
            column must reveal it.\n\n\
            | mutant | under | lost | duplicated | wrong | stuck | |\n|---|---|---:|---:|---:|---:|---|\n";
        for (mutant, outcome) in mutants {
            let verdict = &outcome.verdict;
            let caught = if verdict.is_clean() { "**not caught**" } else { "caught" };
            writeln!(
                page,
                "| `{mutant}` | `{}` | {} | {} | {} | {} | {caught} |",
                outcome.fault.name, verdict.lost, verdict.duplicated, verdict.wrong, verdict.stuck
            )
            .expect("text");
        }
    }
    page
}

/// Describes the machine and the versions of the servers in one line.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes: u64 = total.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    let postgres = Command::new("psql").arg("--version").output().map_or(String::new(), |output| {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.split_whitespace().nth(2).unwrap_or_default().to_owned()
    });
    let kafka = std::env::var("KAFKA_VERSION").unwrap_or_default();
    let gigabytes = kilobytes.div_ceil(1 << 20);
    format!("{cores} cores, {gigabytes} GB of memory, PostgreSQL {postgres}, Apache Kafka {kafka}, all on one machine")
}
