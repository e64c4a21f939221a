//! What became of orders: rejected records are found by an index, repeats are counted.

use analytics_core::ids::OrderId;
use analytics_db::batch::Reread;
use analytics_db::read::{Tenant, orders};
use analytics_testkit::database::Database;
use analytics_testkit::wait;

use crate::batches::{batch, business, write};

fn id(text: &str) -> OrderId {
    OrderId::parse(text).unwrap()
}

#[test]
fn rejected_records_of_an_order_are_found_without_reading_all() {
    let database = Database::migrated();
    let payloads: Vec<String> = (0..2_000).map(|n| format!(r#"{{"orderId":"o-{n}","total":"x"}}"#)).collect();
    let records: Vec<_> = (0..).zip(&payloads).map(|(n, payload)| ("order.created", n, payload.as_str())).collect();
    write(&database, &mut batch(&records), Reread::Unlikely).unwrap();
    let unreadable = [("order.created", 2_000, r#"{"orderId":["o-1"],"total":1}"#), ("order.created", 2_001, "o-1")];
    write(&database, &mut batch(&unreadable), Reread::Unlikely).unwrap();
    database.execute("ANALYZE dead_letters");
    let access = Tenant::Marketplace.event_log().unwrap();
    let find = |order: &str, namespaces: &[Option<String>]| {
        orders::rejected(&mut database.connect(), access, &id(order), namespaces).unwrap()
    };
    let found = find("o-1", &[None]);
    assert_eq!(found.iter().map(|letter| letter.offset).collect::<Vec<_>>(), [1]);
    assert!(found[0].detail.starts_with("total"), "{found:?}");
    assert_eq!((find("o-9999", &[None]).len(), find("o-1", &[Some("eu".into())]).len()), (0, 0));
    wait::until("the index to be used", std::time::Duration::from_secs(20), || {
        let sql = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'dead_letters_order'";
        database.number(sql).filter(|scans| *scans >= 3)
    });
}

#[test]
fn every_record_that_repeats_an_order_is_counted_once() {
    let database = Database::migrated();
    let order = r#"{"orderId":"o","total":"1.00"}"#;
    let view = r#"{"productId":"p","eventId":"e"}"#;
    let first = [("order.created", 0, order), ("order.created", 1, order), ("product.viewed", 0, view)];
    write(&database, &mut batch(&first), Reread::Unlikely).unwrap();
    let mut later = batch(&[("order.created", 2, order), ("product.viewed", 1, view)]);
    write(&database, &mut later, Reread::Unlikely).unwrap();
    // The answer to COMMIT was lost.
    write(&database, &mut later, Reread::Unlikely).unwrap_err();
    let access = Tenant::Marketplace.event_log().unwrap();
    let found = orders::find(&mut database.connect(), access, &id("o"), &[None], business()).unwrap().unwrap();
    assert_eq!(found.repeats.0, 2);
    assert_eq!(
        database.lines("SELECT topic || ' ' || outcome || ' ' || records FROM arrivals ORDER BY 1"),
        ["order.created duplicate 2", "order.created event 1", "product.viewed duplicate 1", "product.viewed event 1"]
    );
}
