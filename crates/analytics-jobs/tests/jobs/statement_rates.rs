//! Conversion and ratings of closed months: what the series say, as of the statement, and no reason to restate.

use analytics_core::statement::{self, SigningKey, Statement};
use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::service::{STATEMENT_KEY, Service};
use serde_json::{Value, json};

use crate::statements::{Folder, PUBLIC, check, csv, order, refund, send, service};

fn viewed(vendor: &str, at: &str) -> Message {
    Message::json("product.viewed", json!({ "productId": format!("p-{vendor}"), "vendorId": vendor, "viewedAt": at }))
}

fn rated(user: &str, vendor: &str, stars: u8, at: &str) -> Message {
    let payload = json!({ "ratingId": format!("r-{user}-{vendor}"), "userId": user, "productId": format!("p-{vendor}"), "vendorId": vendor, "rating": stars, "updatedAt": at });
    Message::json("rating.updated", payload)
}

fn close(service: &Service) -> String {
    service.done(&["statements", "close", "--month", "2026-10", "--accept-gaps"])
}

/// Returns the lines of conversion and ratings of a statement.
fn rates(service: &Service, vendor: &str, version: u32) -> Vec<String> {
    let own = |line: &&str| line.starts_with("conversion,") || line.starts_with("ratings,");
    csv(service, vendor, version).lines().filter(own).map(str::to_owned).collect()
}

/// Returns the same, of the month's buckets of the series.
fn of_series(client: &Client, vendor: &str) -> Vec<String> {
    let bucket = |metric: &str| {
        let (status, body) = client
            .get(&format!("/api/metrics/{metric}%3A{vendor}/series?interval=month&from=2026-10-01&to=2026-10-31"));
        assert_eq!((status, body["buckets"].as_array().map(Vec::len)), (200, Some(1)), "{body}");
        body["buckets"][0].clone()
    };
    let text = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
    let (conversion, ratings) = (bucket("conversion_rate"), bucket("seller_rating"));
    let stars = ["1", "2", "3", "4", "5"].map(|stars| text(&ratings["histogram"][stars])).join(",");
    let [orders, views, value] = ["numerator", "denominator", "value"].map(|name| text(&conversion[name]));
    let [count, sum, average] = ["count", "sum", "value"].map(|name| text(&ratings[name]));
    vec![format!("conversion,{orders},{views},{value}"), format!("ratings,{count},{sum},{stars},{average}")]
}

/// Two sellers with views and ratings before, in and after October, in which `v` sells in two currencies.
fn october(service: &Service) {
    let views = ["2026-09-30T23:59:59Z", "2026-10-01T00:00:00Z", "2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z"];
    let mut messages: Vec<Message> = views.iter().map(|at| viewed("v", at)).collect();
    messages.extend([2, 9, 9].map(|day| viewed("v", &format!("2026-10-{day:02}T08:00:00Z"))));
    messages.push(viewed("w", "2026-10-05T08:00:00Z"));
    messages.extend([
        order("o-1", &[("v", "10.00", "USD"), ("v", "3.00", "EUR"), ("w", "5.00", "USD")], 1),
        order("o-2", &[("v", "7.00", "USD")], 31),
        order("o-3", &[("x:1", "7.00", "USD")], 3),
        rated("u-1", "v", 5, "2026-09-30T12:00:00Z"),
        rated("u-1", "v", 2, "2026-10-01T00:00:00Z"),
        // One that replaces another was received, too.
        rated("u-1", "v", 4, "2026-10-20T12:00:00Z"),
        rated("u-2", "v", 5, "2026-10-31T23:59:59Z"),
        rated("u-2", "v", 1, "2026-11-01T00:00:00Z"),
        rated("u-1", "x:1", 3, "2026-10-03T12:00:00Z"),
    ]);
    send(service, &messages);
}

