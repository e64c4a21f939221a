//! The dashboard below a path of a site, behind nginx.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use analytics_testkit::database::unique_name;
use analytics_testkit::process::free_port;
use analytics_testkit::wait;
use serde_json::json;

use crate::browser::{Browser, PATIENCE};
use crate::live::{value, view};
use crate::marketplace::{Marketplace, SHOWN};

/// An nginx of one test, which passes `/analytics/` on and is otherwise as nginx comes.
struct Nginx {
    folder: PathBuf,
    child: Child,
    address: String,
}

impl Nginx {
    fn in_front_of(api: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("analytics-test-nginx-{}", unique_name()));
        std::fs::create_dir(&folder).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {}/{name};\n", folder.display()))
            .concat();
        let settings = format!(
            "daemon off;\nmaster_process off;\npid {0}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\
             server {{\nlisten {address};\nlocation /analytics/ {{\nproxy_pass http://{api};\n}}\n}}\n}}\n",
            folder.display()
        );
        std::fs::write(folder.join("nginx.conf"), settings).unwrap();
        // A user's path may be without the programs of administrators.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "nginx", "-e", "stderr", "-p"])
            .arg(&folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .env("PATH", path)
            .stdin(Stdio::null())
            .spawn()
            .expect("setpriv starts");
        let nginx = Self { folder, child, address };
        wait::until("nginx to answer; scripts/test installs nginx-light", PATIENCE, || {
            ureq::get(format!("http://{}/analytics/", nginx.address)).call().ok()
        });
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// Asks for the live stream as the page does, and returns its first event.
const FIRST_EVENT: &str = "
    const token = Object.values({ ...sessionStorage })[0];
    const abort = new AbortController();
    (async () => {
        const headers = { Accept: 'text/event-stream', Authorization: `Bearer ${token}` };
        const answer = await fetch('api/live', { headers, signal: abort.signal });
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        let read = '';
        while (!/data:.*\\n/.test(read)) read += (await reader.read()).value;
        abort.abort();
        return [answer.headers.get('Content-Type'), read];
    })().then(done, (error) => done(String(error)));";

#[test]
fn the_dashboard_works_below_a_path_behind_nginx() {
    let marketplace = Marketplace::with(&[("API_BASE_PATH", "/analytics")]);
    let nginx = Nginx::in_front_of(&marketplace.api.address);
    let browser = Browser::start();
    let link = marketplace.admin("/analytics/?period=all").replace(&marketplace.api.address, &nginx.address);
    browser.open(&link);
    browser.until(SHOWN);
    assert_eq!(browser.run("return location.href"), format!("http://{}/analytics/?period=all", nginx.address));
    let views = browser.run(&format!("return {}", value("total_views"))).as_i64().unwrap();
    assert_eq!(views, marketplace.get("/analytics/api/metrics/total_views")["value"].as_i64().unwrap());

    let first = browser.run_async(FIRST_EVENT);
    assert!(first[0].as_str().is_some_and(|kind| kind.starts_with("text/event-stream")), "{first}");
    assert!(first[1].as_str().unwrap().contains("asOf"), "{first}");
    marketplace.service.send(&[view()]);
    browser.within(Duration::from_secs(3), &format!("{} === {}", value("total_views"), views + 1));

    browser.click("nav a[href='/analytics/events']");
    browser.until("document.querySelectorAll('tbody tr').length > 10");
    browser.run("history.back()");
    browser.until(SHOWN);
    browser.run("location.href = 'sellers/v-1?period=all'");
    browser.until("document.querySelector('[data-metric=\"seller_orders:v-1\"]') !== null");
    assert_eq!(browser.violations(), json!([]));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
