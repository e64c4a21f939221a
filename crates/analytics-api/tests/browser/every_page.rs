//! What is true of every page: no errors, nothing against its policy, accessible in light, in dark
//! and on a phone.

use analytics_testkit::broker::Message;
use analytics_testkit::service::STATEMENT_KEY;
use serde_json::{Value, json};
use shared_auth::EmbedKey;

use crate::browser::Browser;
use crate::marketplace::{EMBED_KEY, Marketplace};
use crate::reconciling;
use crate::signing_in::COMPLETE;
use crate::statements;

/// Returns the source of axe, which finds what is hard to use for people with disabilities.
pub(crate) fn axe() -> String {
    let path = std::env::var("TEST_AXE").expect("TEST_AXE is set; scripts/test installs axe-core and sets it");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("TEST_AXE={path}: {error}"))
}

/// Returns serious and critical findings: what each is about, and the elements.
const FINDINGS: &str = "
    axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations
        .filter(({ impact }) => ['serious', 'critical'].includes(impact))
        .map(({ id, nodes }) => [id, ...nodes.slice(0, 5).map(({ html, failureSummary }) => `${html}: ${failureSummary}`)])),
        (error) => done([String(error)]));";

/// Asserts everything about the page as it is now.
pub(crate) fn check(browser: &Browser, what: &str, axe: &str) {
    for (look, scheme, width) in [("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 360)] {
        browser.prefer(scheme);
        browser.resize(width, 900);
        browser.until(COMPLETE);
        if browser.run("return typeof axe") == "undefined" {
            browser.run(axe);
        }
        assert_eq!(browser.run_async(FINDINGS), json!([]), "{what}, {look}");
        let wide = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "{what}, {look}: {wide} pixels wide");
    }
    assert_eq!(browser.violations(), json!([]), "{what}");
    assert_eq!(browser.complaints(), Vec::<String>::new(), "{what}");
    browser.prefer("light");
    browser.resize(1280, 900);
}

#[test]
fn every_page_is_without_errors_and_accessible_in_light_and_dark_and_on_a_phone() {
    let axe = axe();
    let marketplace = Marketplace::with(&[("API_MODE", "read-write"), ("STATEMENT_SIGNING_KEY", STATEMENT_KEY)]);
    marketplace.service.send(&["{", "[]"].map(|broken| Message::json("rating.updated", broken)));
    marketplace.service.wait_all_consumed();
    reconciling::count_orders(&marketplace);
    statements::count(&marketplace.service, &[statements::order("in-time", 1), statements::present_order("now")]);
    statements::close(&marketplace.service);
    statements::count(&marketplace.service, &[statements::order("late", 2)]);
    statements::close(&marketplace.service);
    marketplace.service.done(&["verify", "--full"]);
    let (token, _) = EmbedKey::new(EMBED_KEY.as_bytes(), "analytics").unwrap().mint("v-1", 900);
    let site = format!("http://{}", marketplace.api.address);
    let browser = Browser::start();
    let letter = marketplace.get("/api/dead-letters?limit=1")["items"][0]["id"].clone();
    let event = marketplace.get("/api/events?limit=1")["items"][0]["id"].clone();
    for (what, address, shown) in [
        ("signing in", format!("{site}/"), "form"),
        ("the overview", marketplace.admin("/?period=all"), ".grid [data-metric]"),
        ("a panel", marketplace.seller("/?period=all", "v-1"), ".grid [data-metric]"),
        ("statements", marketplace.seller(statements::PAGE, "v-s"), "[data-month] [data-metric]"),
        ("no statements", marketplace.seller("/sellers/v-none/statements", "v-none"), ".card .empty"),
        ("a statement", marketplace.seller(statements::OCTOBER, "v-s"), "[data-delta]"),
        ("an earlier version", marketplace.admin(&format!("{}?version=1", statements::OCTOBER)), "p.replaced"),
        ("months", marketplace.admin("/months"), "[data-month]"),
        ("comparing a list", marketplace.seller(reconciling::PAGE, "v-list"), "input[type=file]"),
        ("events", marketplace.admin("/events"), "tbody tr"),
        ("an event", marketplace.admin(&format!("/events?event={}", text(&event))), "dialog pre"),
        ("dead letters", marketplace.admin("/dead-letters"), "tbody tr"),
        ("a dead letter", marketplace.admin(&format!("/dead-letters?letter={}", text(&letter))), "dialog"),
        ("proofs", marketplace.admin("/proofs"), "tbody tr"),
        ("an embedded panel", format!("{site}/embed/seller?period=all#token={token}"), ".grid [data-metric]"),
        ("a widget", format!("{site}/embed/widget/revenue?period=all#token={token}"), "[data-metric]"),
    ] {
        browser.open(&address);
        browser.until(&format!("{COMPLETE} && document.querySelector({}) !== null", json!(shown)));
        check(&browser, what, &axe);
        if what == "a panel" {
            browser.click(".kpi [data-metric]");
            browser.until("document.querySelector('dialog .side[data-sum]') !== null");
            check(&browser, "the events behind a number", &axe);
        }
        if what == "comparing a list" {
            reconciling::drop_list(&browser, reconciling::LIST);
            check(&browser, "a compared list", &axe);
        }
        if what == "events" {
            browser.run("document.dispatchEvent(new KeyboardEvent('keydown', { key: '?', bubbles: true }))");
            browser.until("document.querySelector('dialog') !== null");
            check(&browser, "the keys", &axe);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
