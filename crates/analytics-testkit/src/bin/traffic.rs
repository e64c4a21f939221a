//! `traffic`: feeds a marketplace's events to Kafka.

use std::thread;
use std::time::{Duration, Instant};

use analytics_testkit::broker::{Sender, create_topics, family_topics};
use analytics_testkit::traffic::Generator;
use chrono::Utc;
use clap::Parser;

/// Feeds a marketplace's events to Kafka: 85 % views, 8 % orders, 4 % ratings, 3 % signups.
///
/// Makes the four topics if they are missing. Endless unless --events is given.
#[derive(Parser)]
struct Arguments {
    /// Kafka brokers
    #[arg(long, env = "KAFKA_BROKER")]
    broker: String,
    /// Events a second; 0 is as fast as the broker takes them
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// How many events; endless if it is not given
    #[arg(long)]
    events: Option<u64>,
    /// The same seed makes the same events; the time of the start if it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// Partitions of topics that are made
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// How many minutes of the past the events are spread over; 0 is now
    #[arg(long, default_value_t = 0)]
    past_minutes: u32,
}

fn main() {
    let arguments = Arguments::parse();
    create_topics(&arguments.broker, &family_topics(""), arguments.partitions);
    let sender = Sender::new(&arguments.broker, "");
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
            #[expect(clippy::cast_precision_loss, reason = "for a pause, not for a count")]
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
