//! `bench`: measures the service compared with PostgreSQL alone.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use analytics_bench::{anomalies, api, ingest, jobs};
use analytics_testkit::traffic::Marketplace;
use clap::{Args, Parser, Subcommand};

/// Measures the service and PostgreSQL alone, alternately in the same run. Compare ratios rather
/// than absolute figures, since machines are noisy. Prints one JSON object to stdout and progress
/// to stderr. The exit code is 1 if a figure misses its bar by more than half.
///
/// Examples:
///   scripts/bench ingest                        1,000,000 events, three rounds, of a large and of a
///                                               small marketplace: 15 minutes
///   scripts/bench ingest --products 20000       of a marketplace of another size
///   scripts/bench ingest --onto 20000000        also into a database with 20 million other events
///   scripts/bench api                           10 million events of a year: 20 minutes
///   scripts/bench jobs                          verify --full and closing a month at 10 million events, and
///                                               ingest beside them: 20 minutes
///   scripts/bench anomalies                     how well anomalies are found, in generated years: seconds
///   scripts/bench micro                         decoding, rules, metric types, tokens, with Criterion
///   scripts/bench short                         a short form of both, which scripts/test runs
#[derive(Parser)]
#[command(name = "scripts/bench", verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

/// The size of the marketplace whose events are generated.
#[derive(Args)]
struct Size {
    /// Number of products [default: 100000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    products: Option<u64>,
    /// Number of sellers [default: 5000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    sellers: Option<u64>,
    /// Number of users [default: 1000000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    users: Option<u64>,
}

impl Size {
    fn marketplace(&self) -> Marketplace {
        Marketplace {
            products: self.products.unwrap_or(Marketplace::LARGE.products),
            sellers: self.sellers.unwrap_or(Marketplace::LARGE.sellers),
            users: self.users.unwrap_or(Marketplace::LARGE.users),
        }
    }

    /// Returns the marketplaces that ingest is measured with: a large and a small one, unless a size
    /// is given.
    fn marketplaces(&self) -> Vec<Marketplace> {
        match self {
            Self { products: None, sellers: None, users: None } => vec![Marketplace::LARGE, Marketplace::SMALL],
            _ => vec![self.marketplace()],
        }
    }
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
        #[command(flatten)]
        size: Size,
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
        #[command(flatten)]
        size: Size,
    },
    /// Measures `verify --full` and closing a month, and how much slower ingest is beside them
    Jobs {
        /// Number of events of the month
        #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
        events: u64,
        /// Number of events that are ingested alone and beside each job
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
        arriving: u64,
        #[command(flatten)]
        size: Size,
    },
    /// Measures how well anomalies are found in generated years, and writes the figures as a page
    Anomalies {
        /// The page
        #[arg(long, default_value = "docs/evidence/anomalies.md")]
        page: PathBuf,
    },
    /// Measures ingest and reads with few events, for every test run
    Short,
}

fn main() -> ExitCode {
    let began = Instant::now();
    let tell = |what: &str| eprintln!("{:>5.0} s  {what}", began.elapsed().as_secs_f64());
    let runs = match Arguments::parse().what {
        What::Ingest { events, rounds, onto, size } => size
            .marketplaces()
            .into_iter()
            .map(|marketplace| {
                let idle = Duration::from_secs(20);
                let (rounds, workers) = (rounds.into(), &[1, 2, 4, 16][..]);
                ingest::run(&ingest::Plan { marketplace, events, rounds, workers, onto, idle }, tell)
            })
            .collect(),
        What::Api { events, metrics, rounds, filled, size } => {
            let (marketplace, days, rounds, idle) = (size.marketplace(), 365, rounds.into(), Duration::from_secs(20));
            let (seconds, requests, arriving) = (10, 300, 1_000);
            let plan =
                api::Plan { marketplace, events, days, arriving, metrics, rounds, seconds, requests, idle, filled };
            vec![api::run(&plan, tell)]
        }
        What::Jobs { events, arriving, size } => {
            vec![jobs::run(&jobs::Plan { marketplace: size.marketplace(), events, arriving }, tell)]
        }
        What::Anomalies { page } => {
            std::fs::write(&page, anomalies::page()).expect("the page cannot be written");
            tell(&format!("wrote {}", page.display()));
            Vec::new()
        }
        What::Short => {
            let (marketplace, rounds, filled) = (Marketplace::SMALL, 1, None);
            let (events, workers, idle) = (200_000, &[1, 2, 4][..], Duration::ZERO);
            let ingest = ingest::run(&ingest::Plan { marketplace, events, rounds, workers, onto: None, idle }, tell);
            let (events, days, metrics, idle) = (100_000, 30, 10_000, Duration::from_secs(3));
            let (seconds, requests, arriving) = (3, 60, 100);
            let plan =
                api::Plan { marketplace, events, days, arriving, metrics, rounds, seconds, requests, idle, filled };
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
