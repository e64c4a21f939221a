//! Tests of the rules: tables of records and what they add.

use std::collections::BTreeMap;

use crate::attribution::ProductVendors;
use crate::business::Business;
use crate::deltas::Deltas;
use crate::event::Event;
use crate::events::{Decoder, OrderCounts, Redaction};
use crate::maps::HashMap;
use crate::record::{Offset, Place, Record, TopicPartition};
use crate::topics::Topics;

use crate::event::Vendor;
use crate::ids::{ProductId, VendorId};
use crate::reversal::Took;

use super::*;

fn events(records: &[(&str, &str)], timezone: &str) -> (Vec<Event>, Business) {
    let business = Business::parse("USD", timezone).unwrap();
    let decoder = Decoder {
        topics: Topics::default(),
        business,
        redaction: Redaction::default(),
        max_record_bytes: 1 << 20,
        order_counts: OrderCounts::Created,
    };
    let mut vendors = ProductVendors::default();
    let event = |(offset, (topic, payload)): (i64, &(&str, &str))| {
        let partition = TopicPartition { topic: (*topic).into(), partition: 0 };
        let place = Place { partition, offset: Offset(offset), timestamp: None };
        let record = Record { place, key: None, headers: vec![], payload: Some(payload.as_bytes().to_vec()) };
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let mut event = decoder.decode(&record, now).unwrap();
        vendors.attribute(&mut event);
        event
    };
    ((0..).zip(records).map(event).collect(), business)
}

fn deltas(records: &[(&str, &str)], timezone: &str) -> Deltas {
    let (events, business) = events(records, timezone);
    let mut deltas = Deltas::default();
    for event in &events {
        count(event, business, &mut deltas);
    }
    deltas
}

/// Returns what the records add, as sorted lines of `type value`.
fn counted(records: &[(&str, &str)]) -> Vec<String> {
    let deltas = deltas(records, "UTC");
    let counters: BTreeMap<String, i128> = deltas.counters.iter().map(|(t, v)| (t.to_string(), *v)).collect();
    let rates = deltas.ratios.iter().map(|(ratio, sums)| format!("{ratio} {}/{}", sums.numerator, sums.denominator));
    let mut lines: Vec<String> = counters.into_iter().map(|(t, v)| format!("{t} {v}")).chain(rates).collect();
    lines.sort();
    lines
}

