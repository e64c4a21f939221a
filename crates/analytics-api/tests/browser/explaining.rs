//! Activating a number shows the events that it is made of.

use serde_json::Value;

use crate::browser::Browser;
use crate::live::{value, view};
use crate::marketplace::{Marketplace, SHOWN};

/// The script of a condition that all events of the opened number are there.
const READ: &str = "document.querySelectorAll('dialog .side').length > 0 \
                    && [...document.querySelectorAll('dialog .side')].every((side) => side.dataset.sum)";

/// Opens a number of the panel and returns, of each of its sides, the role and the sum of its rows.
fn open(browser: &Browser, metric: &str) -> Vec<(String, Vec<i64>, usize)> {
    browser.click(&format!(".kpi [data-metric=\"{metric}\"]"));
    browser.until(READ);
    let sides = browser.run(
        "return [...document.querySelectorAll('dialog .side')].map((side) => ({ role: side.dataset.side ?? '', \
         deltas: [...side.querySelectorAll('[data-delta]')].map((row) => JSON.parse(row.dataset.delta)) }))",
    );
    let of = |side: &Value| {
        let deltas = side["deltas"].as_array().unwrap();
        // A number, or the two numbers by which an event changes a quotient.
        let parts = |delta: &Value| match delta {
            Value::Object(parts) if parts.contains_key("numerator") => vec![&parts["numerator"], &parts["denominator"]]
                .into_iter()
                .map(|part| part.as_i64().unwrap())
                .collect(),
            Value::Object(parts) => vec![parts["sum"].as_i64().unwrap(), parts["count"].as_i64().unwrap()],
            delta => vec![delta.as_i64().unwrap(), 0],
        };
        let sum = deltas.iter().map(parts).fold(vec![0, 0], |sums, delta| vec![sums[0] + delta[0], sums[1] + delta[1]]);
        (side["role"].as_str().unwrap().to_owned(), sum, deltas.len())
    };
    sides.as_array().unwrap().iter().map(of).collect()
}

fn close(browser: &Browser) {
    browser.click("dialog .dialog-head button");
    browser.until("!document.querySelector('dialog')");
}

fn shown(browser: &Browser, metric: &str) -> i64 {
    browser.run(&format!("return {}", value(metric))).as_i64().unwrap()
}

/// Divides and rounds half up, as the API does.
const fn divided(numerator: i64, denominator: i64, scale: i64) -> i64 {
    (numerator * scale * 2 + denominator) / (denominator * 2)
}

#[test]
fn the_events_behind_a_number_sum_to_it_over_all_pages() {
    let marketplace = Marketplace::recorded();
    let browser = Browser::start();
    browser.open(&marketplace.admin("/?period=all"));
    browser.until(SHOWN);
    for metric in ["total_revenue", "total_orders", "total_units", "total_signups", "total_views"] {
        let sides = open(&browser, metric);
        assert_eq!((sides.len(), sides[0].1[0]), (1, shown(&browser, metric)), "{metric}");
        assert!(browser.text("dialog .outcome").contains('✓'), "{metric}");
        close(&browser);
    }
    for (metric, scale) in [("conversion", 10_000), ("averageOrder", 1)] {
        let sides = open(&browser, metric);
        assert_eq!((sides[0].0.as_str(), sides[1].0.as_str()), ("numerator", "denominator"));
        assert_eq!(divided(sides[0].1[0], sides[1].1[0], scale), shown(&browser, metric), "{metric}");
        close(&browser);
    }
    // The rate and the rating of a seller are metrics, whose events change both sides.
    browser.open(&marketplace.seller("/?period=all", "v-1"));
    browser.until(SHOWN);
    for (metric, scale) in [("conversion_rate:v-1", 10_000), ("seller_rating:v-1", 100)] {
        let sides = open(&browser, metric);
        assert_eq!(divided(sides[0].1[0], sides[0].1[1], scale), shown(&browser, metric), "{metric}");
        close(&browser);
    }
}

#[test]
fn the_events_sum_to_the_number_shown_although_more_were_counted_since() {
    let marketplace = Marketplace::open();
    let browser = Browser::start();
    browser.open(&marketplace.admin("/?period=all"));
    browser.until(SHOWN);
    browser.click("button[aria-pressed=false].quiet");
    browser.until("document.querySelector('.banner.note') !== null");
    let before = shown(&browser, "total_views");
    let views: Vec<_> = std::iter::repeat_with(view).take(150).collect();
    marketplace.service.send(&views);
    marketplace.service.wait_all_consumed();
    let now = marketplace.get("/api/metrics/total_views")["value"].as_i64().unwrap();
    assert_eq!(now, before + 150);
    let sides = open(&browser, "total_views");
    assert_eq!((sides[0].1[0], sides[0].2), (before, usize::try_from(before).unwrap()));
    assert_eq!(shown(&browser, "total_views"), before, "nothing changes while the page is paused");
    close(&browser);
    browser.click("button[aria-pressed=true].quiet");
    browser.until(&format!("{} === {now}", value("total_views")));
}
