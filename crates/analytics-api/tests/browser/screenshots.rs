//! The pictures of README, of the sample marketplace.

use std::path::Path;

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
const SEED: u64 = 17;

#[test]
#[ignore = "takes a minute and writes pictures; scripts/screenshots runs it"]
fn the_panels_of_the_sample_marketplace_are_pictured() {
    let folder = std::env::var("SCREENSHOTS").expect("SCREENSHOTS is the folder for the pictures");
    let service = Service::new(4);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    let named: Vec<Message> = names::events(Marketplace::SMALL, Utc::now()).collect();
    service.send(&named);
    let business = Business::parse("USD", "UTC").unwrap();
    let mut demo = Demo::new(SEED, business.base_currency);
    let times = Rhythm::new(SEED, business.calendar, last_days(business.calendar, DAYS, Utc::now()), EVENTS_PER_DAY);
    let history: Vec<Message> = times.map(|time| demo.event(time)).collect();
    service.send(&history);
    let _ingest = service.ingest();
    let api = service.api();
    service.wait_consumed(i64::try_from(named.len() + history.len()).unwrap());
    service.done(&["verify", "--full"]);
    let browser = Browser::start();
    for (name, token, path) in
        [("admin", token("admin", None), "/"), ("seller", token("seller", Some("v-1")), "/?period=30d")]
    {
        browser.open(&format!("http://{}{path}#token={token}", api.address));
        browser.until(SHOWN);
        browser.until(COMPLETE);
        browser.until("document.querySelector('[data-freshness=live]') !== null");
        browser.run("scrollTo(0, 0)");
        std::fs::write(Path::new(&folder).join(format!("dashboard-{name}.png")), browser.screenshot()).unwrap();
    }
}
