//! Counts the recorded stream and compares the result with expected values that were calculated by
//! other programs.

use std::collections::BTreeMap;

use analytics_core::catalogue::Measure;
use analytics_core::event::Event;
use analytics_core::identity::Fingerprint;
use analytics_core::ratios::Fraction;
use analytics_core::record::{Header, Offset, Place, Record, TopicPartition};
use analytics_core::rollup::Scope;
use analytics_core::seal::seal;
use base64::Engine;
use serde_json::Value;

use crate::ledger::{Ledger, decoder};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../analytics-testkit/fixtures/recorded");

/// Reads the records of one part. Each part becomes a partition of its own, so that places are
/// unique.
fn records(number: i32) -> Vec<Record> {
    let text = std::fs::read_to_string(format!("{FIXTURES}/part-{number}.ndjson")).unwrap();
    let mut next = BTreeMap::<String, i64>::new();
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let topic = line["topic"].as_str().unwrap();
            let offset = next.entry(topic.to_owned()).or_default();
            *offset += 1;
            let header = |(name, value): (&String, &Value)| Header {
                name: name.clone(),
                value: value.as_str().map(|text| text.as_bytes().to_vec()),
            };
            let payload = match (line["value"].as_str(), line["valueBase64"].as_str()) {
                (Some(text), _) => Some(text.as_bytes().to_vec()),
                (None, Some(encoded)) => Some(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()),
                (None, None) => None,
            };
            Record {
                place: Place {
                    partition: TopicPartition { topic: topic.into(), partition: number },
                    offset: Offset(*offset),
                    timestamp: line["timestamp"].as_i64(),
                },
                key: None,
                headers: line["headers"].as_object().unwrap().iter().map(header).collect(),
                payload,
            }
        })
        .collect()
}

