//! Lists of events: every filter and every page gives the same as filtering the whole log.

use analytics_core::calendar::Calendar;
use analytics_db::batch::Reread;
use analytics_db::read::events::{self, EventFilter, LoggedEvent};
use analytics_db::read::{AsOf, Tenant};
use analytics_db::tables::partitions;
use analytics_testkit::database::Database;
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

use crate::batches::{batch, write};

/// Logs events of fifty days: of every type, about a few users, products and vendors.
fn log(database: &Database) {
    let (now, mut payloads) = (Utc::now(), Vec::new());
    for n in 0..160_i64 {
        // Many in the last hours, some long ago, a few in the future.
        let time = now - Duration::minutes(n * n * n / 60 - 10);
        let time = time.format("%Y-%m-%dT%H:%M:%S%.6fZ");
        let (user, product, vendor) = (n % 5, n % 7, n % 3);
        let (topic, payload) = match n % 4 {
            0 => (
                "order.created",
                format!(
                    r#"{{"orderId":"o-{n}","userId":"u-{user}","currency":"USD","placedAt":"{time}","items":[
                {{"productId":"p-{product}","vendorId":"v-{vendor}","quantity":1,"unitPrice":"1.00"}},
                {{"productId":"p-{}","vendorId":"v-{}","quantity":1,"unitPrice":"1.00"}}]}}"#,
                    (n + 1) % 7,
                    (n + 1) % 3
                ),
            ),
            1 => (
                "rating.updated",
                format!(
                    r#"{{"ratingId":"r-{n}","userId":"u-{user}","productId":"p-{product}","vendorId":"v-{vendor}","rating":3,"updatedAt":"{time}"}}"#
                ),
            ),
            2 => ("user.registered", format!(r#"{{"userId":"new-{n}","registeredAt":"{time}"}}"#)),
            _ => (
                "product.viewed",
                format!(
                    r#"{{"productId":"p-{product}","vendorId":"v-{vendor}","userId":"u-{user}","viewedAt":"{time}"}}"#
                ),
            ),
        };
        payloads.push((topic, payload));
    }
    let mut offsets = std::collections::HashMap::new();
    let records: Vec<_> = payloads
        .iter()
        .map(|(topic, payload)| {
            let offset = offsets.entry(*topic).or_insert(0);
            *offset += 1;
            (*topic, *offset - 1, payload.as_str())
        })
        .collect();
    write(database, &mut batch(&records), Reread::Unlikely).unwrap();
}

/// Reads all pages of a list.
fn pages(database: &Database, filter: &EventFilter, size: usize) -> Vec<LoggedEvent> {
    let connection = &mut database.connect();
    let (mut all, mut filter) = (Vec::new(), filter.clone());
    loop {
        let access = Tenant::Marketplace.event_log().unwrap();
        let as_of = AsOf::latest(connection).unwrap();
        let page = events::newest(connection, access, &as_of, Calendar::utc(), &filter, size).unwrap();
        assert!(page.events.len() <= size);
        all.extend(page.events);
        let Some(next) = page.next else { return all };
        filter.before = Some(next);
    }
}

fn matches(filter: &EventFilter, event: &LoggedEvent) -> bool {
    let payload: Value = serde_json::from_str(&serde_json::to_string(&event.metadata).unwrap()).unwrap();
    // The same part of the event must match both: the event itself, or one line of an order.
    let is = |part: &Value, field: &str, wanted: &Option<String>| wanted.as_ref().is_none_or(|id| part[field] == *id);
    let about = |part: &Value| is(part, "productId", &filter.product) && is(part, "vendorId", &filter.vendor);
    let lines = payload["items"].as_array().map_or(&[][..], Vec::as_slice);
    filter.event_type.as_ref().is_none_or(|name| event.event_type == *name)
        && filter.user.as_ref().is_none_or(|user| event.user_id.as_ref() == Some(user))
        && filter.from.is_none_or(|from| event.created_at >= from)
        && filter.to.is_none_or(|to| event.created_at < to)
        && (about(&payload) || lines.iter().any(about))
}

#[test]
fn every_filter_gives_the_same_as_filtering_the_whole_log() {
    let database = Database::migrated();
    log(&database);
    let check = || {
        let all = pages(&database, &EventFilter::default(), 1000);
        assert_eq!(all.len(), 160);
        assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first");
        let some = |text: &str| [None, Some(text.to_owned())];
        // The exact times of two events: the event at `from` is included, the one at `to` is not.
        let (early, late): (DateTime<Utc>, DateTime<Utc>) = (all[120].created_at, all[10].created_at);
        let mut found = 0;
        for event_type in [&some("order.created")[..], &some("product.viewed"), &some("no.such")].concat() {
            for user in some("u-2") {
                for product in some("p-3") {
                    for vendor in some("v-1") {
                        for (from, to) in
                            [(None, None), (Some(early), None), (None, Some(late)), (Some(early), Some(late))]
                        {
                            let (event_type, user, product, vendor) =
                                (event_type.clone(), user.clone(), product.clone(), vendor.clone());
                            let filter = EventFilter {
                                event_type,
                                user,
                                product,
                                vendor,
                                from,
                                to,
                                before: None,
                                conditions: Vec::new(),
                            };
                            let expected: Vec<_> =
                                all.iter().filter(|event| matches(&filter, event)).map(|event| event.id).collect();
                            let listed: Vec<_> = pages(&database, &filter, 7).iter().map(|event| event.id).collect();
                            assert_eq!(listed, expected, "{filter:?}");
                            found += listed.len();
                        }
                    }
                }
            }
        }
        assert!(found > 1_000, "{found}");
    };
    check();
    // The same once all partitions are quiet, which have other indexes.
    partitions::index_quiet(&mut database.connect(), &database.address(), Utc::now() + Duration::weeks(2), |_| {})
        .unwrap();
    check();
}
