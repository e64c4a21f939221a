//! Tests of keys for tokens as they occur in practice: a PEM file in one line, a secret with a
//! newline at its end, and keys that cannot verify any token.

use std::collections::BTreeMap;

use analytics_testkit::client::{Client, SECRET};
use analytics_testkit::process;
use analytics_testkit::service::Service;

/// An admin's token, signed with the private key of `eddsa.pub.pem` and valid until the year 2100.
const TOKEN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJ1c2VySWQiOiJ0ZXN0ZXIiLCJyb2xlIjpbImFkbWluIl0sImV4cCI6\
                     NDEwMjQ0NDgwMH0.SKs6XfFYCOAuM8-6GGMlw1qOYd6dj97vqrzVxa2YS1MCCjqBfB_8sHE7TXyJm4WCG_YY8TyLhPq91d\
                     dWrd9-Dg";
const PUBLIC: &str = include_str!("../../../shared-auth/tests/keys/eddsa.pub.pem");
const PRIVATE: &str = include_str!("../../../shared-auth/tests/keys/es256.pem");
const P384: &str = "-----BEGIN PUBLIC KEY-----\n\
                    MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEEZd45MMHFHG9dwVZhDNDD50D/G12SJ7q\n\
                    eVfCCQBhEh21FNJ0VbzIQayzWly001HVF9iOgoVsang/XsmWONkK8wcU0ZcjE+O/\n\
                    FFy6r9MEN8OlbRn+e+lntR68Bh42DXwg\n\
                    -----END PUBLIC KEY-----\n";

fn in_one_line(pem: &str) -> String {
    pem.replace('\n', "\\n")
}

#[test]
fn a_pem_with_escaped_line_breaks_is_accepted() {
    let mut service = Service::new(1);
    service.environment.remove("JWT_SECRET");
    for key in [in_one_line(PUBLIC), in_one_line(PUBLIC.trim()), PUBLIC.to_owned(), PUBLIC.replace('\n', "\r\n")] {
        service.set("JWT_PUBLIC_KEY", &key);
        let api = service.api();
        assert_eq!(Client::with_token(&api.address, TOKEN).get("/api/events").0, 200, "{key:?}");
        assert_eq!(
            Client::admin(&api.address).get("/api/events").0,
            401,
            "the secret of the other tests is not a key here"
        );
    }
}

#[test]
fn a_key_that_cannot_verify_tokens_stops_the_start_with_one_sentence() {
    let file = std::env::temp_dir().join(format!("{}.pem", analytics_testkit::database::unique_name()));
    std::fs::write(&file, P384).unwrap();
    for (key, says) in [
        (P384.to_owned(), "got a key on secp384r1"),
        (in_one_line(P384), "got a key on secp384r1"),
        (format!("@{}", file.display()), "got a key on secp384r1"),
        (PRIVATE.to_owned(), "must be a public key, got a private one"),
        (in_one_line(PRIVATE), "must be a public key, got a private one"),
        (PUBLIC.replace("MCow", "MCox"), "must be a public key in PEM form"),
    ] {
        let environment: BTreeMap<String, String> =
            [("DATABASE_URL", "postgresql://u@127.0.0.1:1/d"), ("JWT_PUBLIC_KEY", &key), ("API_BIND", "127.0.0.1:0")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        for arguments in [&[][..], &["--check-settings"]] {
            let output = process::run("analytics-api", arguments, &environment);
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success());
            let begins = said.starts_with("analytics-api: JWT_PUBLIC_KEY: must be ");
            assert!(begins && said.contains(says) && said.lines().count() == 1, "{says}: {said}");
        }
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn the_job_prints_tokens_of_every_role() {
    let service = Service::new(1);
    let api = service.api();
    let status = |arguments: &[&str], path: &str| {
        let token = service.done(&[&["token", "--role"], arguments].concat());
        let token = token.lines().find(|line| line.starts_with("ey")).unwrap();
        Client::with_token(&api.address, token).get(path).0
    };
    for (arguments, metrics, events) in [
        (&["admin"][..], 200, 200),
        (&["support"], 200, 403),
        (&["seller", "--vendor", "v-1"], 200, 403),
        (&["seller", "--vendor", "v-1", "--vendor", "v-2"], 200, 403),
        (&["buyer"], 403, 403),
    ] {
        assert_eq!(status(arguments, "/api/metrics?name=seller_views"), metrics, "{arguments:?}");
        assert_eq!(status(arguments, "/api/events"), events, "{arguments:?}");
    }
}

#[test]
fn a_newline_at_the_end_of_a_secret_is_a_warning_and_not_part_of_the_key() {
    let mut service = Service::new(1);
    for end in ["\n", "\r\n"] {
        service.set("JWT_SECRET", &format!("{SECRET}{end}"));
        let api = service.api();
        // The tests' tokens are signed with the secret alone, as those of `analytics-jobs token` are.
        assert_eq!(Client::admin(&api.address).get("/api/events").0, 200);
        let token = service.done(&["token", "--role", "admin"]);
        let token = token.lines().find(|line| line.starts_with("ey")).unwrap();
        assert_eq!(Client::with_token(&api.address, token).get("/api/events").0, 200);
        let told = api.log().lines().filter(|line| line.contains("JWT_SECRET ends in a newline")).count();
        assert_eq!(told, 1, "{}", api.log());
    }
}
