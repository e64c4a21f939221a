//! A seller's panel inside a page of another site.

use analytics_testkit::client::Client;
use serde_json::json;
use shared_auth::EmbedKey;

use crate::browser::Browser;
use crate::live::value;
use crate::marketplace::{EMBED_KEY, Marketplace, SHOWN};
use crate::portal::Portal;

#[test]
fn a_page_of_an_allowed_origin_shows_the_panel_and_renews_its_token() {
    let portal = Portal::new();
    let marketplace = Marketplace::with(&[("EMBED_ORIGINS", &portal.origin)]);
    let (status, minted) =
        Client::admin(&marketplace.api.address).post("/api/embed-tokens", &json!({ "vendorId": "v-1" }));
    assert_eq!(status, 201, "{minted}");
    let browser = Browser::start();
    // The API mints none that ends so soon.
    let (short, _) = EmbedKey::new(EMBED_KEY.as_bytes(), "analytics").unwrap().mint("v-1", 8);
    portal.embed(&marketplace.api.address, &[&short, minted["token"].as_str().unwrap()]);
    browser.open(&portal.origin);
    browser.enter_frame();
    browser.until(SHOWN);
    let orders = browser.run(&format!("return {}", value("seller_orders:v-1")));
    let summary = marketplace.get("/api/sellers/v-1/summary?period=all");
    assert_eq!(orders, summary["metrics"]["orders"]["value"]);
    let stored = "return [JSON.stringify({ ...sessionStorage }), JSON.stringify({ ...localStorage }), document.cookie]";
    assert_eq!(browser.run(stored), json!(["{}", "{}", ""]));
    assert_eq!(browser.violations(), json!([]));
    browser.leave_frame();

    browser.until("messages.length > 1");
    let types = browser.run("return messages.map(({ type }) => type)");
    assert_eq!(types, json!(["analytics-ready", "analytics-token-expiring"]));
    browser.until("Date.parse(messages[1].expiresAt) + 1000 < Date.now()");
    marketplace.service.send(&[crate::live::view()]);
    browser.enter_frame();
    let views = summary["metrics"]["views"]["value"].as_i64().unwrap();
    browser.until(&format!("{} === {}", value("seller_views:v-1"), views + 1));
    // The session goes on. While ingest starts, the banner may say that it is not known how far it came.
    browser.until("!document.querySelector('.banner')?.textContent");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_page_of_another_origin_may_not_show_the_panel() {
    let (portal, foreign) = (Portal::new(), Portal::new());
    let marketplace = Marketplace::with(&[("EMBED_ORIGINS", &portal.origin)]);
    let (token, _) = EmbedKey::new(EMBED_KEY.as_bytes(), "analytics").unwrap().mint("v-1", 900);
    foreign.embed(&marketplace.api.address, &[&token]);
    let browser = Browser::start();
    browser.open(&foreign.origin);
    let complaints = browser.complaints();
    assert!(complaints.iter().any(|said| said.contains("frame-ancestors")), "{complaints:?}");
    assert_eq!(browser.run("return messages"), json!([]));
    browser.enter_frame();
    assert_eq!(browser.run("return document.querySelector('#app')"), json!(null));
}
