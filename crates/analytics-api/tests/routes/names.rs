//! Names of products and sellers in the answers that carry their ids, and searches by name.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::{Client, token};
use analytics_testkit::service::Service;
use serde_json::{Value, json};

/// Starts a service with two named sellers and one without a name, and a product of each; a named
/// product that nobody viewed, and one of which nothing is known but its name.
fn named() -> (Service, analytics_testkit::process::Process) {
    let service = Service::new(1);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    let ingest = service.ingest();
    let of = |topic: &str, payload: Value| Message::json(topic, payload);
    let sold = |product: &str, vendor: &str| json!({ "productId": product, "vendorId": vendor, "price": "2.50" });
    service.send(&[
        of("vendor.created", json!({ "id": "v-1", "name": "Ärmel & Söhne" })),
        of("vendor.created", json!({ "id": "v:2", "shopName": "=Oaks" })),
        of("vendor.created", json!({ "id": "v-4", "name": "ärger" })),
        of("product.created", json!({ "id": "p-1", "name": "Oak table", "vendorId": "v-1" })),
        of("product.created", json!({ "id": "p-2", "name": "Oak chair" })),
        of("product.created", json!({ "id": "p-4", "name": "OAK BENCH", "vendorId": "v:2" })),
        of("product.created", json!({ "id": "p-5", "name": "Willow", "vendorId": "v-1" })),
    ]);
    service.wait_consumed(7);
    service.send(&[
        of(
            "order.created",
            json!({ "id": "o-1", "items": [sold("p-1", "v-1"), sold("p-2", "v:2"), sold("p-3", "v-3")] }),
        ),
        // What is counted decides whose product it is, not the directory.
        of("product.viewed", json!({ "productId": "p-5", "vendorId": "v-3" })),
    ]);
    service.wait_consumed(9);
    (service, ingest)
}

fn items<const N: usize>(client: &Client, path: &str, fields: [&str; N]) -> Vec<[Value; N]> {
    let (status, answer) = client.get(path);
    assert_eq!(status, 200, "{path}: {answer}");
    let item =
        |item: &Value| fields.map(|field| item.get(field).unwrap_or_else(|| panic!("{field} in {item}")).clone());
    answer["items"].as_array().unwrap().iter().map(item).collect()
}

fn ids(client: &Client, path: &str, field: &str) -> Vec<String> {
    items(client, path, [field]).into_iter().map(|[id]| id.as_str().unwrap().to_owned()).collect()
}

#[test]
fn names_are_beside_ids() {
    let (service, _ingest) = named();
    let api = service.api();
    let admin = Client::admin(&api.address);
    let buyer = Client::with_token(&api.address, &token("buyer", None));
    let products = [["p-1", "Oak table"], ["p-2", "Oak chair"]].map(|pair| pair.map(|text| json!(text)));
    let ranked = items(&buyer, "/api/rankings/products?by=orders", ["id", "name"]);
    assert_eq!(ranked, [&products[..], &[[json!("p-3"), Value::Null]]].concat());
    let sellers = items(&admin, "/api/rankings/sellers?by=orders", ["id", "name"]);
    let [v1, v2, v3] = [("v-1", json!("Ärmel & Söhne")), ("v:2", json!("=Oaks")), ("v-3", Value::Null)]
        .map(|(id, name)| [json!(id), name]);
    assert_eq!(sellers, [v1.clone(), v3.clone(), v2.clone()]);
    let listed = items(&admin, "/api/sellers", ["vendorId", "name"]);
    assert_eq!(listed, [v2, v1, v3, [json!("v-4"), json!("ärger")]], "as metric types write them, v%3A2 first");
    let seller = Client::seller(&api.address, "v-1");
    let (_, summary) = seller.get("/api/sellers/v-1/summary");
    assert_eq!((&summary["name"], &summary["topProducts"][0]["name"]), (&json!("Ärmel & Söhne"), &json!("Oak table")));
    assert_eq!(admin.get("/api/sellers/v-3/summary").1["name"], Value::Null);
    let (_, order) = admin.get("/api/orders/o-1");
    let lines: Vec<_> =
        order["lines"].as_array().unwrap().iter().map(|l| [&l["productName"], &l["vendorName"]]).collect();
    assert_eq!(lines[1..], [[&json!("Oak chair"), &json!("=Oaks")], [&Value::Null, &Value::Null]]);
    let csv = admin.answer("/api/rankings/sellers?by=orders&format=csv", &[]);
    assert!(csv.body().contains(",'=Oaks,"), "a formula is defused: {}", csv.body());
    // A new name is seen at once, although the ranking is kept for some seconds.
    let tag = |path: &str| admin.answer(path, &[]).headers()["etag"].to_str().unwrap().to_owned();
    let before = tag("/api/rankings/products?by=orders");
    service.send(&[Message::json("product.updated", json!({ "id": "p-3", "name": "Lamp" }))]);
    service.wait_consumed(10);
    assert_eq!(items(&buyer, "/api/rankings/products?by=orders", ["name"])[2], [json!("Lamp")]);
    assert_ne!(tag("/api/rankings/products?by=orders"), before);
}

