//! Anomalies: who sees which, what an admin says about one, and where charts have one.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::every_page::{axe, check};
use crate::marketplace::{Marketplace, SHOWN};

/// Anomalies of the marketplace and of two sellers, on the day with the most orders.
const ANOMALIES: &str = "
    INSERT INTO anomalies (type, vendor_id, granularity, verdict, state, from_time, to_time, judged_until, observed,
        expected, lower, upper, confidence, acknowledged_at, acknowledged_by, comment)
    SELECT type, vendor, 'd', verdict, state, day, day + interval '1 day', day + interval '1 day', 1234.0, 2000.4,
        1500, 2500, 0.99, CASE WHEN state = 'acknowledged' THEN now() END, CASE WHEN state = 'acknowledged' THEN 'ann' END,
        CASE WHEN state = 'acknowledged' THEN 'a pause' END
    FROM (VALUES
        ('total_orders', NULL, 'drop', 'open'),
        ('total_views', NULL, 'drop', 'resolved'),
        ('freshness', NULL, 'delayed', 'open'),
        ('events:rating.updated', NULL, 'surge', 'open'),
        ('seller_revenue:v-1', 'v-1', 'drop', 'open'),
        ('product_views:p-1%3Ax', 'v-1', 'surge', 'acknowledged'),
        ('seller_orders:v-2', 'v-2', 'drop', 'open')) AS a (type, vendor, verdict, state),
        (SELECT bucket_start FROM rollups WHERE granularity = 'd' AND scope = 't' AND currency = '' ORDER BY orders DESC NULLS LAST
            LIMIT 1) AS d (day)";

fn marketplace(mode: &str) -> Marketplace {
    let marketplace = Marketplace::with(&[("API_MODE", mode)]);
    marketplace.service.database.execute(ANOMALIES);
    marketplace
}

/// The titles of the card, in order.
fn titles(browser: &Browser) -> Value {
    // What is above it may still grow.
    browser.until("(scrollTo(0, document.body.scrollHeight), document.querySelector('.anomaly') !== null)");
    browser.run("return [...document.querySelectorAll('.anomaly strong')].map((title) => title.innerText).sort()")
}

#[test]
fn an_admin_sees_all_anomalies_and_acknowledges_one() {
    let marketplace = marketplace("read-write");
    let browser = Browser::start();
    browser.open(&marketplace.admin("/?period=all"));
    browser.until(SHOWN);
    browser.run("scrollTo(0, document.body.scrollHeight)");
    let all = json!(["Events rating.updated", "Freshness", "Orders", "Orders, v-2", "Revenue, v-1", "Views, p-1:x"]);
    assert_eq!(titles(&browser), all);
    let text = browser.text(".anomalies");
    for part in ["drop: 1,234 instead of 2,000", "drop: $12.34 instead of $20.00", "acknowledged by ann: a pause"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    browser.click("button[aria-label='Acknowledge: Orders']");
    browser.until("document.querySelector('dialog textarea') !== null");
    check(&browser, "acknowledging", &axe());
    browser.run(
        "const text = document.querySelector('dialog textarea'); text.value = 'a <b>sale</b>'; \
         text.dispatchEvent(new Event('input', { bubbles: true }))",
    );
    browser.click("dialog [type=submit]");
    browser.until("!document.querySelector('dialog')");
    browser.until("document.querySelector('.anomalies').innerText.includes('a <b>sale</b>')");
    let stored = "SELECT concat_ws(' ', state, comment) FROM anomalies WHERE type = 'total_orders'";
    assert_eq!(marketplace.service.database.lines(stored), ["acknowledged a <b>sale</b>"]);
    check(&browser, "anomalies", &axe());
}

#[test]
fn a_seller_sees_its_own_and_acknowledges_nothing() {
    let marketplace = marketplace("read-write");
    let browser = Browser::start();
    for address in [marketplace.seller("/?period=all", "v-1"), marketplace.admin("/sellers/v-1?period=all")] {
        browser.open(&address);
        browser.until(SHOWN);
        browser.run("scrollTo(0, document.body.scrollHeight)");
        assert_eq!(titles(&browser), json!(["Revenue, v-1", "Views, p-1:x"]));
        let is_admin = address.contains("/sellers/");
        let buttons = browser.run("return document.querySelectorAll('.anomaly button').length");
        assert_eq!(buttons, if is_admin { 2 } else { 0 }, "{address}");
        assert_eq!(browser.text(".anomalies").contains("a pause"), is_admin, "comments are for admins");
    }
    // Nor does an admin where nothing may be written.
    let marketplace = self::marketplace("read-only");
    browser.open(&marketplace.admin("/?period=all"));
    browser.until(SHOWN);
    browser.run("scrollTo(0, document.body.scrollHeight)");
    titles(&browser);
    assert_eq!(browser.run("return document.querySelectorAll('.anomaly button').length"), 0);
}

#[test]
fn charts_mark_the_buckets_of_anomalies_and_say_what_they_are() {
    let marketplace = marketplace("read-only");
    let browser = Browser::start();
    // How many pixels of the chart have the colour of the key.
    let pixels = "(() => { const key = document.querySelector('.key.mark'), canvas = document.querySelector('.plot canvas'); \
        if (!key || !canvas) return 0; \
        const [r, g, b] = getComputedStyle(key).backgroundColor.match(/\\d+/g).map(Number); \
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height); let found = 0; \
        for (let at = 0; at < data.length; at += 4) \
            if (data[at] === r && data[at + 1] === g && data[at + 2] === b && data[at + 3] === 255) found += 1; \
        return found; })()";
    browser.open(&marketplace.admin("/?period=all&metric=orders&interval=day"));
    browser.until(&format!("{pixels} > 20"));
    let said = "document.querySelector('.plot .tip')?.innerText ?? ''";
    browser.until("document.querySelector('.plot .u-over') !== null");
    browser.run("document.querySelector('.plot').focus()");
    let key = |name: &str| {
        browser.run(&format!(
            "document.querySelector('.plot').dispatchEvent(new KeyboardEvent('keydown', {{ key: '{name}', bubbles: true }}))"
        ));
    };
    key("Home");
    browser.until(&format!("{said} !== ''"));
    for _ in 0..40 {
        if browser.run(&format!("return {said}.includes('drop: 1,234 instead of 2,000')")) == true {
            break;
        }
        key("ArrowRight");
    }
    browser.until(&format!("{said}.includes('drop: 1,234 instead of 2,000')"));
    browser.open(&marketplace.admin("/?period=all&metric=orders&interval=day&view=table"));
    browser.until("document.querySelector('.course table')?.innerText.includes('drop: 1,234 instead of 2,000')");
    // What is resolved is marked, too; what is not judged is not.
    browser.open(&marketplace.admin("/?period=all&metric=views&interval=day"));
    browser.until(&format!("{pixels} > 20"));
    browser.open(&marketplace.admin("/?period=all&metric=units&interval=day"));
    browser.until("document.querySelector('.plot canvas') !== null");
    assert_eq!(browser.run(&format!("return {pixels}")), 0);
    // The browser advises against reading pixels, which only this test does.
    let complaints = browser.complaints().into_iter().filter(|complaint| !complaint.contains("getImageData"));
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<String>::new());
}
