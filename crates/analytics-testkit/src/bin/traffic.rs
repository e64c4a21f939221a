//! `traffic`: produces the events of a marketplace to Kafka.

use std::thread;
use std::time::{Duration, Instant};

use analytics_core::business::Business;
use analytics_core::family::Family;
use analytics_testkit::broker::{Message, Sender, create_topics, family_topics, optional_topics};
use analytics_testkit::names;
use analytics_testkit::traffic::demo::Demo;
use analytics_testkit::traffic::rhythm::{self, Rhythm};
use analytics_testkit::traffic::{Generator, Marketplace};
use chrono::Utc;
use clap::Parser;

/// Events of the sample marketplace's history on an average day, at the end of it.
const HISTORY_PER_DAY: f64 = 6_000.0;

/// Produces the events of a marketplace to Kafka: 85 % views, 8 % orders, 4 % ratings, 3 % signups.
///
/// Creates the topics that it writes to if they do not exist. Runs until it is stopped unless --events is given.
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
    /// Events of a sample marketplace that looks real: 95 % views, 3 % orders, in three currencies;
    /// 2 % of the orders are cancelled and 5 % refunded later, and one event of 10,000 cannot be counted
    #[arg(long, conflicts_with = "past_minutes")]
    demo: bool,
    /// Begins with a history of so many days, today included, which is busier in the evening and at
    /// weekends; the events of --events and --rate follow
    #[arg(long, requires = "demo", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=366))]
    history_days: u32,
    /// The main currency of --demo
    #[arg(long, env = "BASE_CURRENCY", default_value = "USD")]
    currency: String,
    /// The timezone of the days and hours of --history-days
    #[arg(long, env = "BUSINESS_TIMEZONE", default_value = "UTC")]
    timezone: String,
    /// First names every product and seller, in product.created and vendor.created, whose topics are
    /// created
    #[arg(long)]
    names: bool,
}

fn main() {
    let arguments = Arguments::parse();
    create_topics(&arguments.broker, &family_topics(""), arguments.partitions);
    if arguments.demo {
        let reversals = [Family::OrderCancelled, Family::OrderRefunded].map(|family| family.name().to_owned());
        create_topics(&arguments.broker, &reversals, arguments.partitions);
    }
    let sender = Sender::new(&arguments.broker, "");
    if arguments.names {
        create_topics(&arguments.broker, &optional_topics(""), 1);
        let named = names::events(Marketplace::SMALL, Utc::now()).map(|message| sender.queue(&message)).count();
        sender.flush();
        eprintln!("named {named} products and sellers");
    }
    let seed = arguments.seed.unwrap_or_else(|| Utc::now().timestamp_millis().unsigned_abs());
    let events = arguments.events.unwrap_or(u64::MAX);
    if arguments.demo {
        demo(&arguments, &sender, seed, events);
    } else {
        even(&arguments, &sender, seed, events);
    }
}

/// Produces events of the generator.
fn even(arguments: &Arguments, sender: &Sender, seed: u64, events: u64) {
    let past = chrono::Duration::minutes(arguments.past_minutes.into());
    let step = past / i32::try_from(events).unwrap_or(i32::MAX).max(1);
    let mut generator = Generator::new(seed, Utc::now() - past, step);
    produce(sender, events, arguments.rate, || {
        if past.is_zero() {
            generator.at(Utc::now());
        }
        generator.next()
    });
}

/// Produces the history of the sample marketplace, then what happens there now.
fn demo(arguments: &Arguments, sender: &Sender, seed: u64, events: u64) {
    let business = match Business::parse(&arguments.currency, &arguments.timezone) {
        Ok(business) => business,
        Err(invalid) => {
            eprintln!("traffic: {invalid}");
            std::process::exit(2);
        }
    };
    let mut demo = Demo::new(seed, business.base_currency).with_reversals();
    if arguments.history_days > 0 {
        let past = rhythm::last_days(business.calendar, arguments.history_days, Utc::now());
        let mut times = Rhythm::new(seed, business.calendar, past, HISTORY_PER_DAY);
        produce(sender, u64::MAX, 0, || times.next().map(|time| demo.event(time)));
    }
    if events > 0 {
        produce(sender, events, arguments.rate, || Some(demo.event(Utc::now())));
    }
}

/// Produces up to `events` events, `rate` of them a second, until there are no more.
fn produce(sender: &Sender, events: u64, rate: u32, mut next: impl FnMut() -> Option<Message>) {
    let began = Instant::now();
    let (mut sent, mut said) = (0_u64, Instant::now());
    while sent < events {
        let Some(message) = next() else { break };
        sender.queue(&message);
        sent += 1;
        if rate > 0 {
            #[expect(clippy::cast_precision_loss, reason = "computes a pause; needs no exact value")]
            let due = began + Duration::from_secs_f64(sent as f64 / f64::from(rate));
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
