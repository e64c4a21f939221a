//! Criterion benchmarks of decoding and counting events, parsing metric types and verifying tokens,
//! without Kafka and PostgreSQL.

use std::cell::Cell;
use std::hint::black_box;

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::events::{Decoder, OrderCounts, Redaction};
use analytics_core::metric_type::MetricType;
use analytics_core::record::{Offset, Place, Record, TopicPartition};
use analytics_core::rules;
use analytics_core::topics::Topics;
use analytics_testkit::broker::Message;
use analytics_testkit::client::{SECRET, token};
use analytics_testkit::traffic::Generator;
use chrono::{Duration, Utc};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use shared_auth::{Claims, Keys, mint};

/// Number of events in one batch, so that sums spread over as many products and sellers as in a
/// real batch.
const EVENTS: u64 = 10_000;

fn record(offset: i64, message: Message) -> Record {
    let partition = TopicPartition { topic: message.topic.into(), partition: 0 };
    let place = Place { partition, offset: Offset(offset), timestamp: message.timestamp };
    Record { place, key: message.key.map(String::into_bytes), headers: Vec::new(), payload: message.payload }
}

fn events(criterion: &mut Criterion) {
    let business = Business::parse("USD", "UTC").expect("a business");
    let (topics, redaction) = (Topics::default(), Redaction::default());
    let decoder =
        Decoder { topics, business, redaction, max_record_bytes: 1 << 20, order_counts: OrderCounts::Created };
    let now = Utc::now();
    let generator = Generator::new(1, now - Duration::hours(1), Duration::milliseconds(300));
    let records: Vec<Record> =
        (0..).zip(generator.take(EVENTS as usize)).map(|(offset, message)| record(offset, message)).collect();
    let decoded: Vec<_> = records.iter().map(|record| decoder.decode(record, now).expect("an event")).collect();

    let mut group = criterion.benchmark_group("10,000 events");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(30);
    group.bench_function("decode", |bencher| {
        bencher.iter(|| records.iter().filter(|record| black_box(decoder.decode(record, now)).is_ok()).count());
    });
    group.bench_function("rules", |bencher| {
        bencher.iter(|| {
            let mut deltas = Deltas::default();
            decoded.iter().for_each(|event| rules::count(event, business, &mut deltas));
            deltas
        });
    });
    group.finish();
}

fn metric_types(criterion: &mut Criterion) {
    let business = Business::parse("USD", "UTC").expect("a business");
    let today = Utc::now().date_naive();
    for text in ["total_views", "product_views:p-4711", "seller_revenue:v%3A1:EUR"] {
        criterion.bench_function(&format!("metric type {text}"), |bencher| {
            bencher.iter(|| MetricType::parse(black_box(text), today, business.base_currency).expect("a type"));
        });
    }
}

fn tokens(criterion: &mut Criterion) {
    let verifier = Keys::default().secret(SECRET.as_bytes()).expect("a secret").verifier().expect("keys");
    let known = token("admin", None);
    criterion.bench_function("a token that was seen before", |bencher| {
        bencher.iter(|| verifier.verify(black_box(&known)).expect("an admin"));
    });
    let minted = Cell::new(0_u64);
    let fresh = || {
        minted.set(minted.get() + 1);
        let exp = (Utc::now().timestamp() + 3600).unsigned_abs();
        let user_id = Some(minted.get().to_string());
        let claims = Claims { user_id, role: vec!["admin".into()], exp, ..Claims::default() };
        mint(SECRET.as_bytes(), &claims).expect("a token")
    };
    criterion.bench_function("a new token", |bencher| {
        bencher.iter_batched(fresh, |token| verifier.verify(&token).expect("an admin"), BatchSize::SmallInput);
    });
}

criterion_group!(benches, events, metric_types, tokens);
criterion_main!(benches);
