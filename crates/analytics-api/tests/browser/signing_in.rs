//! Signing in, and what a person then sees: the numbers of the API, and of nobody else's shop.

use analytics_testkit::client::{Client, token};
use analytics_testkit::recorded;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::live::value;
use crate::marketplace::{Marketplace, SHOWN};

/// The page below the fold is loaded when it comes near; it is complete when nothing is loading.
pub(crate) const COMPLETE: &str =
    "(scrollTo(0, document.body.scrollHeight), !document.querySelector('.below, .loading, [aria-busy]'))";

/// All numbers of the page, and those that a seller may ask the API for: not those of its products.
const NUMBERS: &str = "return [...document.querySelectorAll('[data-metric]')].map((number) => ({ ...number.dataset }))";
const OWN_NUMBERS: &str = "return [...document.querySelectorAll('[data-metric]')].filter((number) => \
                           !number.closest('.ranking')).map((number) => ({ ...number.dataset }))";

/// The script of a condition that the page says that there is nothing to see.
const NOTHING: &str = "document.querySelector('main .empty') !== null";

/// Asserts that these numbers of the page are the API's, for a person with this token. `summary` is
/// the answer that the page is drawn from; it has the quotients that are no metrics. Returns how
/// many numbers there are.
fn compare(browser: &Browser, numbers: &str, client: &Client, summary: &Value) -> usize {
    let numbers = browser.run(numbers);
    let numbers = numbers.as_array().unwrap();
    for number in numbers {
        let of = |name: &str| number[name].as_str().unwrap_or_else(|| panic!("{name}: {number}"));
        let shown: Value = serde_json::from_str(of("value")).unwrap();
        let name = of("metric").split(':').next().unwrap();
        if ["averageOrder", "conversion"].contains(&name) {
            if of("from") == summary["from"] && of("to") == summary["to"] {
                assert_eq!(shown, summary["metrics"][name]["value"], "{number}");
            }
            continue;
        }
        let metric = utf8_percent_encode(of("metric"), NON_ALPHANUMERIC);
        let (status, series) = client.get(&format!("/api/metrics/{metric}/series?from={}&to={}", of("from"), of("to")));
        assert_eq!(status, 200, "{number}: {series}");
        assert_eq!(shown, series["total"], "{number}: {series}");
    }
    numbers.len()
}

fn storage(browser: &Browser) -> (String, Value) {
    let kept = browser.run("return [JSON.stringify({ ...sessionStorage }), { ...localStorage }, document.cookie]");
    assert_eq!((&kept[1], &kept[2]), (&json!({}), &json!("")));
    (kept[0].as_str().unwrap().to_owned(), browser.run("return location.href"))
}

#[test]
fn an_admin_signs_in_by_a_link_and_sees_the_numbers_of_the_api() {
    let marketplace = Marketplace::recorded();
    let browser = Browser::start();
    browser.open(&marketplace.admin("/?period=all"));
    browser.until(SHOWN);
    let (kept, address) = storage(&browser);
    assert_eq!(address, format!("http://{}/?period=all", marketplace.api.address), "the token left the address");
    assert!(kept.contains("analytics-token"), "{kept}");
    browser.until(COMPLETE);
    let overview = marketplace.get("/api/overview?period=all");
    let compared = compare(&browser, NUMBERS, &Client::admin(&marketplace.api.address), &overview);
    assert!(compared > 20, "{compared}");
    let recorded = recorded::expected();
    for metric in ["total_revenue", "total_orders", "total_units", "total_views", "total_signups"] {
        assert_eq!(browser.run(&format!("return {}", value(metric))), recorded["metrics"][metric], "{metric}");
    }
    // The session lasts as long as the tab.
    browser.run("location.reload()");
    browser.until(SHOWN);
    browser.click(".status button:last-child");
    browser.until("document.querySelector('.sign-in') !== null");
    assert_eq!(storage(&browser).0, "{}", "signing out forgets the token");
}

#[test]
fn a_seller_sees_its_own_panel_and_no_number_of_another_one() {
    let marketplace = Marketplace::open();
    let browser = Browser::start();
    browser.open(&marketplace.seller("/?period=all", "v-1"));
    browser.until(SHOWN);
    browser.until(COMPLETE);
    let client = Client::seller(&marketplace.api.address, "v-1");
    let (_, summary) = client.get("/api/sellers/v-1/summary?period=all");
    assert!(compare(&browser, OWN_NUMBERS, &client, &summary) > 20);
    // With the session of the tab, and with the token in the link.
    let with_token = format!("/sellers/v-2#token={}", token("seller", Some("v-1")));
    for path in ["/sellers/v-2?period=all", &with_token] {
        browser.open(&format!("http://{}{path}", marketplace.api.address));
        browser.until(NOTHING);
        assert_eq!(browser.run(NUMBERS), json!([]), "{path}");
    }
    for path in ["/months", "/events", "/dead-letters", "/proofs"] {
        browser.open(&format!("http://{}{path}", marketplace.api.address));
        browser.until(NOTHING);
        assert_eq!(browser.run(NUMBERS), json!([]), "{path}");
    }
}
