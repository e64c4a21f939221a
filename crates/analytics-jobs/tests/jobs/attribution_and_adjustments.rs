//! Changes by hand that proofs include: vendors given afterwards, and adjustments.

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;
use serde_json::json;

use crate::proofs::listed;

#[test]
fn reattribution_gives_parts_without_a_vendor_the_vendor_known_now() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let order = json!({"orderId":"o-1","occurredAt":"2026-11-02T11:00:00Z","items":[
        {"productId":"tea","price":"2.50","qty":2}, {"productId":"cup","price":"1"}, {"price":"9"}]});
    let view = json!({"productId":"tea","occurredAt":"2026-11-02T10:00:00Z"});
    service.send(&[Message::json("product.viewed", &view), Message::json("order.created", &order)]);
    service.wait_all_consumed();
    let value = |metric: &str| service.database.number(&format!("SELECT value FROM metrics WHERE type = '{metric}'"));
    assert_eq!((value("unattributed_revenue"), value("seller_revenue:ann")), (Some(1500), None));
    let named = json!({"productId":"tea","vendorId":"ann","occurredAt":"2026-11-01T10:00:00Z"});
    service.send(&[Message::json("product.viewed", &named)]);
    service.wait_all_consumed();
    service.done(&["verify"]);

    let said = service.done(&["rebuild", "--reattribute", "--dry-run"]);
    for line in [
        "seller_revenue:ann +500",
        "unattributed_revenue -500",
        "seller_orders:ann +1",
        "seller_units:ann +2",
        "seller_views:ann +1",
        "2 events would get a vendor",
    ] {
        assert!(said.contains(line), "{line} is missing: {said}");
    }
    assert_eq!(value("seller_revenue:ann"), None, "nothing was changed");
    let said = service.done(&["rebuild", "--reattribute"]);
    assert!(said.contains("2 events got a vendor") && said.contains("nothing to rebuild"), "{said}");
    assert_eq!((value("unattributed_revenue"), value("seller_revenue:ann")), (Some(1000), Some(500)));
    assert_eq!((value("seller_views:ann"), value("conversion_rate:ann")), (Some(2), Some(5000)));
    assert_eq!(value("total_revenue"), Some(1500));
    let said = service.done(&["rebuild", "--reattribute"]);
    assert!(said.contains("0 events got a vendor"), "{said}");
    service.done(&["verify", "--full"]);
}

#[test]
fn adjustments_are_part_of_the_proof() {
    let mut service = Service::new(2);
    service.set("API_MODE", "read-write");
    let mut tally = Tally::default();
    let _ingest = service.ingest();
    let api = service.api();
    let client = Client::admin(&api.address);
    for round in 0..4 {
        service.send_traffic(&mut tally, round, 1_000);
        for body in [
            json!({"type": "product_views:p-1", "value": 10 * round, "reason": "a campaign of our own"}),
            json!({"type": "newsletters", "value": round}),
            json!({"type": "empty", "metadata": {"note": "nothing yet"}}),
            json!({"type": "unattributed_revenue", "value": -5}),
        ] {
            let (status, answer) = client.post("/api/metrics/upsert", &body);
            assert_eq!(status, 200, "{answer}");
        }
    }
    service.wait_all_consumed();
    service.done(&["verify", "--full"]);
    service.database.execute("UPDATE metrics SET value = value + 1 WHERE type IN ('newsletters', 'product_views:p-1')");
    assert!(!service.job(&["verify"]).0);
    assert_eq!(listed(&service), ["metric newsletters", "metric product_views:p-1"]);
    service.done(&["rebuild"]);
    service.done(&["verify", "--full"]);
}
