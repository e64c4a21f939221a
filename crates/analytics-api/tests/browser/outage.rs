//! What the page says when nothing is counted, and when the API is away.

use crate::browser::Browser;
use crate::live::value;
use crate::marketplace::{Marketplace, SHOWN};

#[test]
fn without_ingest_and_without_the_api_the_numbers_stay_with_their_time() {
    let mut marketplace = Marketplace::open();
    let browser = Browser::start();
    browser.open(&marketplace.admin("/?period=all"));
    browser.until(SHOWN);
    browser.until("document.querySelector('[data-freshness=live]') !== null");
    let views = browser.run(&format!("return {}", value("total_views")));
    assert!(views.as_i64().unwrap() > 0);

    marketplace.ingest.kill();
    // As if half a minute had passed, after which a worker that does not report is taken for dead.
    marketplace.service.database.execute(
        "UPDATE ingest_offsets SET updated_at = updated_at - interval '1 minute', \
         ends_known_at = ends_known_at - interval '1 minute', caught_up_at = caught_up_at - interval '1 minute'",
    );
    browser.until("document.querySelector('[data-freshness=stalled]') !== null");
    let said = browser.text(".banner");
    assert!(said.contains("Counting has stopped: everything until "), "{said}");
    assert_eq!(browser.run(&format!("return {}", value("total_views"))), views);

    marketplace.api.kill();
    browser.until("document.querySelector('.banner.bad') !== null");
    let said = browser.text(".banner");
    assert!(said.starts_with("The server does not answer since "), "{said}");
    assert!(said.contains("The numbers are those of "), "{said}");
    assert_eq!(browser.run("return document.querySelector('[data-freshness]').dataset.freshness"), "stalled");
    assert_eq!(browser.run(&format!("return {}", value("total_views"))), views);
}
