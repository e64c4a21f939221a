//! `verify` compares in parts, each in a snapshot of its own.

use std::sync::atomic::{AtomicBool, Ordering};

use analytics_core::business::Business;
use analytics_db::verify::{Extent, VerifyError, Watcher, verify};
use analytics_testkit::broker::Message;
use serde_json::json;

use crate::proofs::{counted, listed};

#[test]
fn days_that_are_recounted_at_once_give_the_same_proof() {
    let (service, _) = counted();
    let _ingest = service.ingest();
    for day in 1..=5 {
        let view = json!({"productId":"tea","vendorId":"ann","occurredAt":format!("2026-11-0{day}T10:00:00Z")});
        service.send(&[Message::json("product.viewed", view)]);
    }
    service.wait_all_consumed();
    let digest = || service.database.lines("SELECT digest::text FROM proofs ORDER BY id DESC LIMIT 1");
    service.done(&["verify", "--full"]);
    let alone = digest();
    service.done(&["verify", "--full", "--parallel", "3"]);
    assert_eq!(digest(), alone);
    let parts = "SELECT (SELECT count(*) FROM jsonb_object_keys(watermarks->'days')) = days \
                 AND (watermarks->>'metrics')::bigint = watermark FROM proofs";
    assert_eq!(service.database.lines(parts), ["true", "true"]);

    service.database.execute(
        "UPDATE rollups SET views = views + 1 WHERE subject IN ('p-1', 'tea') AND views > 0;
         DELETE FROM metrics WHERE type = 'seller_views:ann';
         UPDATE metrics SET value = value + 1 WHERE type = 'total_views'",
    );
    let differences = |parallel: &str| {
        let (succeeded, said) = service.job(&["verify", "--full", "--parallel", parallel]);
        assert!(!succeeded, "{said}");
        (listed(&service), digest())
    };
    let of_one = differences("1");
    assert!(of_one.0.contains(&"metric total_views".to_owned()), "{of_one:?}");
    assert_ne!(of_one.1, alone);
    assert_eq!(differences("3"), of_one);
    service.done(&["rebuild"]);
    service.done(&["verify", "--full", "--parallel", "3"]);
    assert_eq!(digest(), alone);
}

#[test]
fn what_a_rebuild_corrects_meanwhile_is_not_reported_as_drift() {
    let (service, _) = counted();
    service.database.execute("UPDATE rollups SET views = views + 1 WHERE scope = 't' AND granularity = 'd'");
    let is_rebuilt = AtomicBool::new(false);
    let mut rebuild = |_: &_| {
        if !is_rebuilt.swap(true, Ordering::Relaxed) {
            service.done(&["rebuild"]);
        }
    };
    let mut watcher = Watcher { progress: &mut rebuild, wanted: &|| true };
    let business = Business::parse("USD", "UTC").unwrap();
    let verified = verify(&mut [service.database.connect()], business, Extent::Everything, &[], &mut watcher);
    assert!(matches!(verified, Err(VerifyError::Repaired)), "{verified:?}");
    service.done(&["verify", "--full"]);
}
