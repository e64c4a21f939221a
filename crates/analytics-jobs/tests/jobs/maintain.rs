//! `maintain`: what has to be done regularly.

use analytics_testkit::broker::Message;
use analytics_testkit::service::Service;

#[test]
fn maintain_forgets_what_ended_and_keeps_everything_else() {
    let service = Service::new(1);
    let _ingest = service.ingest();
    service.send(&[
        Message::json("product.viewed", r#"{"productId":"p","eventId":"e","vendorId":"v"}"#),
        Message::json(
            "order.created",
            r#"{"orderId":"o","total":"1.00","vendorId":"v","createdAt":"2026-11-20T10:00:00Z"}"#,
        ),
        Message::json("product.viewed", "nonsense"),
    ]);
    service.wait_all_consumed();
    service.done(&["verify"]);
    let before = service.numbers();
    let said = service.done(&["maintain"]);
    assert!(said.contains("event_keys: began 0 generations, dropped 0"), "{said}");
    assert_eq!(service.numbers(), before);

    service.database.execute(
        "UPDATE identity_generations SET opened_at = now() - interval '80 days';
         INSERT INTO proofs (proved_at, watermark, complete, rules_version, days, days_read, events_read, keys_checked,
             drift, digest, offsets, differences, took_ms)
         SELECT now() - interval '401 days', 1, n = 1, 1, 1, 1, 1, 1, 0, gen_random_uuid(), '{}', '[]', 1
             FROM generate_series(1, 3) n;
         INSERT INTO ingest_gaps (consumer_group, topic, partition, from_offset, to_offset, reason, noticed_at)
         SELECT 'g', 't', 0, 1, 2, 'retention', now() - make_interval(days => n) FROM unnest(ARRAY[399, 401]) n;
         INSERT INTO anomalies (type, granularity, verdict, state, from_time, to_time, judged_until, observed, expected,
             lower, upper, confidence, resolved_at)
         SELECT 'total_views', 'h', 'drop', state, t, t, t, 1, 3, 2, 4, 1, resolved FROM (VALUES
             ('resolved', now() - interval '401 days', now() - interval '401 days'),
             ('resolved', now() - interval '500 days', now() - interval '399 days'),
             ('open', now() - interval '401 days', NULL)) AS a (state, t, resolved);
         INSERT INTO ingest_topics (consumer_group, topic, partitions_at_first, partitions, wanted, updated_at)
         VALUES ('g', 'retired', 1, 1, false, now() - interval '36 days'),
             ('g', 'recent', 1, 1, false, now() - interval '34 days');
         INSERT INTO ingest_offsets (consumer_group, topic, partition, next_offset, log_start, updated_at)
         VALUES ('g', 'retired', 0, 9, 9, now() - interval '36 days'),
             ('g', 'recent', 0, 9, 9, now() - interval '34 days')",
    );
    let said = service.done(&["maintain"]);
    for line in [
        "event_keys: began 1 generations, dropped 0",
        "order_keys: began 1 generations, dropped 0",
        // The last one is kept, and the last that read every day.
        "deleted 1 proofs, 1 gaps, 1 anomalies, 0 batches and 1 stored offsets",
        "collected statistics",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(service.database.number("SELECT count(*) FROM anomalies"), Some(2), "resolved lately, or open");
    assert_eq!(service.database.lines("SELECT topic FROM ingest_offsets WHERE consumer_group = 'g'"), ["recent"]);
    // Identities of the generation before are still known.
    service.send(&[Message::json(
        "order.created",
        r#"{"orderId":"o","total":"1.00","vendorId":"v","createdAt":"2026-11-20T10:00:00Z"}"#,
    )]);
    service.wait_all_consumed();
    assert_eq!(service.numbers(), before);

    service
        .database
        .execute("UPDATE identity_generations SET closed_at = now() - interval '36 days' WHERE generation = 1");
    let said = service.done(&["maintain"]);
    assert!(said.contains("event_keys: began 0 generations, dropped 1"), "{said}");
    assert!(said.contains("order_keys: began 0 generations, dropped 0"), "{said}");
    // The proof does not need identities.
    service.done(&["verify", "--full"]);
}
