//! A list that is dropped on its page is compared, and what differs is shown.

use analytics_testkit::broker::Message;
use serde_json::json;

use crate::browser::Browser;
use crate::marketplace::Marketplace;

/// The page of a seller's lists.
pub(crate) const PAGE: &str = "/sellers/v-list/reconcile";

/// Counts two orders of the seller.
pub(crate) fn count_orders(marketplace: &Marketplace) {
    let order = |id: &str, total: &str| {
        let order = json!({ "orderId": id, "vendorId": "v-list", "total": total, "placedAt": "2026-11-03T12:00:00Z" });
        Message::json("order.created", order)
    };
    marketplace.service.send(&[order("list-1", "10.00"), order("list-2", "20.00"), order("list-3", "5.00")]);
    marketplace.service.wait_all_consumed();
}

/// Drops a file on the page, and waits until the page says what became of it.
pub(crate) fn drop_list(browser: &Browser, list: &str) -> String {
    browser.until("document.querySelector('.drop input:enabled') !== null");
    browser.run(&format!(
        "const dataTransfer = new DataTransfer(); \
         dataTransfer.items.add(new File([{}], 'mine.csv', {{ type: 'text/csv' }})); \
         document.querySelector('.drop').dispatchEvent(new DragEvent('drop', {{ dataTransfer, bubbles: true, cancelable: true }}))",
        json!(list)
    ));
    browser.until("document.querySelector('[data-said]:not([data-said=\"\"])') !== null");
    browser.text("[data-said]")
}

pub(crate) const LIST: &str =
    "orderId,amount,date\nlist-1,10.00,2026-11-03\nlist-2,21.00,2026-11-03\n\"<b>&\"\"never\",1,2026-11-03\n";

#[test]
fn a_dropped_list_shows_its_sums_and_what_differs() {
    let marketplace = Marketplace::open();
    count_orders(&marketplace);
    let browser = Browser::start();
    browser.open(&marketplace.seller("/?period=all", "v-list"));
    browser.click(&format!("a[href=\"{PAGE}\"]"));
    assert_eq!(drop_list(&browser, LIST), "3 lines compared.");
    let rows = browser.run(
        "return [...document.querySelectorAll('[data-verdict]')].map((row) => \
         [row.dataset.verdict, ...[...row.children].map((cell) => cell.innerText)].join('|'))",
    );
    assert_eq!(
        rows,
        json!([
            "other_amount|3|list-2|counted with another amount|21.00 USD|20.00 USD|2026-11-03|",
            "never_seen|4|<b>&\"never|never seen|1.00 USD|–|2026-11-03|",
            "not_listed|–|list-3|not in the list|–|5.00 USD|2026-11-03|",
        ])
    );
    let total = browser
        .run("return [...document.querySelector('[data-sum=total]').children].map((cell) => cell.innerText).join('|')");
    assert_eq!(total, "Total|USD|4|32.00|35.00|-3.00");
    let differences = browser.run(
        "return [...document.querySelectorAll('[data-sum]:not([data-sum=total])')] \
         .reduce((sum, row) => sum + Number(row.lastElementChild.innerText), 0)",
    );
    assert_eq!(differences.as_f64(), Some(-3.0));
    // The answer can be saved, whole.
    browser.run(
        "const make = URL.createObjectURL; URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return make(blob); }",
    );
    browser.click(".card .tools button");
    let saved = browser.until("window.saved");
    assert!(saved.as_str().unwrap().starts_with("record,line,orderId,verdict,"), "{saved}");
    assert_eq!(saved.as_str().unwrap().lines().filter(|line| line.starts_with("line,")).count(), 3);

    // What is wrong is said with the line, and a corrected file can be dropped right away.
    let said = drop_list(&browser, "orderId,amount\nlist-1,ten\n");
    assert!(said.starts_with("mine.csv: line 2: amount is not a decimal number"), "{said}");
    assert_eq!(browser.run("return document.querySelectorAll('[data-sum]').length"), 0);
    assert_eq!(drop_list(&browser, "orderId,amount\nlist-1,10.00\nlist-2,20.00\nlist-3,5.00\n"), "3 lines compared.");
    assert!(browser.text("main").contains("All 3 lines are as counted"), "{}", browser.text("main"));
}

#[test]
fn the_page_is_for_admins_and_the_seller() {
    let marketplace = Marketplace::open();
    let browser = Browser::start();
    browser.open(&marketplace.admin(PAGE));
    browser.until("document.querySelector('.drop') !== null");
    browser.open(&marketplace.seller(PAGE, "v-1"));
    browser.until("document.querySelector('main .empty') !== null");
    assert_eq!(browser.run("return document.querySelector('.drop')"), serde_json::Value::Null);
}
