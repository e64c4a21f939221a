//! Bad records among good ones: each becomes one dead letter, and every good one is counted.

use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::service::Service;

#[test]
fn hostile_records_do_not_stop_the_stream() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let nested = |levels: usize| format!(r#"{{"productId":"p","deep":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let mut messages = Vec::new();
    // (payload, the reason for which it is rejected; "" if it is counted)
    for (payload, reason) in [
        (r#"{"productId":"p"}"#.to_owned(), ""),
        (r#"{"productId":"p","q":"a\u0000b"}"#.to_owned(), "unstorable"),
        (r#"{"productId":"p","q":"\ud800"}"#.to_owned(), "unstorable"),
        (r#"{"productId":"p","n":1e400}"#.to_owned(), ""),
        (r#"{"productId":"p","n":1e200000}"#.to_owned(), "unstorable"),
        (r#"{"productId":"p","n":1e-20000}"#.to_owned(), "unstorable"),
        (r#"{"productId":"p","x":1e-9223372036854775808}"#.to_owned(), "unstorable"),
        (r#"{"productId":"p","x":1e9223372036854775807}"#.to_owned(), "unstorable"),
        (r#"{"productId":"p","x":[-0.0e-170141183460469231731687303715884105728]}"#.to_owned(), "unstorable"),
        (format!(r#"{{"productId":"p","x":1e{}}}"#, "9".repeat(500)), "unstorable"),
        (nested(2_000), ""),
        (nested(100_000), "unstorable"),
        ("[".repeat(100_000), "not_json"),
        (format!(r#"{{"productId":"p","long":"{}"}}"#, "x".repeat(2 << 20)), "too_large"),
        (format!(r#"{{"productId":"p","long":"{}"}}"#, "x".repeat(900_000)), ""),
        (r#"{"productId":"p","__proto__":{"a":1},"a\ttab":"é☕\\ \" \n","\\N":"\\."}"#.to_owned(), ""),
        (r#"{"productId":true}"#.to_owned(), "invalid_identifier"),
        (r#"{"productId":"p","timestamp":"2999-01-01T00:00:00Z"}"#.to_owned(), "invalid_timestamp"),
        (String::new(), "empty"),
        (r#"{"productId":"p"}"#.to_owned(), ""),
    ] {
        messages.push((Message::json("product.viewed", payload), reason));
    }
    service.send(messages.iter().map(|(message, _)| message));
    service.wait_all_consumed();
    let good = messages.iter().filter(|(_, reason)| reason.is_empty()).count();
    let api = service.api();
    let client = Client::admin(&api.address);
    assert_eq!(client.value("product_views:p"), Some(i64::try_from(good).unwrap()));
    let mut reasons: Vec<&str> = messages.iter().map(|(_, reason)| *reason).filter(|r| !r.is_empty()).collect();
    reasons.sort_unstable();
    assert_eq!(service.database.lines("SELECT reason FROM dead_letters ORDER BY 1"), reasons);
    let kept = "SELECT count(*) FROM dead_letters WHERE octet_length(payload) > 2097152 AND detail LIKE '%1048576%'";
    assert_eq!(service.database.number(kept), Some(1), "the original bytes are kept");

    // The API shows whatever PostgreSQL stores, including numbers too large for machine types.
    let answer = client.answer("/api/events?type=product.viewed&limit=1000", &[]);
    let (status, body) = (answer.status(), answer.body());
    assert_eq!((status.as_u16(), body.matches("\"eventType\"").count()), (200, good));
    assert!(body.contains(&format!("\"n\": 1{}", "0".repeat(400))));
}

#[test]
fn every_rejection_names_its_field() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    for (topic, payload, reason, names) in [
        ("product.viewed", "{}", "missing_field", "productId"),
        ("user.registered", r#"{"email":"a@b"}"#, "missing_field", "userId"),
        ("order.created", r#"{"items":[{"price":1}]}"#, "missing_field", "orderId"),
        ("order.created", r#"{"orderId":"o"}"#, "missing_field", "items"),
        ("order.created", r#"{"orderId":"o","items":[{"price":1},{"qty":2}]}"#, "missing_field", "line 2"),
        ("order.created", r#"{"orderId":"o","items":[7]}"#, "missing_field", "line 1"),
        ("order.created", r#"{"orderId":1.5,"total":1}"#, "invalid_identifier", "orderId"),
        ("order.created", r#"{"orderId":"o","total":-1}"#, "invalid_amount", "total"),
        ("order.created", r#"{"orderId":"o","total":1,"currency":"XYZ"}"#, "invalid_amount", "currency"),
        ("order.created", r#"{"orderId":"o","items":[{"price":1,"qty":1.5}]}"#, "invalid_amount", "qty"),
        ("rating.updated", r#"{"userId":"u","productId":"p","stars":0}"#, "invalid_rating", "stars"),
        ("rating.updated", r#"{"userId":"u","stars":5}"#, "missing_field", "targetId"),
        (
            "rating.updated",
            r#"{"userId":"u","targetId":"p","targetType":"SHOP","stars":5}"#,
            "invalid_identifier",
            "targetType",
        ),
        ("product.viewed", r#"{"productId":"p","viewedAt":"soon"}"#, "invalid_timestamp", "viewedAt"),
    ] {
        service.send(&[Message::json(topic, payload)]);
        service.wait_all_consumed();
        let letter = service.database.lines("SELECT reason || ': ' || detail FROM dead_letters");
        assert!(
            letter.len() == 1 && letter[0].starts_with(reason) && letter[0].contains(names),
            "{payload}: {letter:?}"
        );
        service.database.execute("DELETE FROM dead_letters");
    }
}

#[test]
fn headers_and_bytes_of_a_dead_letter_are_kept() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    let mut message = Message::json("product.viewed", "nonsense");
    message.key = Some("the key".into());
    message.headers = vec![("X-Trace".into(), "abc".into()), ("X-Trace".into(), "nul\0".into())];
    message.timestamp = Some(1_793_240_159_591);
    service.send(&[message]);
    service.wait_all_consumed();
    let kept = service.database.lines(
        "SELECT concat_ws('|', \"offset\", extract(epoch FROM record_timestamp), convert_from(key, 'UTF8'), \
         convert_from(payload, 'UTF8'), headers) FROM dead_letters",
    );
    assert_eq!(
        kept,
        [
            r#"0|1793240159.591000|the key|nonsense|[{"name": "X-Trace", "value": "abc"}, {"name": "X-Trace", "valueHex": "6e756c00"}]"#
        ]
    );
}

#[test]
fn extra_topics_are_logged_and_named_fields_never_stored() {
    let mut service = Service::new(1);
    let extra = format!("{}cart.abandoned", service.prefix);
    analytics_testkit::broker::create_topics(&service.broker, std::slice::from_ref(&extra), 1);
    service.set("KAFKA_EXTRA_TOPICS", &extra);
    service.set("REDACT_FIELDS", "email,phone");
    let _ingest = service.ingest();
    let signup = r#"{"userId":"u","email":"a@b","contact":{"phone":"1","city":"x"}}"#;
    service.send(&[Message::json("cart.abandoned", r#"{"cart":7}"#), Message::json("user.registered", signup)]);
    service.wait_consumed(2);
    let logged = service.database.lines("SELECT event_type || metadata FROM event_logs ORDER BY 1");
    let mut expected =
        vec![format!(r#"{extra}{{"cart": 7}}"#), r#"user.registered{"userId": "u", "contact": {"city": "x"}}"#.into()];
    expected.sort();
    assert_eq!(logged, expected);
}

#[test]
fn header_names_may_be_any_bytes() {
    let service = Service::new(1);
    let mut ingest = service.ingest();
    let view = |n: u32, headers: &[(&[u8], &[u8])]| Message {
        headers: headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        ..Message::json("product.viewed", format!(r#"{{"productId":"p","n":{n}}}"#))
    };
    // Rejected, and kept with its headers.
    let refused = Message { payload: Some(b"not json".to_vec()), ..view(0, &[(b"\x80trace\x00id", b"\x00\xff")]) };
    service.send(&[
        view(1, &[(b"\xff\xfe", b"x")]),
        view(2, &[(b"event-id\xc3", b"x")]),
        view(3, &[(b"", b"\xff"), (b"event-id", b"e-1")]),
        view(3, &[(b"\xe2\x82", b""), (b"EVENT-ID", b"e-1")]),
        refused,
    ]);
    service.wait_all_consumed();
    let counted = service.database.lines("SELECT metadata->>'n' FROM event_logs ORDER BY 1");
    assert_eq!(counted, ["1", "2", "3"], "the identity is recognised although another header has an unusual name");
    assert_eq!(service.database.number("SELECT count(*) FROM dead_letters WHERE reason = 'not_json'"), Some(1));
    assert!(ingest.stop().success(), "nothing panicked");
}

#[test]
fn redacted_fields_are_stored_nowhere() {
    let mut service = Service::new(1);
    service.set("REDACT_FIELDS", "email,phone");
    service.set("RUST_LOG", "debug");
    let good = r#"{"userId":"u","email":"SECRET","phone":"SECRET","a":{"phone":"SECRET","email":["SECRET"],"b":[{"email":{"x":"SECRET"},"phone":1234567}]},"\u0065mail":"SECRET","phone":"SECRET"}"#;
    let bad = good.replace("userId", "other");
    let text = "no JSON, and kept as it is";
    let ingest = service.ingest();
    let signup = |payload: &str| Message::json("user.registered", payload);
    service.send(&[signup(good), signup(&bad), signup(text), Message::json("product.viewed", format!("[{bad}]"))]);
    service.wait_all_consumed();
    let logged = service.database.lines("SELECT metadata FROM event_logs");
    assert_eq!(logged, [r#"{"a": {"b": [{}]}, "userId": "u"}"#]);
    let letters = service
        .database
        .lines("SELECT concat_ws(' ', reason, redacted, convert_from(payload, 'UTF8')) FROM dead_letters ORDER BY 1");
    let kept = [
        r#"missing_field t {"other":"u","a":{"b":[{}]}}"#,
        r#"not_an_object t [{"other":"u","a":{"b":[{}]}}]"#,
        "not_json f no JSON, and kept as it is",
    ];
    assert_eq!(letters, kept);
    assert!(!ingest.log().contains("SECRET") && !ingest.log().contains("1234567"), "{}", ingest.log());

    // With REDACT_DEAD_LETTERS=false, rejected records are kept unchanged.
    let mut other = Service::new(1);
    other.set("REDACT_FIELDS", "email,phone");
    other.set("REDACT_DEAD_LETTERS", "false");
    let _ingest = other.ingest();
    other.send(&[signup(&bad)]);
    other.wait_all_consumed();
    assert_eq!(other.database.lines("SELECT convert_from(payload, 'UTF8') FROM dead_letters"), [bad]);
}