#[test]
fn the_recorded_stream_gives_the_right_answers() {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{FIXTURES}/expected.json")).unwrap()).unwrap();
    let mut ledger = Ledger::default();
    for part in [1, 2] {
        for batch in records(part).chunks(1000) {
            ledger.count(batch, &decoder(), chrono::Utc::now());
        }
    }

    let mut wrong = Vec::new();
    let mut compare = |what: String, is: Option<i128>, should: &Value| {
        if is != should.as_i64().map(i128::from) {
            wrong.push(format!("{what}: is {is:?}, expected {should}"));
        }
    };
    let mut counted: BTreeMap<String, Option<i128>> =
        ledger.counters.iter().map(|(t, v)| (t.to_string(), Some(*v))).collect();
    for (ratio, Fraction { numerator: orders, denominator: views }) in &ledger.ratios {
        let rate = (*views > 0).then(|| i128::from((orders * 20_000 + views) / (views * 2)));
        counted.insert(ratio.to_string(), rate);
    }
    for (target, h) in &ledger.histograms {
        let average = (h.count() > 0).then(|| i128::from((h.sum() * 200 + h.count()) / (h.count() * 2)));
        counted.insert(target.to_string(), average);
    }
    for (metric, should) in expected["metrics"].as_object().unwrap() {
        compare(metric.clone(), counted.remove(metric).flatten(), should);
    }
    // The recorded answers are older than refunds. Nothing is taken back in them.
    for net in ["seller_net_revenue", "total_net_revenue"] {
        let gross = net.replace("_net", "");
        for (metric, should) in expected["metrics"].as_object().unwrap() {
            if let Some(rest) = metric.strip_prefix(&gross) {
                let metric = format!("{net}{rest}");
                compare(metric.clone(), counted.remove(&metric).flatten(), should);
            }
        }
    }
    counted.retain(|metric, is| !(metric.starts_with("refund_rate:") && is.is_none_or(|rate| rate == 0)));
    // And than orders of products, which are compared with SQL elsewhere (analytics-api, series).
    for (metric, is) in counted.into_iter().filter(|(metric, _)| !metric.starts_with("product_orders:")) {
        compare(format!("{metric} (not expected)"), is, &Value::Null);
    }
    let histograms: BTreeMap<_, _> = ledger.histograms.iter().map(|(t, h)| (t.to_string(), h)).collect();
    for (target, should) in expected["ratings"].as_object().unwrap() {
        let is = histograms[target];
        compare(format!("{target} count"), Some(is.count().into()), &should["count"]);
        compare(format!("{target} sum"), Some(is.sum().into()), &should["sum"]);
        for (stars, count) in (1..).zip(is.0) {
            compare(format!("{target} {stars}"), Some(count.into()), &should["histogram"][stars.to_string()]);
        }
    }
    for (event_type, should) in expected["eventCounts"].as_object().unwrap() {
        let is = ledger.events.iter().filter(|event| event.event_type.name() == event_type).count();
        compare(event_type.clone(), Some(is as i128), should);
    }
    for (reason, should) in expected["deadLetters"].as_object().unwrap() {
        let is = ledger.dead_letters.get(reason.as_str()).copied();
        compare(reason.clone(), is.map(i128::from), should);
    }
    compare("duplicates".into(), Some(ledger.duplicates.into()), &expected["duplicates"]);
    assert!(wrong.is_empty(), "{} values are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Compares the type, id, digest and seal of each event, and the rollups, with the values of
/// earlier versions. Ids, digests and seals are stored: code that computed other values would count
/// records twice that are read again, and would report every logged event as changed.
#[test]
fn ids_digests_seals_and_rollups_of_the_recorded_stream_stay_as_they_are() {
    let mut ledger = Ledger::default();
    for part in [1, 2] {
        ledger.count(&records(part), &decoder(), "2026-11-22T12:00:00Z".parse().unwrap());
    }
    let text =
        |event: &Event| format!("{} {} {} {}", event.event_type.name(), event.id, event.digest.0, seal(event, 1));
    let (mut firsts, mut all) = (BTreeMap::new(), Fingerprint::new("pinned"));
    for event in &ledger.events {
        all = all.text(&text(event));
        firsts.entry(event.event_type.name().to_owned()).or_insert(text(event));
    }
    assert_eq!(
        firsts.into_values().collect::<Vec<_>>(),
        [
            "order.created 01a18560-5c58-80ec-9eb5-7af8808837bd 74ee91fa-b1b7-8db1-e5e8-9aaa930a9601 -2330241991179757018",
            "product.viewed 01a18487-313d-8b71-a1fa-327a137ba777 01a18487-313d-8b71-a1fa-327a137ba777 -3371556554225649863",
            "rating.updated 01a17bc4-59a9-8c43-ab50-3a5c0d77fb3a f4bf9c1a-3000-0ed9-a28b-0e93be3285d2 -7616356295475363640",
            "user.registered 01a1856d-d0ed-8b6e-99ff-8cbe2c0febce c638dc82-2fd2-275c-cd18-5b30a5a73742 -2596166246086581764",
        ]
    );
    assert_eq!(
        (ledger.events.len(), all.finish().to_string().as_str()),
        (6304, "67cc9437-7892-057b-fdbb-8a1555c4cf21")
    );
    let mut rows = Fingerprint::new("pinned");
    for (bucket, measures) in &ledger.rollups {
        let sums = [Measure::Views, Measure::Signups, Measure::Orders, Measure::Units, Measure::Revenue];
        // Orders of products are counted since later.
        let is_old = |measure| !(measure == Measure::Orders && matches!(bucket.scope, Scope::Product(_)));
        let old = sums.map(|measure| measures.get(measure).filter(|_| is_old(measure)));
        rows = rows.text(&format!("{bucket:?} {old:?}"));
    }
    assert_eq!(
        (ledger.rollups.len(), rows.finish().to_string().as_str()),
        (4066, "9a6461d9-7c05-193a-8f40-85def23f10c6")
    );
}