#[test]
fn sellers_and_products_are_found_by_id_or_name() {
    let (service, _ingest) = named();
    let api = service.api();
    let (admin, support) = (Client::admin(&api.address), Client::support(&api.address));
    for (query, expected) in [
        ("prefix=v", &["v:2", "v-1", "v-3", "v-4"][..]),
        ("prefix=v-", &["v-1", "v-3", "v-4"]),
        ("prefix=%C3%84R", &["v-1", "v-4"]),
        ("prefix=%C3%A4rm", &["v-1"]),
        ("prefix=%3Doaks", &["v:2"]),
        ("prefix=Oaks", &[]),
        ("prefix=%25", &[]),
        ("prefix=v_1", &[]),
    ] {
        assert_eq!(ids(&admin, &format!("/api/sellers?{query}"), "vendorId"), expected, "{query}");
    }
    for (query, expected) in [
        ("", &["p-1", "p-2", "p-3", "p-4", "p-5"][..]),
        ("prefix=p-", &["p-1", "p-2", "p-3", "p-4", "p-5"]),
        ("prefix=oak%20", &["p-1", "p-2", "p-4"]),
        ("prefix=oak%20&vendorId=v:2", &["p-2", "p-4"]),
        ("vendorId=v-3", &["p-3", "p-5"]),
        ("vendorId=v-9", &[]),
        ("prefix=chair", &[]),
    ] {
        for staff in [&admin, &support] {
            assert_eq!(ids(staff, &format!("/api/products?{query}"), "productId"), expected, "{query}");
        }
    }
    let fields = ["productId", "name", "vendorId", "vendorName"];
    let bench = [json!("p-4"), json!("OAK BENCH"), json!("v:2"), json!("=Oaks")];
    assert_eq!(items(&admin, "/api/products?prefix=OAK%20B", fields), [bench]);

    let own = |vendors: &[&str], query: &str| {
        ids(&Client::seller_of(&api.address, vendors), &format!("/api/products?{query}"), "productId")
    };
    assert_eq!(own(&["v-1"], ""), ["p-1"], "p-5 is counted for another seller");
    assert_eq!(own(&["v-1"], "prefix=OAK"), ["p-1"]);
    assert_eq!(own(&["v-1"], "prefix=Willow"), Vec::<String>::new());
    assert_eq!(own(&["v-1", "v:2"], "prefix=oak"), ["p-1", "p-2", "p-4"]);
    assert_eq!(own(&["v-1", "v:2"], "vendorId=v:2"), ["p-2", "p-4"]);
    assert_eq!(own(&["v-1"], "vendorId=v:2"), Vec::<String>::new());

    for list in ["/api/products?prefix=oak&", "/api/products?", "/api/sellers?"] {
        let field = if list.contains("products") { "productId" } else { "vendorId" };
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let (_, page) = admin.get(&format!("{list}limit=1{cursor}"));
            paged.push(page["items"][0][field].as_str().unwrap().to_owned());
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(paged, ids(&admin, list.trim_end_matches(['&', '?']), field), "{list}");
    }
    let long = format!("/api/products?prefix={}", "x".repeat(256));
    let (status, problem) = admin.get(&long);
    assert_eq!((status, &problem["parameter"]), (400, &json!("prefix")), "{problem}");
}
