//! Tests of the sample marketplace.

use std::collections::BTreeMap;

use analytics_core::business::Business;
use analytics_core::event::{Content, Event};
use analytics_core::events::{Decoder, OrderCounts, Redaction};
use analytics_core::record::{Offset, Place, Record, TopicPartition};
use analytics_core::rejection::Rejection;
use analytics_core::reversal::{Claim, Placed, Took, decide};
use analytics_core::topics::Topics;
use serde_json::Value;

use super::*;

fn events(seed: u64, base: &str, count: u64) -> Vec<Message> {
    let mut demo = Demo::new(seed, Currency::parse(base).expect("a currency"));
    let start: DateTime<Utc> = "2026-11-01T00:00:00Z".parse().expect("a time");
    (0..count)
        .map(|number| demo.event(start + chrono::Duration::seconds(i64::try_from(number).expect("small"))))
        .collect()
}

/// Sixty days with an event a minute, in which orders come back.
fn with_reversals(seed: u64, base: &str) -> Vec<(DateTime<Utc>, Message)> {
    let mut demo = Demo::new(seed, Currency::parse(base).expect("a currency")).with_reversals();
    let start: DateTime<Utc> = "2026-09-01T00:00:00Z".parse().expect("a time");
    (0..60 * 24 * 60).map(|minute| start + chrono::Duration::minutes(minute)).map(|at| (at, demo.event(at))).collect()
}

fn decoder(base: &str) -> Decoder {
    Decoder {
        topics: Topics::default(),
        business: Business::parse(base, "Europe/Berlin").expect("a business"),
        redaction: Redaction::default(),
        max_record_bytes: 1 << 20,
        order_counts: OrderCounts::Created,
    }
}

fn decoded(decoder: &Decoder, message: &Message) -> Result<Event, Rejection> {
    let now = "2026-11-27T00:00:00Z".parse().expect("a time");
    let partition = TopicPartition { topic: message.topic.as_str().into(), partition: 0 };
    let place = Place { partition, offset: Offset(0), timestamp: None };
    decoder.decode(&Record { place, key: None, headers: vec![], payload: message.payload.clone() }, now)
}

fn payload(message: &Message) -> Value {
    serde_json::from_slice(message.payload.as_deref().unwrap_or_default()).unwrap_or_default()
}

/// How many of the messages have each key.
fn counts(messages: &[Message], key: impl Fn(&Message) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in messages {
        *counts.entry(key(message)).or_default() += 1;
    }
    counts
}

