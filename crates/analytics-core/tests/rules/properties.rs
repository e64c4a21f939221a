//! Properties that must hold for every stream: the numbers do not depend on how it is divided into
//! batches, on how often records are delivered or, if vendors are named, on the order of arrival.

use analytics_core::catalogue::{Measure, Metric};
use analytics_core::metric_type::Subject;
use analytics_core::record::{Offset, Place, Record, TopicPartition};
use analytics_core::rollup::{Granularity, Scope};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::ledger::{Ledger, decoder};

/// Generates streams in which some views and lines name no vendor (unless `named`), some events
/// occur twice, and there are only few products, users and times, so that events often share them.
fn stream(named: bool) -> impl Strategy<Value = Vec<Record>> {
    let vendor = move |vendor: Option<u8>| match vendor.or(named.then_some(1)) {
        Some(vendor) => format!(r#""vendorId":"v{vendor}","#),
        None => String::new(),
    };
    let time = |minute: u16| format!(r#""occurredAt":"2026-11-01T{:02}:{:02}:00Z""#, minute / 60, minute % 60);
    let event = (0..4_u8, 0..4_u8, proptest::option::of(0..3_u8), 0..600_u16, 0..9_u8).prop_map(
        move |(family, product, of, minute, number)| {
            let (vendor, time) = (vendor(of), time(minute));
            match family {
                0 => ("product.viewed", format!(r#"{{"productId":"p{product}",{vendor}{time}}}"#)),
                1 => (
                    "order.created",
                    // The content depends only on the order id, so that a repeated order is a
                    // duplicate.
                    format!(
                        r#"{{"orderId":"o{number}","occurredAt":"2026-11-01T0{number}:00:00Z","items":[{{"productId":"p{}",{}"price":"{number}.5","qty":2}}]}}"#,
                        number % 4,
                        if named { r#""vendorId":"v1","# } else { "" },
                    ),
                ),
                2 => (
                    "rating.updated",
                    format!(r#"{{"ratingId":"r{minute}-{product}","userId":"u{}","productId":"p{product}","stars":{},{time}}}"#,
                        minute % 3, minute % 5 + 1),
                ),
                _ => ("user.registered", format!(r#"{{"userId":"u{number}","occurredAt":"2026-11-02"}}"#)),
            }
        },
    );
    proptest::collection::vec(event, 1..60).prop_map(|events| {
        (0..)
            .zip(events)
            .map(|(offset, (topic, payload))| Record {
                place: Place {
                    partition: TopicPartition { topic: topic.into(), partition: 0 },
                    offset: Offset(offset),
                    timestamp: Some(1_793_491_200_000),
                },
                key: None,
                headers: vec![],
                payload: Some(payload.into_bytes()),
            })
            .collect()
    })
}

fn counted<'a>(batches: impl IntoIterator<Item = &'a [Record]>) -> Ledger {
    let mut ledger = Ledger::default();
    for batch in batches {
        ledger.count(batch, &decoder(), "2026-11-22T12:00:00Z".parse().unwrap());
    }
    ledger
}

fn assert_same(one: &Ledger, other: &Ledger) {
    assert_eq!(one.counters, other.counters);
    assert_eq!(one.rollups, other.rollups);
    assert_eq!(one.ratios, other.ratios);
    assert_eq!(one.histograms, other.histograms);
    assert_eq!(one.events.len(), other.events.len());
}

proptest! {
    #[test]
    fn the_division_into_batches_changes_nothing(stream in stream(false), size in 1..20_usize) {
        assert_same(&counted([stream.as_slice()]), &counted(stream.chunks(size)));
    }

    #[test]
    fn redeliveries_change_nothing(stream in stream(false), again in proptest::collection::vec(any::<Index>(), 0..20)) {
        let once = counted([stream.as_slice()]);
        let repeated: Vec<Record> = again.iter().map(|index| stream[index.index(stream.len())].clone()).collect();
        let twice = counted([stream.as_slice(), &repeated, &stream]);
        assert_same(&once, &twice);
        let in_all = stream.len() * 2 + repeated.len();
        let letters: u64 = twice.dead_letters.values().sum();
        prop_assert_eq!(twice.events.len() as u64 + twice.duplicates + letters, in_all as u64);
    }

    #[test]
    fn the_order_of_arrival_changes_nothing_where_vendors_are_named(
        (stream, shuffled) in stream(true).prop_flat_map(|stream| (Just(stream.clone()), Just(stream).prop_shuffle()))
    ) {
        assert_same(&counted([stream.as_slice()]), &counted([shuffled.as_slice()]));
    }

    #[test]
    fn total_revenue_is_unattributed_plus_the_sum_over_sellers(stream in stream(false)) {
        let ledger = counted([stream.as_slice()]);
        let sum = |metrics: &[Metric]| -> i128 {
            ledger.counters.iter().filter(|(t, _)| metrics.contains(&t.metric)).map(|(_, value)| value).sum()
        };
        prop_assert_eq!(sum(&[Metric::TotalRevenue]), sum(&[Metric::UnattributedRevenue, Metric::SellerRevenue]));
    }

    #[test]
    fn days_sum_to_the_counters(stream in stream(false)) {
        let ledger = counted([stream.as_slice()]);
        let day = |measure| -> i128 {
            let total = ledger.rollups.iter().filter(|(b, _)| {
                b.granularity == Granularity::Day && b.scope == Scope::Total
            });
            total.filter_map(|(_, measures)| measures.get(measure)).sum()
        };
        let counter = |metric| -> i128 {
            let of = ledger.counters.iter().filter(|(t, _)| t.metric == metric && t.subject == Subject::Marketplace);
            of.map(|(_, value)| value).sum()
        };
        prop_assert_eq!(day(Measure::Views), counter(Metric::TotalViews));
        prop_assert_eq!(day(Measure::Orders), counter(Metric::TotalOrders));
        prop_assert_eq!(day(Measure::Revenue), counter(Metric::TotalRevenue));
        prop_assert_eq!(day(Measure::Signups), counter(Metric::TotalSignups));
    }
}
