//! Months that are closed: a seller reads its statements, sees what came later, and sees those of nobody else.

use analytics_testkit::broker::{self, Message};
use analytics_testkit::client::Client;
use analytics_testkit::service::{STATEMENT_KEY, Service};
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::marketplace::Marketplace;

/// The page of a seller's statements, and that of one of them.
pub(crate) const PAGE: &str = "/sellers/v-s/statements";
pub(crate) const OCTOBER: &str = "/sellers/v-s/statements/2026-10";
/// The same in the API.
const LIST: &str = "/api/sellers/v-s/statements";
const STATEMENT: &str = "/api/sellers/v-s/statements/2026-10";

const NUMBERS: [&str; 6] = ["orders", "units", "gross", "refunds", "adjustments", "net"];

/// An order of the seller in two currencies, on a day of October.
pub(crate) fn order(id: &str, day: u32) -> Message {
    placed(id, &format!("2026-10-{day:02}T12:00:00Z"))
}

/// The same of now, in a month that is not closed.
pub(crate) fn present_order(id: &str) -> Message {
    placed(id, &Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn placed(id: &str, at: &str) -> Message {
    let item = |total: &str, currency: &str| json!({ "productId": "tea", "vendorId": "v-s", "totalPrice": total, "currency": currency });
    let items = [item("1234.50", "USD"), item("700", "JPY")];
    Message::json("order.created", json!({ "orderId": id, "items": items, "placedAt": at }))
}

/// Sends messages and waits until they are counted.
pub(crate) fn count(service: &Service, messages: &[Message]) {
    let before = service.consumed();
    service.send(messages);
    service.wait_consumed(before + i64::try_from(messages.len()).unwrap());
}

/// Closes October, and calculates the months of the marketplace.
pub(crate) fn close(service: &Service) {
    service.done(&["statements", "close", "--month", "2026-10", "--accept-gaps"]);
    service.done(&["months"]);
}

/// A seller with a statement of October, and an order of today.
fn marketplace() -> Marketplace {
    let mut service = Service::new(1);
    broker::create_topics(&service.broker, &broker::optional_topics(&service.prefix), 1);
    service.set("STATEMENT_SIGNING_KEY", STATEMENT_KEY);
    let ingest = service.ingest();
    count(&service, &[order("o-1", 1), order("o-2", 1), order("o-3", 20), present_order("o-4")]);
    let at = "2026-10-02T12:00:00Z";
    let view = json!({ "productId": "tea", "vendorId": "v-s", "viewedAt": at });
    let rating = json!({ "ratingId": "s", "userId": "u", "vendorId": "v-s", "rating": 4, "updatedAt": at });
    count(&service, &[Message::json("product.viewed", view), Message::json("rating.updated", rating)]);
    close(&service);
    let api = service.api();
    Marketplace { service, ingest, api }
}

/// Counts an order and a refund of October, and closes it again.
fn restate(marketplace: &Marketplace) {
    let refund = json!({ "refundId": "r", "orderId": "o-1", "amount": "34.56", "currency": "USD", "refundedAt": "2026-10-09T12:00:00Z" });
    count(&marketplace.service, &[order("o-5", 1), Message::json("order.refunded", refund)]);
    close(&marketplace.service);
}

/// Asserts that the page shows a version of the statement: each day and each sum of each currency.
fn assert_shown(browser: &Browser, statement: &Value) {
    browser.until(&format!("document.querySelector('[data-version=\"{}\"]') !== null", statement["version"]));
    let mut expected = Vec::new();
    for currency in statement["currencies"].as_array().unwrap() {
        let row = |day: &Value, figures: &Value| {
            let numbers: Vec<String> = NUMBERS.iter().map(|name| figures[*name].to_string()).collect();
            json!([currency["currency"], day, numbers])
        };
        expected.extend(currency["lines"].as_array().unwrap().iter().map(|line| row(&line["day"], line)));
        expected.push(row(&json!("sum"), currency));
    }
    let shown = browser.run(
        "return [...document.querySelectorAll('table[data-currency] [data-day]')].map((row) => \
         [row.closest('table').dataset.currency, row.dataset.day, [...row.querySelectorAll('td')].map((cell) => cell.dataset.value)])",
    );
    assert_eq!(shown, json!(expected));
    for name in ["digest", "previousDigest", "signature", "key", "eventsDigest"] {
        let title = format!("return document.querySelector('[data-seal={name}] code')?.title ?? null");
        assert_eq!(browser.run(&title), statement[name], "{name}");
    }
}

/// Asserts that the page shows conversion and ratings of the statement.
fn assert_rates_shown(browser: &Browser, statement: &Value) {
    let (conversion, ratings) = (&statement["conversion"], &statement["ratings"]);
    let number = |selector: &str| {
        browser.run(&format!("return Number(document.querySelector('[{selector}]')?.dataset.value ?? NaN)"))
    };
    for (name, value) in [
        ("conversion", &conversion["value"]),
        ("orders", &conversion["orders"]),
        ("views", &conversion["views"]),
        ("rating", &ratings["value"]),
        ("count", &ratings["count"]),
        ("sum", &ratings["sum"]),
    ] {
        assert_eq!(&number(&format!("data-rate={name}")), value, "{name}");
    }
    for stars in ["1", "2", "3", "4", "5"] {
        assert_eq!(number(&format!("data-stars=\"{stars}\"")), ratings["histogram"][stars], "{stars}");
    }
}

/// The amounts of gross, refunds and net in the row of a month, and those of an item of the API.
fn amounts(browser: &Browser, month: &str) -> Value {
    browser.until(&format!("document.querySelector('[data-month=\"{month}\"]') !== null"));
    browser.run(&format!(
        "return [...document.querySelectorAll('[data-month=\"{month}\"] data')].map((amount) => Number(amount.value))"
    ))
}

fn amounts_of(item: &Value) -> Value {
    let currencies = item["currencies"].as_array().unwrap();
    json!(
        ["gross", "refunds", "net"]
            .map(|name| currencies.iter().map(|one| one[name].clone()).collect::<Vec<_>>())
            .concat()
    )
}

/// The files that the page saves from now on are kept in `window.saved`.
const KEEP_FILES: &str = "window.saved = []; const make = URL.createObjectURL; \
     URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved.push(text); }); return make(blob); }";

#[test]
fn a_closed_month_is_shown_as_the_api_has_it_and_a_late_event_as_a_restatement() {
    let marketplace = marketplace();
    let browser = Browser::start();
    browser.open(&marketplace.seller("/?period=all", "v-s"));
    browser.click(&format!("a[href=\"{PAGE}\"]"));
    let heads = marketplace.get(LIST);
    assert_eq!(amounts(&browser, "2026-10"), amounts_of(&heads["items"][0]));
    let row = browser.text("[data-month=\"2026-10\"]");
    for part in ["October 2026", "closed", "$3,703.50", "\u{a5}2,100"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    assert!(browser.text("main").contains("not a payout"));
    // A month that is not over has no statement, and its numbers lead to their events.
    let present = "document.querySelector('[data-month]:not([data-month=\"2026-10\"])')";
    browser.until(&format!("{present}?.querySelectorAll('[data-metric]').length === 6"));
    assert!(browser.run(&format!("return {present}.innerText")).as_str().unwrap().contains("not closed yet"));
    let numbers = browser.run(&format!(
        "return [...{present}.querySelectorAll('[data-metric]')].map((number) => [number.dataset.metric, Number(number.dataset.value)])"
    ));
    let of =
        |name: &str, usd: i64, jpy: i64| [json!([format!("{name}:v-s:JPY"), jpy]), json!([format!("{name}:v-s"), usd])];
    let today =
        [of("seller_revenue", 123_450, 700), of("seller_refunds", 0, 0), of("seller_net_revenue", 123_450, 700)];
    assert_eq!(numbers, json!(today.concat()));

    browser.click("[data-month=\"2026-10\"] a");
    let first = marketplace.get(STATEMENT);
    assert_shown(&browser, &first);
    assert_rates_shown(&browser, &first);
    assert_eq!((&first["conversion"]["value"], &first["ratings"]["value"]), (&json!(30_000), &json!(400)));
    assert_eq!(browser.text("[data-rate=conversion]"), "300.00%");
    assert_eq!(first["currencies"][1]["net"], 370_350);
    assert_eq!(browser.run("return document.querySelector('.restatement')"), Value::Null);

    restate(&marketplace);
    browser.run("location.reload()");
    let second = marketplace.get(STATEMENT);
    assert_eq!((&second["version"], second["restatement"]["events"].as_array().unwrap().len()), (&json!(2), 3));
    assert_shown(&browser, &second);
    assert_rates_shown(&browser, &second);
    let said = browser.text(".restatement");
    assert!(said.contains("Version 2 restates version 1: these 2 events came later."), "{said}");
    let late = browser.run(
        "return [...document.querySelectorAll('.restatement [data-delta]')].map((row) => \
         [row.dataset.event, row.children[0].innerText, Number(row.dataset.delta), row.children[2].innerText, row.children[3].innerText])",
    );
    let written = |event: &Value| match event["delta"].as_i64().unwrap() {
        123_450 => "+$1,234.50",
        700 => "+\u{a5}700",
        -3_456 => "-$34.56",
        other => panic!("{other}"),
    };
    let events = second["restatement"]["events"].as_array().unwrap().iter();
    let expected: Vec<Value> = events
        .map(|event| json!([event["id"], event["type"], event["delta"], written(event), event["currency"]]))
        .collect();
    assert_eq!(late, json!(expected));
    let changes = browser.run(
        "return [...document.querySelectorAll('.restatement [data-change]')].map((row) => [row.dataset.change, row.children[2].innerText])",
    );
    assert_eq!(changes, json!([["JPY", "+\u{a5}700"], ["USD", "+$1,199.94"]]));
    assert!(browser.text("main").contains("The month was closed although it was not proved:"));
    // A seller finds the event among those of its day.
    browser.click(".restatement [data-delta] button");
    browser.until("document.querySelector('dialog .side[data-sum]') !== null");
    let asked = browser.run("return document.querySelector('dialog tr.asked').dataset.event");
    assert_eq!(asked, expected[0][0]);
    browser.click("dialog .dialog-head button");

    // The version before is still there, as it was.
    browser.run(
        "const choice = document.querySelector('.toolbar select'); choice.value = '1'; \
         choice.dispatchEvent(new Event('change', { bubbles: true }))",
    );
    assert_shown(&browser, &first);
    assert!(browser.text("p.replaced").contains("version 2 has replaced it"));
    // Its numbers lead to the events that it includes, without those that came later.
    browser.click("table[data-currency=USD] [data-day=\"2026-10-01\"] .num");
    browser.until("document.querySelector('dialog .side[data-sum]') !== null");
    let said = browser.text("dialog .outcome");
    assert!(said.contains("2 events, which sum to $2,469.00."), "{said}");
    browser.click("dialog .dialog-head button");
    browser.run(KEEP_FILES);
    browser.click(".toolbar .tools button");
    browser.until("window.saved.length === 1");
    browser.click(".toolbar .tools button:last-child");
    browser.until("window.saved.length === 2");
    let client = Client::admin(&marketplace.api.address);
    for (index, path) in ["?version=1&format=csv", "/page?version=1"].iter().enumerate() {
        let answer = client.answer(&format!("{STATEMENT}{path}"), &[]);
        assert_eq!(browser.run(&format!("return window.saved[{index}]")), json!(answer.body()));
    }
    browser.click(".head a");
    assert_eq!(amounts(&browser, "2026-10"), amounts_of(&second));
    assert!(browser.text("[data-month=\"2026-10\"]").contains("restated"));
    assert_eq!(browser.violations(), json!([]));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_seller_sees_no_statement_of_another_one() {
    let marketplace = marketplace();
    let browser = Browser::start();
    for page in [PAGE, OCTOBER] {
        for address in
            [marketplace.seller(page, "v-1"), marketplace.role("buyer", page), marketplace.role("support", page)]
        {
            browser.open(&address);
            browser.until("document.querySelector('main .empty') !== null");
            assert_eq!(
                browser.run("return document.querySelector('main table, [data-version]')"),
                Value::Null,
                "{address}"
            );
        }
    }
    browser.open(&marketplace.seller("/sellers/v-1/statements", "v-1"));
    browser.until("document.querySelector('.card .empty')?.innerText.startsWith('No statement yet.')");
    browser.open(&marketplace.seller("/sellers/v-s/statements/2026-09", "v-s"));
    browser.until("document.querySelector('main > .empty')?.innerText.includes('the month is not closed yet')");
}

#[test]
fn an_admin_sees_the_months_and_reaches_the_statements_of_a_seller() {
    let marketplace = marketplace();
    restate(&marketplace);
    let browser = Browser::start();
    browser.open(&marketplace.admin("/?period=all"));
    browser.click("nav a[href='/months']");
    let months = marketplace.get("/api/months");
    let months = months["items"].as_array().unwrap();
    assert_eq!((months.len(), &months[1]["month"], &months[1]["state"]), (2, &json!("2026-10"), &json!("closed")));
    for month in months {
        let name = month["month"].as_str().unwrap();
        assert_eq!(amounts(&browser, name), amounts_of(month));
        let counts = browser.run(&format!(
            "return [...document.querySelectorAll('[data-month=\"{name}\"] [data-value]')].map((cell) => Number(cell.dataset.value))"
        ));
        let expected = ["orders", "units", "cancelledOrders", "views", "signups"].map(|name| month[name].clone());
        assert_eq!(counts, json!(expected));
        assert!(browser.text(&format!("[data-month=\"{name}\"]")).contains(month["state"].as_str().unwrap()));
    }
    let order = browser.run("return [...document.querySelectorAll('[data-month]')].map((row) => row.dataset.month)");
    assert_eq!(order[1], "2026-10", "the last month is the first: {order}");

    browser.open(&marketplace.admin("/sellers/v-s?period=all"));
    browser.click(&format!("a[href=\"{PAGE}\"]"));
    browser.click("[data-month=\"2026-10\"] a");
    assert_shown(&browser, &marketplace.get(STATEMENT));
    browser.click(".restatement [data-delta] a");
    browser.until("document.querySelector('dialog .payload') !== null");
    // Support sees the months, too. Statements are not for it.
    browser.open(&marketplace.role("support", "/months"));
    assert_eq!(amounts(&browser, "2026-10"), amounts_of(&months[1]));
    browser.open(&marketplace.role("support", "/sellers/v-s?period=all"));
    browser.until(crate::marketplace::SHOWN);
    browser.until(crate::signing_in::COMPLETE);
    assert_eq!(browser.run(&format!("return document.querySelector('a[href^=\"{PAGE}\"]')")), Value::Null);
}
