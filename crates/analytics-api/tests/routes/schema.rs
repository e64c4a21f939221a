//! Tests the API with schemathesis, which generates requests from the OpenAPI document.

use std::process::Command;

use analytics_testkit::client::token;
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;

#[test]
fn schemathesis_finds_no_response_that_violates_the_document() {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    let _ingest = service.ingest();
    service.send_traffic(&mut Tally::default(), 1, 200);
    service.wait_all_consumed();
    let api = service.api();
    let schemathesis = std::env::var("TEST_SCHEMATHESIS")
        .expect("TEST_SCHEMATHESIS is set; scripts/test installs the tool and sets it");
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/routes/schemathesis.toml");
    let hooks = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/routes/schemathesis_hooks.py");
    let output = Command::new(schemathesis)
        .current_dir(std::env::temp_dir())
        .env("SCHEMATHESIS_HOOKS", hooks)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["--config-file", settings, "run", &format!("http://{}/api/openapi.json", api.address)])
        .args(["--header", &format!("Authorization: Bearer {}", token("admin", None))])
        // According to the document, a cursor may be any text. The API accepts only its own
        // cursors, so it may answer 400 to a request that the document allows.
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        // A live stream has no end.
        .args(["--exclude-path", "/api/live"])
        .args(["--max-examples", "150", "--seed", "1", "--no-color"])
        .output()
        .expect("schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let cases = said.lines().find_map(|line| line.trim().strip_suffix("skipped")?.split_once(" generated"));
    let cases: u32 = cases.and_then(|(cases, _)| cases.parse().ok()).unwrap_or_else(|| panic!("no count in:\n{said}"));
    assert!(cases >= 1_000, "only {cases} cases");
}