#[test]
fn each_family_adds_to_its_metrics() {
    for (records, expected) in [
        (
            &[("product.viewed", r#"{"productId":"p","vendorId":"v"}"#)][..],
            &["conversion_rate:v 0/1", "product_views:p 1", "seller_views:v 1", "total_views 1"][..],
        ),
        (&[("product.viewed", r#"{"productId":"p"}"#)], &["product_views:p 1", "total_views 1"]),
        (
            &[("user.registered", r#"{"userId":"u","registeredAt":"2026-11-01T23:30:00Z"}"#)],
            &["daily_signups:2026-11-01 1", "total_signups 1"],
        ),
        (
            &[(
                "order.created",
                r#"{"id":1,"items":[{"productId":"p","vendorId":"v","price":"1.00","qty":2},{"vendorId":"v","price":3,"currency":"EUR"},{"price":0}]}"#,
            )],
            &[
                "conversion_rate:v 1/0",
                "product_orders:p 1",
                "product_revenue:p 200",
                "product_units:p 2",
                "refund_rate:v 0/200",
                "refund_rate:v:EUR 0/300",
                "seller_net_revenue:v 200",
                "seller_net_revenue:v:EUR 300",
                "seller_orders:v 1",
                "seller_revenue:v 200",
                "seller_revenue:v:EUR 300",
                "seller_units:v 3",
                "total_net_revenue 200",
                "total_net_revenue:EUR 300",
                "total_orders 1",
                "total_revenue 200",
                "total_revenue:EUR 300",
                "total_units 4",
                "unattributed_revenue 0",
            ],
        ),
    ] {
        assert_eq!(counted(records), expected, "{records:?}");
    }
}

#[test]
fn what_is_booked_for_a_reversal_is_taken_back() {
    let records = [("order.refunded", r#"{"refundId":1,"orderId":1,"amount":1,"refundedAt":"2026-11-02T12:00:00Z"}"#)];
    let (mut events, business) = events(&records, "UTC");
    assert_eq!(counted(&records), Vec::<String>::new(), "nothing until its order is known");
    let part = |vendor: Option<&str>| Part {
        product: Some(ProductId::parse("p").unwrap()),
        vendor: vendor.map_or(Vendor::Unknown, |vendor| Vendor::Named(VendorId::parse(vendor).unwrap())),
    };
    let entry = |line, currency: &str, units, amount, excess, cancelled| Entry {
        line,
        currency: Currency::parse(currency),
        took: Took { units, amount, excess, cancelled },
    };
    let Content::Reversal(reversal) = &mut events[0].content else { panic!() };
    reversal.entries = vec![
        entry(Some((1, part(Some("v")))), "USD", 2, 500, 0, 0),
        entry(Some((2, part(None))), "EUR", 0, -30, 0, 0),
        entry(None, "EUR", 0, 0, 7, 0),
    ];
    let mut deltas = Deltas::default();
    book(&events[0], business, &mut deltas);
    let mut counted: Vec<String> = deltas.counters.iter().map(|(counter, sum)| format!("{counter} {sum}")).collect();
    counted.sort();
    assert_eq!(
        counted,
        [
            "excess_refunds:EUR 7",
            "product_refunds:p 500",
            "product_refunds:p:EUR -30",
            "refunded_units 2",
            "seller_net_revenue:v -500",
            "seller_refunds:v 500",
            "total_net_revenue -500",
            "total_net_revenue:EUR 30",
            "total_refunds 500",
            "total_refunds:EUR -30",
            "unattributed_refunds:EUR -30",
        ]
    );
    assert!(deltas.events.is_empty() && deltas.rollups.keys().all(|bucket| bucket.start.to_string().contains("11-02")));
}

#[test]
fn a_vendor_is_learned_from_earlier_records_only() {
    let teach = ("product.viewed", r#"{"productId":"p","vendorId":"old","viewedAt":"2026-11-02"}"#);
    let sell = ("order.created", r#"{"id":1,"items":[{"productId":"p","price":1}]}"#);
    let both = (
        "order.created",
        r#"{"id":2,"items":[{"productId":"p","price":1},{"productId":"p","vendorId":"new","price":1}]}"#,
    );
    let of_order = ("order.created", r#"{"id":3,"vendorId":"mine","items":[{"productId":"p","price":1}]}"#);
    let late = ("product.viewed", r#"{"productId":"p","vendorId":"older","viewedAt":"2026-11-01"}"#);
    let revenue = |records: &[(&str, &str)]| {
        counted(records)
            .into_iter()
            .filter(|line| line.contains("er_revenue") || line.starts_with("un"))
            .collect::<Vec<_>>()
    };
    assert_eq!(revenue(&[sell, teach]), ["unattributed_revenue 100"]);
    assert_eq!(revenue(&[teach, sell]), ["seller_revenue:old 100"]);
    assert_eq!(revenue(&[both]), ["seller_revenue:new 100", "unattributed_revenue 100"]);
    assert_eq!(revenue(&[both, sell]), ["seller_revenue:new 200", "unattributed_revenue 100"]);
    assert_eq!(revenue(&[teach, late, sell]), ["seller_revenue:old 100"], "the latest event time wins");
    assert_eq!(
        revenue(&[teach, of_order]),
        ["seller_revenue:mine 100"],
        "the order's vendor is preferred to a learned one"
    );
    assert_eq!(
        revenue(&[of_order, sell]),
        ["seller_revenue:mine 100", "unattributed_revenue 100"],
        "only a line that names product and vendor itself is learned from"
    );
    let view = ("product.viewed", r#"{"productId":"p"}"#);
    assert!(counted(&[teach, view]).contains(&"seller_views:old 2".to_owned()));
    let rating = ("rating.updated", r#"{"userId":"u","productId":"p","stars":5}"#);
    assert!(deltas(&[teach, rating], "UTC").ratings.keys().all(|(target, _)| target.to_string() == "product_rating:p"));
}

#[test]
fn rollups_are_cut_in_the_business_timezone_and_sum_to_the_counters() {
    let records = [
        (
            "order.created",
            r#"{"id":1,"placedAt":"2026-10-31T18:45:00Z","items":[{"productId":"p","vendorId":"v","price":1}]}"#,
        ),
        (
            "order.created",
            r#"{"id":2,"placedAt":"2026-10-31T18:15:00Z","items":[{"productId":"p","vendorId":"v","price":2}]}"#,
        ),
    ];
    let deltas = deltas(&records, "Asia/Kolkata");
    let mut rows: Vec<String> = deltas
        .rollups
        .iter()
        .filter(|(bucket, _)| bucket.scope == Scope::Total)
        .map(|(bucket, m)| format!("{:?} {} {:?}", bucket.granularity, bucket.start, m.get(Measure::Revenue).unwrap()))
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            "Day 2026-10-30 18:30:00 UTC 200",
            "Day 2026-10-31 18:30:00 UTC 100",
            "Hour 2026-10-31 17:30:00 UTC 200",
            "Hour 2026-10-31 18:30:00 UTC 100",
        ]
    );
}

#[test]
fn rollups_are_the_same_without_counters() {
    let records = [
        ("order.created", r#"{"id":1,"items":[{"productId":"p","vendorId":"v","price":1}]}"#),
        ("product.viewed", r#"{"productId":"p","vendorId":"v"}"#),
        ("rating.updated", r#"{"id":1,"userId":"u","productId":"p","rating":4}"#),
    ];
    let (events, business) = events(&records, "Asia/Kolkata");
    let (mut all, mut rollups, mut finest) = (Deltas::default(), Deltas::only_rollups(), Deltas::only_finest());
    for event in &events {
        for deltas in [&mut all, &mut rollups, &mut finest] {
            count(event, business, deltas);
        }
    }
    assert_eq!((&rollups.rollups, &rollups.ratings, &rollups.events), (&all.rollups, &all.ratings, &all.events));
    assert!(rollups.counters.is_empty() && rollups.ratios.is_empty());
    assert!(finest.rollups.len() < all.rollups.len());
    let (mut derived, sums) = (Deltas::default(), finest.finest());
    sums.for_each(|(bucket, measures)| derived.add_finest(bucket, measures, business.calendar));
    assert_eq!(
        (&derived.rollups, &derived.counters, &derived.ratios),
        (&all.rollups, &all.counters, &all.ratios),
        "everything follows from the finest sums"
    );
}

#[test]
fn the_latest_rating_of_a_user_counts() {
    use crate::rules::ratings::settle;
    let rating =
        |time: &str, stars: u8| format!(r#"{{"userId":"u","productId":"p","stars":{stars},"updatedAt":"{time}"}}"#);
    let (early, late) = (rating("2026-11-01", 1), rating("2026-11-02", 5));
    let proposed = |records: &[&str]| {
        let records: Vec<_> = records.iter().map(|payload| ("rating.updated", *payload)).collect();
        deltas(&records, "UTC").ratings
    };
    let histogram = |proposed: &_, standing: &_| {
        settle(proposed, standing).histograms.values().next().map(|h| (h.0, h.count(), h.sum()))
    };
    let none = HashMap::default();
    for order in [[early.as_str(), &late], [&late, &early]] {
        assert_eq!(histogram(&proposed(&order), &none), Some(([0, 0, 0, 0, 1], 1, 5)));
    }
    assert_eq!(histogram(&proposed(&[&late]), &proposed(&[&early])), Some(([-1, 0, 0, 0, 1], 0, 4)));
    assert_eq!(histogram(&proposed(&[&early]), &proposed(&[&late])), None);
}
