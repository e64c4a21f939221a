//! `traffic`: produces the events of a marketplace to Kafka.

use std::thread;
use std::time::{Duration, Instant};

use analytics_testkit::broker::{Sender, create_topics, family_topics, optional_topics};
use analytics_testkit::names;
use analytics_testkit::traffic::{Generator, Marketplace};
use chrono::Utc;
use clap::Parser;

/// Produces the events of a marketplace to Kafka: 85 % views, 8 % orders, 4 % ratings, 3 % signups.
///
/// Creates the four topics if they do not exist. Runs until it is stopped unless --events is given.
#[derive(Parser)]
struct Arguments {
    /// Addresses of Kafka brokers, separated by commas
    #[arg(long, env = "KAFKA_BROKER")]
    broker: String,
    /// Events per second; 0 for as fast as the broker accepts them
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Number of events; unlimited by default
    #[arg(long)]
    events: Option<u64>,
    /// Seed of the random numbers: the same seed gives the same events; the current time by default
    #[arg(long)]
    seed: Option<u64>,
    /// Partitions of each topic that is created
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Spreads the times of the events over this many past minutes; 0 for the current time
    #[arg(long, default_value_t = 0)]
    past_minutes: u32,
    /// First names every product and seller, in product.created and vendor.created, whose topics are
    /// created
    #[arg(long)]
    names: bool,
}

fn main() {
    let arguments = Arguments::parse();
    create_topics(&arguments.broker, &family_topics(""), arguments.partitions);
    let sender = Sender::new(&arguments.broker, "");
    if arguments.names {
        create_topics(&arguments.broker, &optional_topics(""), 1);
        names::events(Marketplace::SMALL, Utc::now()).for_each(|message| sender.queue(&message));
        sender.flush();
    }
    let seed = arguments.seed.unwrap_or_else(|| Utc::now().timestamp_millis().unsigned_abs());
    let past = chrono::Duration::minutes(arguments.past_minutes.into());
    let events = arguments.events.unwrap_or(u64::MAX);
    let step = past / i32::try_from(events).unwrap_or(i32::MAX).max(1);
    let mut generator = Generator::new(seed, Utc::now() - past, step);
    let began = Instant::now();
    let (mut sent, mut said) = (0_u64, Instant::now());
    while sent < events {
        if past.is_zero() {
            generator.at(Utc::now());
        }
        if let Some(message) = generator.next() {
            sender.queue(&message);
        }
        sent += 1;
        if arguments.rate > 0 {
            #[expect(clippy::cast_precision_loss, reason = "computes a pause; needs no exact value")]
            let due = began + Duration::from_secs_f64(sent as f64 / f64::from(arguments.rate));
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        if said.elapsed() > Duration::from_secs(10) {
            eprintln!("sent {sent} events in {} s", began.elapsed().as_secs());
            said = Instant::now();
        }
    }
    sender.flush();
    eprintln!("sent {sent} events in {:.1} s", began.elapsed().as_secs_f64());
}
