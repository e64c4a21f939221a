//! A headless Chromium, driven through chromedriver.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use analytics_testkit::database::unique_name;
use analytics_testkit::process::free_port;
use analytics_testkit::wait;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// How long a page may take to show what is expected.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Collects violations of a page's policy that may happen before a test can ask for them.
const OBSERVED: &str = "window.violations = []; addEventListener('securitypolicyviolation', (event) => \
                        window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));";

/// A browser with one window and a profile of its own, closed when this value is dropped.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    profile: PathBuf,
    session: String,
    client: Option<Client>,
    runtime: Runtime,
}

impl Browser {
    /// Starts a browser with a window of 1280 by 900 pixels.
    pub(crate) fn start() -> Self {
        let port = free_port();
        let profile = std::env::temp_dir().join(format!("analytics-test-browser-{}", unique_name()));
        std::fs::create_dir(&profile).unwrap();
        // Chromedriver and its browser end with the thread that starts them.
        let driver = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "chromedriver", &format!("--port={port}")])
            .env("HOME", &profile)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setpriv starts");
        wait::until("chromedriver to answer; scripts/test installs chromium-driver", PATIENCE, || {
            ureq::get(format!("http://127.0.0.1:{port}/status")).call().ok()
        });
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(&profile));
        let client = runtime.block_on(builder.connect(&format!("http://127.0.0.1:{port}")));
        let client = client.expect("a browser; scripts/test installs chromium");
        let session = runtime.block_on(client.session_id()).unwrap().unwrap();
        let browser = Self { driver, port, profile, session, client: Some(client), runtime };
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": OBSERVED }));
        browser.resize(1280, 900);
        browser
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    /// Opens an address, unless the page refuses to be left.
    pub(crate) fn open(&self, address: &str) {
        // An address that differs in its fragment only would not load the page again.
        self.runtime.block_on(self.client().goto("about:blank")).unwrap();
        self.runtime.block_on(self.client().goto(address)).expect(address);
    }

    /// Runs the body of a function in the page, or in the frame that was entered, and returns its
    /// result.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.runtime.block_on(self.client().execute(script, vec![])).expect(script)
    }

    /// The same with a function that calls `done(result)`.
    pub(crate) fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.runtime.block_on(self.client().execute_async(&script, vec![])).expect(&script)
    }

    /// Waits until an expression is true in the page, and returns its value.
    pub(crate) fn until(&self, expression: &str) -> Value {
        self.within(PATIENCE, expression)
    }

    /// The same with a limit of time. What the page says is in the message of a failure.
    pub(crate) fn within(&self, limit: Duration, expression: &str) -> Value {
        let script = format!("return ({expression})");
        let deadline = Instant::now() + limit;
        loop {
            let value = self.run(&script);
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "not within {limit:?}: {expression}; the page says: {}",
                self.text("body")
            );
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Returns the text of the first element that a selector matches; empty without one.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector({})?.innerText", json!(selector)));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Activates the first element that a selector matches, once there is one.
    pub(crate) fn click(&self, selector: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        self.until(&format!("{found} !== null"));
        self.run(&format!("{found}.click()"));
    }

    /// Enters the first frame of the page.
    pub(crate) fn enter_frame(&self) {
        self.runtime.block_on(self.client().enter_frame(0)).unwrap();
    }

    /// Returns to the page from a frame.
    pub(crate) fn leave_frame(&self) {
        self.runtime.block_on(self.client().enter_parent_frame()).unwrap();
    }

    /// Gives the page this size in pixels, without the frame of a window.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Prefers a colour scheme, `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Returns a picture of the page as PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        self.runtime.block_on(self.client().screenshot()).unwrap()
    }

    /// Returns and forgets the errors and warnings on the console, among which are refusals of the
    /// page's policy, and failed requests.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.ask("se/log", &json!({ "type": "browser" }));
        let serious = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        let entries = log.as_array().unwrap().iter().filter(serious);
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Returns the violations of the policy of the page or frame.
    pub(crate) fn violations(&self) -> Value {
        self.run("return window.violations")
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.ask("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    /// Sends a command that only chromedriver has.
    fn ask(&self, command: &str, body: &Value) -> Value {
        let address = format!("http://127.0.0.1:{}/session/{}/{command}", self.port, self.session);
        let mut answer =
            ureq::post(address).header("Content-Type", "application/json").send(body.to_string()).expect(command);
        let body: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        body["value"].clone()
    }
}

fn capabilities(profile: &std::path::Path) -> Capabilities {
    let arguments = [
        "--headless=new",
        // Continuous integration runs as root and with little shared memory.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-extensions",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--lang=en-US",
        &format!("--user-data-dir={}", profile.display()),
    ];
    let capabilities = json!({
        "browserName": "chrome",
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    capabilities.as_object().unwrap().clone()
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let _closed = self.runtime.block_on(client.close());
        }
        let _ended = self.driver.kill();
        let _ended = self.driver.wait();
        let _gone = std::fs::remove_dir_all(&self.profile);
    }
}
