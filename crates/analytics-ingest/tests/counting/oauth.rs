//! Ingest and its audit authenticate themselves to a real broker with the tokens of a real OpenID provider.

use analytics_testkit::broker::{self, Message, Sender};
use analytics_testkit::kafka::Kafka;
use analytics_testkit::oidc::{AUDIENCE, CLIENT, Oidc, SCOPE, SECRET};
use analytics_testkit::process::Process;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;

/// A service that reads a broker of its own over TLS with the tokens of this provider.
fn service(oidc: &Oidc, kafka: &Kafka) -> Service {
    let mut service = Service::new(1);
    broker::create_topics(&kafka.address, &broker::family_topics(&service.prefix), 1);
    service.set("KAFKA_BROKER", &kafka.for_tokens());
    service.set("KAFKA_PROPERTIES", &format!("ssl.ca.location={}", oidc.path("ca.crt").display()));
    service.set("KAFKA_OAUTH_TOKEN_URL", &oidc.token_url());
    service.set("KAFKA_OAUTH_CLIENT_ID", CLIENT);
    service.set("KAFKA_OAUTH_SCOPE", SCOPE);
    service.set("KAFKA_OAUTH_CA_FILE", &oidc.path("ca.crt").display().to_string());
    service.set("RUST_LOG", "debug");
    service
}

fn send_views(service: &Service, kafka: &Kafka, count: usize) {
    let views = vec![Message::json("product.viewed", r#"{"productId":"p"}"#); count];
    Sender::new(&kafka.address, &service.prefix).send(&views);
}

/// Asserts that a text has neither the secret, in any form, nor a token.
fn assert_no_secret(oidc: &Oidc, text: &str) {
    for secret in [SECRET, "a%20secret", "a+secret", "Basic "].into_iter().map(ToOwned::to_owned).chain(oidc.tokens()) {
        assert!(!text.contains(&secret), "{secret} is in:\n{text}");
    }
}

fn wait_said(ingest: &Process, text: &str) {
    wait::until(text, PATIENCE, || ingest.log().contains(text).then_some(()));
}

#[test]
fn events_are_counted_with_tokens_that_are_renewed() {
    let mut oidc = Oidc::new(8);
    oidc.run();
    let kafka = Kafka::start_for_tokens(&oidc);
    let mut service = service(&oidc, &kafka);
    service.set("KAFKA_OAUTH_CLIENT_SECRET", SECRET);
    let mut ingest = service.ingest();
    ingest.wait_ready();
    send_views(&service, &kafka, 100);
    service.wait_consumed(100);
    // The broker ends connections whose token has expired, which the first one has when the third is there.
    let first = oidc.tokens().len();
    wait::until("further tokens", PATIENCE, || (oidc.tokens().len() > first + 2).then_some(()));
    send_views(&service, &kafka, 50);
    service.wait_consumed(150);
    assert_eq!(ingest.metric("analytics_ingest_sessions_total"), 1.0, "the session was not interrupted");
    let (well, said) = service.audit();
    assert!(well && said.contains("150 records"), "{said}");
    assert_no_secret(&oidc, &said);
    assert_no_secret(&oidc, &ingest.log());
    assert!(ingest.stop().success());
}

#[test]
fn a_provider_that_is_away_is_waited_for_and_a_wrong_secret_is_an_error_until_it_is_replaced() {
    let mut oidc = Oidc::new(600);
    // The broker fetches the keys when it starts.
    oidc.run();
    let kafka = Kafka::start_for_tokens(&oidc);
    oidc.kill();
    let mut service = service(&oidc, &kafka);
    let secret = oidc.path("secret");
    std::fs::write(&secret, "another-secret").expect("a file");
    service.set("KAFKA_OAUTH_CLIENT_SECRET_FILE", &secret.display().to_string());
    send_views(&service, &kafka, 100);
    let mut ingest = service.ingest();
    wait_said(&ingest, "KAFKA_OAUTH_TOKEN_URL: the token endpoint cannot be reached: connection refused");
    oidc.run();
    let refusal = "the token endpoint answered 401, invalid_client; KAFKA_OAUTH_CLIENT_ID or its secret is wrong";
    wait_said(&ingest, refusal);
    let is_error = |line: &str| line.contains("ERROR") && line.contains(refusal);
    assert!(ingest.log().lines().any(is_error), "{}", ingest.log());
    assert!(!ingest.is_ready() && service.consumed() == 0);
    assert!(!ingest.log().contains("another-secret"), "{}", ingest.log());
    std::fs::write(&secret, SECRET).expect("a file");
    service.wait_consumed(100);
    ingest.wait_ready();
    assert_no_secret(&oidc, &ingest.log());
    assert!(ingest.stop().success());
}

#[test]
fn a_token_that_the_broker_refuses_is_replaced_before_it_expires() {
    let mut oidc = Oidc::new(600);
    oidc.audience = "another-service";
    oidc.run();
    let kafka = Kafka::start_for_tokens(&oidc);
    let mut service = service(&oidc, &kafka);
    service.set("KAFKA_OAUTH_CLIENT_SECRET", SECRET);
    send_views(&service, &kafka, 100);
    let mut ingest = service.ingest();
    wait_said(&ingest, r#"SASL authentication error: {"status":"invalid_token"}"#);
    assert!(!ingest.is_ready() && service.consumed() == 0);
    oidc.kill();
    oidc.audience = AUDIENCE;
    oidc.run();
    service.wait_consumed(100);
    ingest.wait_ready();
    assert_no_secret(&oidc, &ingest.log());
    assert!(ingest.stop().success());
}
