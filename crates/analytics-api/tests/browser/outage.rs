//! What the page says when nothing is counted, and when the API is away.

use crate::browser::Browser;
use crate::live::value;
use crate::marketplace::{Marketplace, SHOWN};

/// Returns how many times of day the text of an element names.
fn times(browser: &Browser, selector: &str) -> usize {
    browser.text(selector).split_whitespace().filter(|word| word.matches(':').count() == 2).count()
}

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
    assert_eq!(times(&browser, ".banner.warn"), 1, "it says until when everything is counted");
    assert_eq!(browser.run(&format!("return {}", value("total_views"))), views);

    marketplace.api.kill();
    browser.until("document.querySelector('.banner.bad') !== null");
    assert_eq!(times(&browser, ".banner.bad"), 2, "it says since when there is no answer, and of when the numbers are");
    assert_eq!(browser.run("return document.querySelector('[data-freshness]').dataset.freshness"), "stalled");
    assert_eq!(browser.run(&format!("return {}", value("total_views"))), views);
}
