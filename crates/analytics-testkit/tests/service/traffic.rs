//! Generated traffic, and what it must come to.

use analytics_testkit::broker::Message;
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;
use analytics_testkit::traffic::Generator;
use chrono::{Duration, Utc};

/// Sends so many events of a seed, and counts them into the tally.
pub fn send(service: &Service, tally: &mut Tally, seed: u64, events: usize) {
    let start = Utc::now() - Duration::hours(3);
    // Seeds lie a moment apart, so that no two ratings have the same time.
    let start = start + Duration::milliseconds(i64::try_from(seed).unwrap());
    let messages: Vec<Message> = Generator::new(seed, start, Duration::milliseconds(100)).take(events).collect();
    for message in &messages {
        tally.add(message);
    }
    service.send(&messages);
}