#[test]
fn a_statement_has_the_conversion_and_ratings_that_the_series_have() {
    let (service, _ingest) = service();
    october(&service);
    assert!(close(&service).contains("3 statements closed"));
    assert_eq!(rates(&service, "v", 1), ["conversion,2,5,4000", "ratings,3,11,0,1,0,1,1,367"]);
    assert_eq!(rates(&service, "w", 1), ["conversion,1,1,10000", "ratings,0,0,0,0,0,0,0,"]);
    assert_eq!(rates(&service, "x:1", 1), ["conversion,1,0,", "ratings,1,3,0,0,1,0,0,300"]);
    let api = service.api();
    let client = Client::admin(&api.address);
    for (vendor, in_type) in [("v", "v"), ("w", "w"), ("x:1", "x%253A1")] {
        assert_eq!(rates(&service, vendor, 1), of_series(&client, in_type), "{vendor}");
    }

    // Views and ratings that come later make no version.
    send(&service, &[viewed("v", "2026-10-09T08:00:00Z"), rated("u-3", "v", 1, "2026-10-09T08:00:00Z")]);
    assert!(close(&service).contains("0 statements closed, 0 restated, 3 unchanged"));
    assert_ne!(rates(&service, "v", 1), of_series(&client, "v"));
    // What is restated for its money has them as they are then.
    send(&service, &[refund("b-1", "o-2", "1.50", 31)]);
    assert!(close(&service).contains("0 statements closed, 1 restated, 2 unchanged"));
    assert_eq!(rates(&service, "v", 2), ["conversion,2,6,3333", "ratings,4,12,1,1,0,1,1,300"]);
    assert_eq!(rates(&service, "v", 2), of_series(&client, "v"));

    let folder = Folder::new();
    for (from, to, why) in [
        ("conversion,2,6,3333", "conversion,2,7,3333", "the value is 3333, but it must be 2857"),
        ("ratings,4,12,1,1,0,1,1,300", "ratings,4,12,1,1,0,2,0,300", "the sum of the stars is 12, but it must be 11"),
        ("conversion,2,6,3333", "conversion,4,12,3333", "the digest of the lines before is"),
    ] {
        let changed = csv(&service, "v", 2).replacen(from, to, 1);
        let (code, said) = check(&[&folder.file("changed.csv", &changed)]);
        assert!(code == Some(1) && said.contains(why), "{from}: {said}");
    }
}

/// Makes a seller's statement one of the form that had neither conversion nor ratings.
fn make_old(service: &Service, vendor: &str) {
    let key = SigningKey::parse(&STATEMENT_KEY.replace("\\n", "\n")).unwrap();
    let made = statement::check(&csv(service, vendor, 1)).unwrap().statement;
    let old = Statement { rates: None, ..made }.seal(Some(&key)).unwrap();
    assert!(old.csv.starts_with("statement,1\n") && !old.csv.contains("ratings"));
    service.database.execute(&format!(
        "ALTER TABLE statements DISABLE TRIGGER ALL; \
         UPDATE statements SET csv = '{}', digest = decode('{}', 'hex') WHERE vendor_id = '{vendor}'; \
         ALTER TABLE statements ENABLE TRIGGER ALL",
        old.csv, old.digest
    ));
}

#[test]
fn a_statement_of_the_form_before_is_read_as_it_was_and_not_restated_for_its_form() {
    let (service, _ingest) = service();
    october(&service);
    close(&service);
    make_old(&service, "v");
    assert!(close(&service).contains("0 statements closed, 0 restated, 3 unchanged"));
    let api = service.api();
    let client = Client::admin(&api.address);
    let (status, body) = client.get("/api/sellers/v/statements/2026-10");
    assert_eq!((status, &body["conversion"], &body["ratings"]), (200, &Value::Null, &Value::Null));
    let page = client.answer("/api/sellers/v/statements/2026-10/page", &[]);
    assert!(page.status() == 200 && !page.body().contains("Conversion"), "{}", page.body());

    send(&service, &[refund("b-1", "o-2", "1.50", 31)]);
    assert!(close(&service).contains("0 statements closed, 1 restated, 2 unchanged"));
    let (first, second) = (csv(&service, "v", 1), csv(&service, "v", 2));
    assert!(second.starts_with("statement,2\n"), "{second}");
    let folder = Folder::new();
    let (code, said) = check(&[&folder.file("1.csv", &first), &folder.file("2.csv", &second), "--public-key", PUBLIC]);
    assert!(code == Some(0) && said.matches(": right, signed by").count() == 2, "{said}");
    assert_eq!(client.get("/api/sellers/v/statements/2026-10").1["conversion"]["views"], 5);
}
