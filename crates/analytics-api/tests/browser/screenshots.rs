//! The pictures of README, of the sample marketplace: `scripts/screenshots` sets `SCREENSHOTS` to their
//! folder. In a test run they show fewer events, and are thrown away.

use std::path::PathBuf;

use analytics_core::business::Business;
use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::token;
use analytics_testkit::names;
use analytics_testkit::service::Service;
use analytics_testkit::traffic::Marketplace;
use analytics_testkit::traffic::demo::Demo;
use analytics_testkit::traffic::rhythm::{Rhythm, last_days};
use chrono::Utc;

use crate::browser::Browser;
use crate::marketplace::SHOWN;
use crate::signing_in::COMPLETE;

// As scripts/quickstart.
const DAYS: u32 = 60;
const EVENTS_PER_DAY: f64 = 6_000.0;
const EVENTS_PER_DAY_OF_A_TEST: f64 = 100.0;
const SEED: u64 = 17;

#[test]
fn the_panels_of_the_sample_marketplace_are_pictured() {
    let folder = std::env::var_os("SCREENSHOTS").map(PathBuf::from);
    let events_per_day = if folder.is_some() { EVENTS_PER_DAY } else { EVENTS_PER_DAY_OF_A_TEST };
    let service = Service::new(4);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    let named: Vec<Message> = names::events(Marketplace::SMALL, Utc::now()).collect();
    service.send(&named);
    let business = Business::parse("USD", "UTC").unwrap();
    let mut demo = Demo::new(SEED, business.base_currency).with_reversals();
    let times = Rhythm::new(SEED, business.calendar, last_days(business.calendar, DAYS, Utc::now()), events_per_day);
    let history: Vec<Message> = times.map(|time| demo.event(time)).collect();
    service.send(&history);
    let _ingest = service.ingest();
    let api = service.api();
    service.wait_consumed(i64::try_from(named.len() + history.len()).unwrap());
    service.done(&["verify", "--full"]);
    let number = |query: &str| service.database.number(query).unwrap();
    assert!(number("SELECT value FROM metrics WHERE type = 'total_refunds'") > 0);
    assert_eq!(number("SELECT count(*) FROM reversals WHERE order_id IS NULL"), 0);
    let browser = Browser::start();
    for (name, token, path) in
        [("admin", token("admin", None), "/"), ("seller", token("seller", Some("v-1")), "/?period=30d")]
    {
        browser.open(&format!("http://{}{path}#token={token}", api.address));
        browser.until(SHOWN);
        browser.until(COMPLETE);
        browser.until("document.querySelector('[data-freshness=live]') !== null");
        browser.run("scrollTo(0, 0)");
        let picture = browser.screenshot();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{} bytes", picture.len());
        if let Some(folder) = &folder {
            std::fs::write(folder.join(format!("dashboard-{name}.png")), picture).unwrap();
        }
    }
}