fn orders(messages: &[Message]) -> Vec<Message> {
    messages.iter().filter(|message| message.topic == "order.created").cloned().collect()
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let text = |seed| format!("{:?}", events(seed, "EUR", 3_000));
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

#[test]
fn about_three_of_a_hundred_views_become_orders() {
    let topics = counts(&events(1, "USD", 50_000), |message| message.topic.clone());
    let share = |topic: &str| topics[topic] * 10_000 / topics["product.viewed"];
    assert!((200..400).contains(&share("order.created")), "{topics:?}");
    assert!((100..160).contains(&share("rating.updated")), "{topics:?}");
    assert!((100..180).contains(&share("user.registered")), "{topics:?}");
}

#[test]
fn three_of_four_orders_are_in_the_base_currency() {
    for (base, others) in [("USD", ["EUR", "JPY"]), ("EUR", ["USD", "JPY"]), ("KWD", ["EUR", "USD"])] {
        let orders = orders(&events(1, base, 50_000));
        let shares = counts(&orders, |order| payload(order)["currency"].as_str().unwrap_or("none").to_owned());
        let share = |currency| shares[currency] * 100 / orders.len();
        assert!((68..82).contains(&share(base)), "{shares:?}");
        assert!((12..25).contains(&share(others[0])), "{shares:?}");
        assert!((3..14).contains(&share(others[1])), "{shares:?}");
    }
}

#[test]
fn a_product_has_one_price_with_the_digits_of_the_currency() {
    let catalogue = Catalogue::new(Currency::parse("USD").expect("a currency"));
    let price = |product, code| catalogue.price(product, Currency::parse(code).expect("a currency"));
    for product in 1..=DEMO_PRODUCTS {
        for (code, digits) in [("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)] {
            let price = price(product, code);
            let (whole, fraction) = price.split_once('.').unwrap_or((&price, ""));
            assert_eq!(fraction.len(), digits, "{code} {price}");
            assert!(whole.parse::<u64>().expect("a number") > 0, "{code} {price}");
        }
    }
    assert_eq!(price(7, "USD"), price(7, "USD"));
}

#[test]
fn a_few_products_lead_and_most_ratings_are_good() {
    let messages = events(1, "USD", 100_000);
    let views: Vec<Message> = messages.iter().filter(|message| message.topic == "product.viewed").cloned().collect();
    let products = counts(&views, |view| view.key.clone().unwrap_or_default());
    assert!(products["p-1"] > views.len() / 25, "{}", products["p-1"]);
    assert!(products["p-1"] > 10 * products["p-100"]);
    assert!(products.len() > DEMO_PRODUCTS / 2);
    let ratings: Vec<Message> = messages.iter().filter(|message| message.topic == "rating.updated").cloned().collect();
    let stars = counts(&ratings, |rating| payload(rating)["rating"].to_string());
    assert!(stars["5"] > stars["4"] && stars["4"] > stars["3"] && stars["3"] > stars["2"], "{stars:?}");
    assert!(stars["1"] > 0, "{stars:?}");
}

#[test]
fn buyers_have_viewed_what_they_buy() {
    let messages = events(1, "USD", 5_000);
    let viewed: Vec<(Value, Value)> = messages
        .iter()
        .filter(|message| message.topic == "product.viewed")
        .map(|view| (payload(view)["userId"].clone(), payload(view)["productId"].clone()))
        .collect();
    let orders = orders(&messages);
    assert!(orders.len() > 50);
    for order in orders.iter().map(payload) {
        assert!(viewed.contains(&(order["userId"].clone(), order["items"][0]["productId"].clone())), "{order}");
    }
}

#[test]
fn only_every_ten_thousandth_event_cannot_be_counted() {
    let decoder = decoder("EUR");
    let mut reasons = Vec::new();
    for (number, message) in (1..).zip(events(1, "EUR", 6 * BROKEN_EVERY)) {
        if let Err(rejection) = decoded(&decoder, &message) {
            reasons.push((number, rejection.reason.code()));
        }
    }
    // The fifth is an order with other content: it is decoded, and found to be a conflict.
    let expected =
        [(1, "invalid_amount"), (2, "invalid_rating"), (3, "missing_field"), (4, "invalid_timestamp"), (6, "not_json")];
    assert_eq!(reasons, expected.map(|(times, reason)| (times * BROKEN_EVERY, reason)));
}

#[test]
fn one_order_of_all_is_sent_again_with_other_content() {
    let orders = orders(&events(1, "EUR", 6 * BROKEN_EVERY));
    let ids = counts(&orders, |order| payload(order)["orderId"].as_str().unwrap_or_default().to_owned());
    let repeated: Vec<_> = ids.iter().filter(|(_, times)| **times > 1).collect();
    let [(id, 2)] = repeated[..] else { panic!("{repeated:?}") };
    let sent: Vec<Value> = orders.iter().map(payload).filter(|order| order["orderId"] == **id).collect();
    assert_ne!(sent[0], sent[1]);
}

#[test]
fn nothing_comes_back_unless_it_is_requested() {
    let topics = counts(&events(1, "USD", 50_000), |message| message.topic.clone());
    assert_eq!(topics.len(), 4, "{topics:?}");
    let text = |seed| format!("{:?}", with_reversals(seed, "EUR"));
    assert_eq!(text(1), text(1));
}

#[test]
fn a_few_percent_of_the_orders_come_back_within_what_was_paid() {
    for base in ["USD", "JPY", "KWD"] {
        let decoder = decoder(base);
        let (mut orders, mut kinds) = (BTreeMap::new(), BTreeMap::<_, usize>::new());
        for (at, message) in with_reversals(7, base) {
            let Ok(event) = decoded(&decoder, &message) else { continue };
            let order = payload(&message)["orderId"].as_str().map(str::to_owned);
            let placed = order.as_ref().and_then(|order| orders.get(order));
            match (&event.content, placed) {
                (Content::Lines(lines), None) => {
                    orders.insert(order.expect("an order"), (at, lines.clone()));
                }
                (Content::Reversal(reversal), Some((placed, lines))) => {
                    let (kind, days) = match &reversal.claim {
                        Claim::Cancelled => ("cancelled", 0..=1),
                        Claim::CancelledItems(_) => ("items cancelled", 0..=1),
                        Claim::RefundedItems(items) if items.iter().any(|item| item.amount.is_some()) => {
                            ("a line refunded", 1..=21)
                        }
                        Claim::RefundedItems(_) => ("refunded", 1..=21),
                        Claim::Refunded(_) => ("an amount refunded", 1..=21),
                    };
                    *kinds.entry(kind).or_default() += 1;
                    assert!(days.contains(&(at - *placed).num_days()), "{kind}: {at} {placed}");
                    let placed = [Placed { time: event.time, event: event.id, claim: &reversal.claim }];
                    let took: Vec<Took> = decide(lines, &placed)
                        .into_iter()
                        .flat_map(|(_, entries)| entries)
                        .map(|entry| entry.took)
                        .collect();
                    let is_within = took.iter().all(|took| took.excess == 0);
                    assert!(is_within && took.iter().any(|took| took.amount > 0), "{base} {message:?}: {took:?}");
                }
                (Content::Reversal(_), None) => panic!("no order: {message:?}"),
                _ => {}
            }
        }
        let share = kinds.values().sum::<usize>() * 100 / orders.len();
        assert!((3..=8).contains(&share) && kinds.len() == 5, "{share} % of {}: {kinds:?}", orders.len());
    }
}
