//! New numbers on an open page.

use std::time::{Duration, Instant};

use analytics_testkit::broker::Message;

use crate::browser::Browser;
use crate::marketplace::{Marketplace, SHOWN};

/// A view of a product.
pub(crate) fn view() -> Message {
    Message::json("product.viewed", r#"{"productId":"p-1","vendorId":"v-1"}"#)
}

/// The script of the value of a number on the page.
pub(crate) fn value(metric: &str) -> String {
    format!("Number(document.querySelector('.kpi [data-metric=\"{metric}\"]').dataset.value)")
}

#[test]
fn an_event_shows_within_three_seconds_without_a_reload() {
    let marketplace = Marketplace::open();
    let browser = Browser::start();
    browser.open(&marketplace.admin("/?period=all"));
    browser.until(SHOWN);
    browser.until("document.querySelector('[data-freshness=live]') !== null");
    let views = value("total_views");
    let before = browser.run(&format!("window.isSame = true; return {views}")).as_i64().unwrap();
    browser.run("document.querySelector('.toolbar select').focus()");
    for more in 1..=3 {
        let sent = Instant::now();
        marketplace.service.send(&[view()]);
        browser.within(Duration::from_secs(3), &format!("{views} === {}", before + more));
        assert!(sent.elapsed() < Duration::from_secs(3), "{:?}", sent.elapsed());
    }
    assert_eq!(browser.run("return window.isSame && document.activeElement.matches('.toolbar select')"), true);
    assert_eq!(browser.run("return document.querySelector('[data-freshness]').dataset.freshness"), "live");
}
