//! Tests that other tools can use the OpenAPI document: linters report nothing, and generated
//! clients for Python and TypeScript call every route that reads.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use analytics_testkit::broker::Message;
use analytics_testkit::client::{Client, token};
use analytics_testkit::database::unique_name;
use analytics_testkit::process::Process;
use analytics_testkit::service::{STATEMENT_KEY, Service};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// A temporary folder with the document, and the folder of the installed tools.
struct Workshop {
    tools: PathBuf,
    folder: PathBuf,
}

impl Workshop {
    fn of(api: &Process) -> Self {
        let tools =
            std::env::var("TEST_OPENAPI").expect("TEST_OPENAPI is set; scripts/test installs the tools and sets it");
        let folder = std::env::temp_dir().join(format!("analytics-clients-{}", unique_name()));
        fs::create_dir(&folder).unwrap();
        let workshop = Self { tools: tools.into(), folder };
        let document = Client::nobody(&api.address).answer("/api/openapi.json", &[]).into_body();
        fs::write(workshop.folder.join("openapi.json"), document).unwrap();
        symlink(workshop.tools.join("node_modules"), workshop.folder.join("node_modules")).unwrap();
        workshop
    }

    /// Runs a tool, which must succeed, and returns its output.
    fn run(&self, tool: impl AsRef<Path>, arguments: &[&str]) -> String {
        let tool = self.tools.join(tool);
        let path = format!("{}:{}", self.tools.join("venv/bin").display(), std::env::var("PATH").unwrap());
        let output = Command::new(&tool)
            .args(arguments)
            .current_dir(&self.folder)
            .env("PATH", path)
            .output()
            .expect("the tool starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{} {arguments:?}: {said}", tool.display());
        said
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn linters_accept_the_document() {
    let service = Service::new(1);
    let workshop = Workshop::of(&service.api());
    workshop.run("node_modules/.bin/redocly", &["lint", "--format", "summary", "openapi.json"]);
    let spectral = workshop.run(
        "node_modules/.bin/spectral",
        &["lint", "--ruleset", &format!("{SCRIPTS}/spectral.yaml"), "--fail-severity", "warn", "openapi.json"],
    );
    assert!(spectral.contains("No results with a severity of 'warn' or higher"), "{spectral}");
}

#[test]
fn generated_clients_call_every_route_that_reads() {
    let mut service = Service::new(1);
    service.set("STATEMENT_SIGNING_KEY", STATEMENT_KEY);
    let _ingest = service.ingest();
    let sold = r#"{"orderId":"o-2","vendorId":"v","total":1,"placedAt":"2026-10-01T12:00:00Z"}"#;
    service.send(&[
        Message::json("order.created", sold),
        Message::json("product.viewed", r#"{"productId":"p/1","vendorId":"v"}"#),
        Message::json("product.viewed", "not json"),
        Message::json("order.created", r#"{"orderId":"o-1","total":1}"#),
    ]);
    service.wait_all_consumed();
    service.done(&["verify"]);
    service.done(&["statements", "close", "--month", "2026-10", "--accept-gaps"]);
    service.done(&["months"]);
    let api = service.api();
    let workshop = Workshop::of(&api);
    let (base, admin) = (format!("http://{}", api.address), token("admin", None));
    let event = service.database.lines("SELECT id FROM event_logs WHERE event_type = 'product.viewed'").remove(0);
    let letter = service.database.lines("SELECT id FROM dead_letters").remove(0);

    workshop.run("venv/bin/openapi-python-client", &["generate", "--path", "openapi.json", "--output-path", "python"]);
    fs::copy(format!("{SCRIPTS}/call.py"), workshop.folder.join("python/call.py")).unwrap();
    let called = ["python/call.py", "openapi.json", &base, &admin, "product_views:p/1", &event, &letter];
    let python = workshop.run("venv/bin/python", &called);
    assert!(python.contains("explainMetric ExplanationPage"), "{python}");

    workshop.run("node_modules/.bin/openapi-typescript", &["openapi.json", "--output", "schema.d.ts"]);
    fs::copy(format!("{SCRIPTS}/call.ts"), workshop.folder.join("call.mts")).unwrap();
    let options = "--strict --module esnext --moduleResolution bundler --target es2022 --skipLibCheck call.mts";
    workshop.run("node_modules/.bin/tsc", &options.split(' ').collect::<Vec<_>>());
    let called = ["call.mjs", &base, &admin, "product_views:p/1", &event, &letter];
    let typescript = workshop.run("/usr/bin/env", &[&["node"][..], &called].concat());
    assert!(typescript.contains("/api/proofs asOf,items,nextCursor"), "{typescript}");
}
