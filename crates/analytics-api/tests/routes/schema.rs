//! A stranger's proof: schemathesis works the API from its own document.

use std::process::Command;

use analytics_testkit::client::token;
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;

#[test]
fn schemathesis_finds_no_answer_that_the_document_does_not_allow() {
    let mut service = Service::new(1);
    service.set("API_MODE", "read-write");
    let _ingest = service.ingest();
    service.send_traffic(&mut Tally::default(), 1, 200);
    service.wait_all_consumed();
    let api = service.api();
    let schemathesis = std::env::var("TEST_SCHEMATHESIS").expect("TEST_SCHEMATHESIS; scripts/test installs it");
    let output = Command::new(schemathesis)
        .current_dir(std::env::temp_dir())
        .args(["run", &format!("http://{}/api/openapi.json", api.address)])
        .args(["--header", &format!("Authorization: Bearer {}", token("admin", None))])
        // A cursor is any text to the document, but not to the API: valid requests may get a 400.
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--max-examples", "150", "--seed", "1", "--no-color"])
        .output()
        .expect("schemathesis");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let cases = said.lines().find_map(|line| line.trim().strip_suffix("skipped")?.split_once(" generated"));
    let cases: u32 = cases.and_then(|(cases, _)| cases.parse().ok()).unwrap_or_else(|| panic!("no count in:\n{said}"));
    assert!(cases >= 1_000, "only {cases} cases");
}
