//! Memory stays bounded for a backlog of a million events and for the largest orders, and every
//! compression codec can be read.

use std::time::Duration;

use analytics_testkit::broker::{Message, Sender};
use analytics_testkit::service::Service;
use analytics_testkit::traffic::Generator;
use analytics_testkit::wait;
use chrono::Utc;

#[test]
fn memory_stays_under_200_mib_over_a_backlog_of_a_million_events() {
    const EVENTS: i64 = 1_000_000;
    let service = Service::new(4);
    let sender = Sender::new(&service.broker, &service.prefix);
    let start = Utc::now() - chrono::Duration::hours(20);
    let generator = Generator::new(1, start, chrono::Duration::milliseconds(50));
    for message in generator.take(EVENTS.try_into().unwrap()) {
        sender.queue(&message);
    }
    sender.flush();
    let ingest = service.ingest();
    let began = std::time::Instant::now();
    wait::until("a million events", Duration::from_secs(600), || (service.consumed() >= EVENTS).then_some(()));
    let peak = ingest.peak_memory() >> 20;
    println!("{EVENTS} events in {:?}, at most {peak} MiB resident", began.elapsed());
    assert_eq!(service.consumed(), EVENTS);
    assert!(peak < 200, "{peak} MiB");
}

#[test]
fn memory_stays_under_200_mib_over_the_largest_orders() {
    let service = Service::new(1);
    let line = |n: usize| format!(r#"{{"productId":{},"unitPrice":1}}"#, 10_000 + n);
    let lines = (0..30_000).map(line).collect::<Vec<_>>().join(",");
    let order = |n: usize| Message::json("order.created", format!(r#"{{"orderId":"o-{n}","items":[{lines}]}}"#));
    let orders: Vec<Message> = (0..8).map(order).collect();
    let length = orders[0].payload.as_ref().map_or(0, Vec::len);
    assert!((900 << 10..1 << 20).contains(&length), "about 1 MiB: {length}");
    service.send(&orders);
    let ingest = service.ingest();
    service.wait_consumed(8);
    assert_eq!(service.database.lines("SELECT reason || detail FROM dead_letters"), Vec::<String>::new());
    assert_eq!(service.database.number("SELECT value FROM metrics WHERE type = 'total_units'"), Some(240_000));
    let peak = ingest.peak_memory() >> 20;
    println!("at most {peak} MiB resident");
    assert!(peak < 200, "{peak} MiB");
}

#[test]
fn every_compression_can_be_read() {
    let service = Service::new(1);
    let mut ingest = service.ingest();
    ingest.wait_ready();
    let messages =
        vec![Message::json("product.viewed", format!(r#"{{"productId":"p","x":"{}"}}"#, "y".repeat(500))); 50];
    for (sent, codec) in (1..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        Sender::compressing(&service.broker, &service.prefix, codec).send(&messages);
        service.wait_consumed(sent * 50);
    }
}
