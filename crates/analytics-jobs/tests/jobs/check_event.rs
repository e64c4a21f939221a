//! `check-event`: how the events in a file would be counted, without a database.

use std::collections::BTreeMap;
use std::process::Output;

use analytics_testkit::database::unique_name;
use analytics_testkit::process;
use serde_json::{Value, json};

/// Checks events on standard input; returns the exit code, the output and the messages.
fn check(settings: &[(&str, &str)], arguments: &[&str], events: &str) -> (Option<i32>, String, String) {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let environment: BTreeMap<_, _> = settings.iter().map(owned).collect();
    let arguments = [&["check-event"], arguments].concat();
    said(&process::run_with_input("analytics-jobs", &arguments, &environment, events.as_bytes()))
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Checks events and returns the exit code and the report of each record.
fn reports(settings: &[(&str, &str)], topic: &str, events: &str) -> (Option<i32>, Vec<Value>) {
    let (code, out, _) = check(settings, &["--topic", topic, "--format", "json", "-"], events);
    (code, out.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Returns what a record adds to each metric, such as `total_revenue 1250 USD`.
fn metrics(report: &Value) -> Vec<String> {
    let shown = |metric: &Value| {
        let currency = metric["currency"].as_str().map(|code| format!(" {code}")).unwrap_or_default();
        format!("{} {}{currency}", metric["type"].as_str().unwrap(), metric["delta"])
    };
    report["metrics"].as_array().unwrap().iter().map(shown).collect()
}

#[test]
fn every_family_shows_what_it_adds() {
    let ratio = |what: &str| format!("conversion_rate:ann {what}");
    let numerator = ratio(r#"{"denominator":0,"numerator":1}"#);
    let denominator = ratio(r#"{"denominator":1,"numerator":0}"#);
    for (topic, event, identities, expected) in [
        (
            "user.registered",
            r#"{"userId":"u-1","registeredAt":"2026-01-31T23:30:00Z"}"#,
            json!(["natural"]),
            // The day is that of BUSINESS_TIMEZONE.
            &["daily_signups:2026-02-01 1", "total_signups 1"][..],
        ),
        (
            "product.viewed",
            r#"{"productId":"tea","sellerId":"ann"}"#,
            json!(["place"]),
            &["product_views:tea 1", "seller_views:ann 1", "total_views 1", denominator.as_str()],
        ),
        (
            "product.viewed",
            r#"{"productId":"a:b","eventId":7}"#,
            json!(["explicit"]),
            &["product_views:a%3Ab 1", "total_views 1"],
        ),
        (
            "order.created",
            r#"{"orderId":"o-1","eventId":"e-1","items":[
                {"productId":"tea","vendorId":"ann","quantity":2,"price":"12.50"},
                {"productId":"cup","totalPrice":800,"currency":"JPY"}]}"#,
            json!(["explicit", "natural"]),
            &[
                "total_orders 1",
                "seller_orders:ann 1",
                "product_orders:cup 1",
                "product_orders:tea 1",
                "product_units:cup 1",
                "product_units:tea 2",
                "seller_units:ann 2",
                "total_units 3",
                "seller_revenue:ann 2500 EUR",
                "product_revenue:cup:JPY 800 JPY",
                "product_revenue:tea 2500 EUR",
                "unattributed_revenue:JPY 800 JPY",
                "total_revenue 2500 EUR",
                "total_revenue:JPY 800 JPY",
                "seller_net_revenue:ann 2500 EUR",
                "total_net_revenue 2500 EUR",
                "total_net_revenue:JPY 800 JPY",
                r#"refund_rate:ann {"denominator":2500,"numerator":0}"#,
                numerator.as_str(),
            ],
        ),
        (
            "rating.updated",
            r#"{"userId":"u-1","productId":"tea","vendorId":"ann","rating":"4","updatedAt":1769900000}"#,
            json!(["natural"]),
            &[r#"product_rating:tea {"stars":4}"#, r#"seller_rating:ann {"stars":4}"#],
        ),
        (
            "rating.updated",
            r#"{"userId":"u-1","productId":"tea","stars":5}"#,
            json!(["place"]),
            &[r#"product_rating:tea {"stars":5}"#],
        ),
    ] {
        let settings = [("BUSINESS_TIMEZONE", "Europe/Vienna"), ("BASE_CURRENCY", "EUR")];
        let (code, reports) = reports(&settings, topic, event);
        let [report] = reports.as_slice() else { panic!("{event}: {reports:?}") };
        assert_eq!((code, &report["result"]), (Some(0), &json!("counted")), "{report}");
        assert_eq!(report["event"]["identities"], identities, "{event}");
        assert_eq!(metrics(report), expected, "{event}");
    }
}

#[test]
fn a_reversal_shows_what_it_takes_back_of_its_order() {
    let refund = r#"{"refundId":"r","orderId":"o","amount":"1.50","refundedAt":"2026-11-20T10:15:00Z"}"#;
    let (code, reports) = reports(&[], "order.refunded", refund);
    assert_eq!((code, &reports[0]["result"], &reports[0]["metrics"]), (Some(0), &json!("counted"), &json!([])));
    assert_eq!(reports[0]["reversal"], json!({ "kind": "refund", "amount": "15e-1" }));
    let (_, out, _) = check(&[], &["--topic", "order.cancelled", "-"], r#"{"orderId":"o"}"#);
    assert!(out.contains("    reversal  takes back {\"kind\":\"cancellation\"} once its order is counted\n"), "{out}");
}

#[test]
fn every_rejection_names_its_reason_and_the_field() {
    let large = format!(r#"{{"productId":"{}"}}"#, "x".repeat(300));
    for (topic, record, reason, detail) in [
        ("order.created", r#"{"id":"o","total":"1,5"}"#, "invalid_amount", "total \"1,5\" is not a decimal number"),
        ("order.created", r#"{"id":"o","items":[{}]}"#, "missing_field", "line 1: totalPrice or unitPrice is missing"),
        ("order.created", r#"{"total":1}"#, "missing_field", "orderId or order_id or id is missing"),
        ("user.registered", r#"{"userId":true}"#, "invalid_identifier", "userId"),
        ("rating.updated", r#"{"userId":"u","productId":"p","score":6}"#, "invalid_rating", "score \"6\" is not"),
        ("product.viewed", r#"{"productId":"p","viewedAt":"soon"}"#, "invalid_timestamp", "viewedAt is neither"),
        ("product.viewed", r#"{"productId":"\u0000"}"#, "unstorable", "U+0000"),
        ("product.viewed", "[1]", "not_an_object", "must be a JSON object"),
        ("product.viewed", "\n{\"productId\":\"p\",}", "not_json", "at line 2 column 18"),
        ("product.viewed", "not json", "not_json", "at line 1 column 2"),
        ("product.viewed", &large, "too_large", "more than 300 bytes"),
    ] {
        let (code, reports) = reports(&[("MAX_RECORD_BYTES", "300")], topic, record);
        let [report] = reports.as_slice() else { panic!("{record}: {reports:?}") };
        let (result, said) = (&report["result"], report["detail"].as_str().unwrap());
        assert_eq!((code, result, &report["reason"]), (Some(1), &json!("rejected"), &json!(reason)), "{report}");
        assert!(said.contains(detail), "{report}");
        assert_eq!(report["metrics"], json!([]));
    }
}

#[test]
fn repeated_events_are_duplicates_or_conflicts() {
    let events = [
        r#"{"orderId":"o-1","total":"12.50"}"#,
        r#"{"order_id":"o-1","amount":12.5,"eventId":"e-1"}"#,
        r#"{"orderId":"o-2","total":1,"eventId":"e-1"}"#,
        r#"{"orderId":"o-1","total":13}"#,
        r#"{"orderId":"o-3","total":1}"#,
    ];
    let (code, reports) = reports(&[], "order.created", &events.join("\n"));
    let shown: Vec<_> =
        reports.iter().map(|report| json!([report["result"], report["sameAs"], report["line"]])).collect();
    assert_eq!(code, Some(1));
    assert_eq!(
        shown,
        [
            json!(["counted", null, 1]),
            json!(["duplicate", 1, 2]),
            json!(["rejected", 1, 3]),
            json!(["rejected", 1, 4]),
            json!(["counted", null, 5])
        ]
    );
    assert_eq!(reports[3]["reason"], "identity_conflict");
    assert!(reports[3]["detail"].as_str().unwrap().contains("on line 1, which has other content"), "{}", reports[3]);
    // Views without an id are never the same event.
    let view = "{\"productId\":\"tea\"}\n";
    assert_eq!(check(&[], &["--topic", "product.viewed", "-"], &view.repeat(3)).2, "3 records, 3 counted\n");
}

#[test]
fn a_report_in_json_has_everything() {
    let event = r#"{"orderId":"o-1","customerId":"u-7","placedAt":"2026-11-20T10:15:00Z","total":"12.50"}"#;
    let (_, counted) = reports(&[], "order.created", event);
    let id = counted[0]["event"]["id"].as_str().unwrap();
    let metric = |name: &str, unit: &str, delta: i64, currency: Option<&str>| json!({ "type": name, "unit": unit, "delta": delta, "currency": currency });
    let expected = json!({
        "record": 1, "line": 1, "result": "counted", "reason": null, "detail": null, "sameAs": null, "rating": null, "naming": null, "reversal": null, "awaitsPayment": false,
        "event": {
            "id": id, "type": "order.created", "time": "2026-11-20T10:15:00Z", "userId": "u-7",
            "identities": ["natural"],
        },
        "parts": [{ "productId": null, "vendorId": null, "quantity": 1, "amount": 1250, "currency": "USD" }],
        "metrics": [
            metric("total_orders", "orders", 1, None),
            metric("total_units", "units", 1, None),
            metric("unattributed_revenue", "minor_units", 1250, Some("USD")),
            metric("total_revenue", "minor_units", 1250, Some("USD")),
            metric("total_net_revenue", "minor_units", 1250, Some("USD")),
        ],
    });
    assert_eq!(counted[0], expected);
    let (_, again) = reports(&[], "order.created", event);
    assert_eq!(again, counted, "the report depends on nothing but the file");
    // Without a time, the id depends on the record in Kafka.
    let (_, timeless) = reports(&[], "order.created", r#"{"orderId":"o-1","total":1}"#);
    assert_eq!((&timeless[0]["event"]["id"], &timeless[0]["event"]["time"]), (&Value::Null, &Value::Null));
}

#[test]
fn the_text_is_readable() {
    let events = r#"{"orderId":"o-1","userId":"u-7","items":[{"productId":"te\u001ba","price":"12.50"}]}
{"orderId":"o-1","userId":"u-7","items":[{"productId":"te\u001ba","price":12.5}]}
{
  "orderId": "o-2",
  "total": -1
}
"#;
    let path = std::env::temp_dir().join(format!("{}.ndjson", unique_name()));
    std::fs::write(&path, events).unwrap();
    let file = path.to_str().unwrap();
    let arguments = ["check-event", "--topic", "order.created", file];
    let (code, out, messages) = said(&process::run("analytics-jobs", &arguments, &BTreeMap::new()));
    std::fs::remove_file(&path).unwrap();
    let event = "    event     order.created at the time of its record in Kafka, user u-7
    identity  natural: its content
    part      product te\u{fffd}a, no vendor (gets the known vendor of the product, if any), quantity 1, amount 12.50 USD
";
    let expected = format!(
        "{file}:1: counted
{event}    metric    total_orders +1
    metric    product_orders:te\u{fffd}a +1
    metric    product_units:te\u{fffd}a +1
    metric    total_units +1
    metric    product_revenue:te\u{fffd}a +1250 minor units of USD
    metric    unattributed_revenue +1250 minor units of USD
    metric    total_revenue +1250 minor units of USD
    metric    total_net_revenue +1250 minor units of USD
{file}:2: duplicate of line 1, not counted again
{event}{file}:3: rejected, invalid_amount: total \"-1\" is negative
"
    );
    assert_eq!(out, expected);
    let summary = "analytics-jobs: 1 of 3 records would be rejected, 1 counted, 1 duplicate\n";
    assert_eq!((code, messages.as_str()), (Some(1), summary));
}

#[test]
fn the_settings_of_ingest_apply() {
    let mapping = [("KAFKA_TOPICS", "order.created=eu.orders@eu"), ("KAFKA_EXTRA_TOPICS", "cart.abandoned")];
    let order = r#"{"orderId":"o-1","total":1}"#;
    assert_eq!(reports(&mapping, "eu.orders", order).1[0]["event"]["type"], "order.created");
    let (code, logged) = reports(&mapping, "cart.abandoned", "{}");
    assert_eq!((code, &logged[0]["result"], &logged[0]["metrics"]), (Some(0), &json!("logged"), &json!([])));
    let named = r#"{"id":"tea","title":"Green\u202e tea","vendorId":"ann"}"#;
    let (code, named) = reports(&[], "product.created", named);
    assert_eq!((code, &named[0]["result"], &named[0]["metrics"]), (Some(0), &json!("logged"), &json!([])));
    assert_eq!(named[0]["naming"], json!({ "productId": "tea", "vendorId": "ann", "name": "Green tea" }));
    let (_, redacted) = reports(&[("REDACT_FIELDS", "total")], "order.created", r#"{"id":"o","total":"secret"}"#);
    assert_eq!(redacted[0]["detail"], "total cannot be used; its value is redacted");
    let headers = ["--header", "ce_id=1", "--header", "ce_source=/shop", "--topic", "product.viewed", "-"];
    let (code, out, _) = check(&[], &headers, r#"{"productId":"tea"}"#);
    assert!(code == Some(0) && out.contains("explicit: the id that its producer gave it"), "{out}");
}

#[test]
fn what_cannot_be_checked_is_another_status() {
    let mapping = [("KAFKA_TOPICS", "order.created=eu.orders")];
    for (arguments, message) in [
        (
            &["--topic", "order.created", "-"][..],
            "the topics are eu.orders, order.cancelled, order.paid, order.refunded, order.status.updated, product.created",
        ),
        (&["--topic", "eu.orders", "/nonexistent"], "/nonexistent: No such file"),
        (&["--topic", "eu.orders", "/"], "/: Is a directory"),
        (&["--topic", "eu.orders", "-"], "there are no events"),
        (&["--topic", "eu.orders", "--header", "ce_id", "-"], "must be NAME=VALUE"),
        (&["-"], "--topic"),
    ] {
        let (code, out, messages) = check(&mapping, arguments, " \n");
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(messages.contains(message), "{messages}");
    }
}

#[test]
fn a_bad_line_does_not_hide_the_lines_after_it() {
    let view = r#"{"productId":"tea"}"#;
    let events = format!("{view}\n{{\"productId\":\"t\n{view}\n{{\"productId\" 1}}\nnonsense\n{view}\n");
    let (code, reports) = reports(&[], "product.viewed", &events);
    let shown: Vec<_> =
        reports.iter().map(|report| (report["line"].as_u64().unwrap(), report["result"].as_str().unwrap())).collect();
    assert_eq!(code, Some(1));
    assert_eq!(shown, [(1, "counted"), (2, "rejected"), (3, "counted"), (4, "rejected"), (6, "counted")]);
}
