//! `bench`: measures the service compared with PostgreSQL alone.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use analytics_bench::{api, ingest};
use clap::{Parser, Subcommand};

/// Measures the service and PostgreSQL alone, alternately in the same run. Compare ratios rather
/// than absolute figures, since machines are noisy. Prints one JSON object to stdout and progress
/// to stderr. The exit code is 1 if a figure misses its bar by more than half.
///
/// Examples:
///   scripts/bench ingest                        1,000,000 events, three rounds: 5 minutes
///   scripts/bench ingest --onto 20000000        also into a database with 20 million other events
///   scripts/bench api                           10 million events: 10 minutes
///   scripts/bench micro                         decoding, rules, metric types, tokens, with Criterion
///   scripts/bench short                         a short form of both, which scripts/test runs
#[derive(Parser)]
#[command(name = "scripts/bench", verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Measures ingest from the first fetch to the last commit, compared with COPY
    Ingest {
        /// Number of events of each run
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
        events: u64,
        /// Number of rounds; each measures everything once
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
        rounds: u8,
        /// Also measures counting into a database that already holds this many other events
        #[arg(long)]
        onto: Option<u64>,
    },
    /// Measures reading one metric, compared with pgbench's prepared SELECTs, then every list route
    Api {
        /// Number of events in the event log
        #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
        events: u64,
        /// Number of metrics that are requested
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
        metrics: u64,
        /// Number of rounds; each measures the API and pgbench once
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
        rounds: u8,
        /// URL of a database that the traffic generator and ingest have filled, instead of a new
        /// one
        #[arg(long)]
        filled: Option<String>,
    },
    /// Measures both with few events, for every test run
    Short,
}

fn main() -> ExitCode {
    let began = Instant::now();
    let tell = |what: &str| eprintln!("{:>5.0} s  {what}", began.elapsed().as_secs_f64());
    let runs = match Arguments::parse().what {
        What::Ingest { events, rounds, onto } => {
            let plan = ingest::Plan { events, rounds: rounds.into(), onto, idle: Duration::from_secs(20) };
            vec![ingest::run(&plan, tell)]
        }
        What::Api { events, metrics, rounds, filled } => {
            let (rounds, seconds, requests) = (rounds.into(), 10, 300);
            let plan = api::Plan { events, metrics, rounds, seconds, requests, idle: Duration::from_secs(20), filled };
            vec![api::run(&plan, tell)]
        }
        What::Short => {
            let plan = ingest::Plan { events: 200_000, rounds: 1, onto: None, idle: Duration::ZERO };
            let ingest = ingest::run(&plan, tell);
            let (events, metrics, idle) = (100_000, 10_000, Duration::from_secs(3));
            let plan = api::Plan { events, metrics, rounds: 1, seconds: 3, requests: 20, idle, filled: None };
            vec![ingest, api::run(&plan, tell)]
        }
    };
    let mut missed = false;
    for (measured, bars) in runs {
        println!("{measured:#}");
        for bar in bars.iter().filter(|bar| !bar.is_met()) {
            let gross = if bar.is_grossly_missed() { "by more than half" } else { "" };
            eprintln!("MISSED {gross} {}: {:.3}, {:?}", bar.what, bar.measured, bar.limit);
            missed |= bar.is_grossly_missed();
        }
    }
    ExitCode::from(u8::from(missed))
}
