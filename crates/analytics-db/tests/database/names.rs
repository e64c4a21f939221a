//! Events that name things, read back from the log.

use analytics_core::event::{Content, Event, Named, Naming};
use analytics_core::identity::EventId;
use analytics_core::ids::{ProductId, VendorId};
use analytics_core::topics::Topics;
use analytics_db::batch::{Batch, Reread};
use analytics_db::tables::batches::AsOf;
use analytics_db::tables::logged_events;
use analytics_testkit::database::Database;

use crate::batches::{batch, decoder, write};

const NAMED: &str = r#"{"id":"p","name":"Oak table","vendorId":"v","userId":"u"}"#;

/// Decodes the records as those of an extra topic.
fn as_extra(mut batch: Batch) -> Batch {
    let decoder = decoder(Topics::parse("", "product.created").unwrap());
    for item in &mut batch.items {
        item.decoded = decoder.decode(&item.record, chrono::Utc::now());
    }
    batch
}

#[test]
fn events_of_a_family_may_follow_those_of_an_extra_topic_of_its_name() {
    let database = Database::migrated();
    let mut extra = as_extra(batch(&[("product.created", 0, NAMED)]));
    write(&database, &mut extra, Reread::Unlikely).unwrap();
    assert_eq!(database.number("SELECT count(*) FROM directory"), Some(0));
    write(&database, &mut batch(&[("product.created", 1, NAMED)]), Reread::Unlikely).unwrap();
    assert_eq!(database.lines("SELECT name FROM directory"), ["Oak table"]);

    let connection = &mut database.connect();
    let as_of = AsOf::latest(connection).unwrap();
    let ids: Vec<_> = database.lines("SELECT id::text FROM event_logs ORDER BY product_id NULLS FIRST");
    let ids: Vec<_> = ids.iter().map(|id| id.parse().unwrap()).collect();
    let mut logged = logged_events::by_ids(connection, &as_of, &ids).unwrap();
    logged.sort_unstable_by_key(|logged| logged.id != EventId(ids[0]));
    assert!(logged.iter().all(|logged| logged.tampered.is_none()), "the seals fit: {logged:?}");
    let contents: Vec<Content> =
        logged.into_iter().map(|logged| logged.event.unwrap()).map(|e: Event| e.content).collect();
    let (product, vendor) = (ProductId::parse("p").unwrap(), VendorId::parse("v").ok());
    let naming = Naming { subject: Named::Product { product, vendor }, name: None };
    assert_eq!(contents, [Content::Nothing, Content::Naming(naming)]);
}
