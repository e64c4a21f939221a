//! Tests of verdicts, of reading lists, and of sums.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::list::{Columns, Unreadable};
use super::*;
use crate::business::Business;
use crate::ids::OrderId;

fn business() -> Business {
    Business::parse("USD", "America/New_York").unwrap()
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn november(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
}

fn listed(line: u64, order: &str, amount: i64, code: &str, day: Option<u32>) -> Listed {
    let order = OrderId::parse(order).unwrap();
    Listed { line, order, amount: Minor(amount), currency: currency(code), day: day.map(november) }
}

fn order(event: u128, day: u32, amounts: &[(&str, Amounts)]) -> Order {
    Order {
        event: EventId(Uuid::from_u128(event)),
        day: november(day),
        number: Some(7),
        amounts: amounts.iter().map(|(code, amounts)| (currency(code), *amounts)).collect(),
        others: Vec::new(),
    }
}

const fn gross(gross: i64) -> Amounts {
    Amounts { gross, refunded: 0, cancelled: 0 }
}

const fn less(gross: i64, refunded: i64, cancelled: i64) -> Amounts {
    Amounts { gross, refunded, cancelled }
}

/// Judges a list of one line.
fn verdict(line: &Listed, found: &Found, asker: Asker) -> (Verdict, String) {
    let row = Judge::new(std::slice::from_ref(line), asker, None).judge(line, found);
    (row.verdict, row.detail)
}

#[test]
fn a_line_is_compared_with_what_was_counted() {
    for (amount, code, day, counted, expected) in [
        (1000, "USD", None, vec![("USD", gross(1000))], Verdict::Counted),
        (1000, "USD", Some(3), vec![("USD", gross(1000))], Verdict::Counted),
        (0, "USD", Some(3), vec![("USD", gross(0))], Verdict::Counted),
        (1000, "USD", Some(4), vec![("USD", gross(1000))], Verdict::OtherDay),
        (1001, "USD", Some(3), vec![("USD", gross(1000))], Verdict::OtherAmount),
        (1001, "USD", Some(4), vec![("USD", gross(1000))], Verdict::OtherAmount),
        (1000, "EUR", Some(3), vec![("USD", gross(1000))], Verdict::OtherCurrency),
        (1000, "USD", Some(3), vec![("USD", less(1000, 300, 0))], Verdict::Refunded),
        (700, "USD", Some(3), vec![("USD", less(1000, 300, 0))], Verdict::Refunded),
        (700, "USD", Some(4), vec![("USD", less(1000, 300, 0))], Verdict::Refunded),
        (800, "USD", Some(3), vec![("USD", less(1000, 300, 0))], Verdict::OtherAmount),
        (0, "USD", Some(3), vec![("USD", less(1000, 0, 1000))], Verdict::Cancelled),
        (1000, "USD", Some(3), vec![("USD", less(1000, 0, 1000))], Verdict::Cancelled),
        (1000, "USD", None, vec![("USD", less(1000, 400, 600))], Verdict::Cancelled),
        (1000, "USD", None, vec![("EUR", gross(5)), ("USD", gross(1000))], Verdict::Counted),
    ] {
        let line = listed(2, "o-1", amount, code, day);
        let found = Found::Order(order(1, 3, &counted));
        for asker in [Asker::Marketplace, Asker::Seller] {
            assert_eq!(verdict(&line, &found, asker).0, expected, "{amount} {code} {day:?} {counted:?}");
        }
    }
}

#[test]
fn a_seller_learns_nothing_of_the_orders_of_others() {
    let of_others = Order { others: vec!["v-2".into(), "v-3".into()], ..order(1, 3, &[]) };
    let rejected = Found::Rejected { reason: "invalid_amount".into(), detail: "price \"secret\"".into() };
    let said = |verdict, detail: &str| (verdict, detail.to_owned());
    for (found, marketplace, seller) in [
        (Found::Order(of_others), said(Verdict::OtherSeller, "v-2 v-3"), said(Verdict::NeverSeen, "")),
        (Found::Order(order(1, 3, &[])), said(Verdict::Unattributed, ""), said(Verdict::NeverSeen, "")),
        (
            rejected,
            said(Verdict::DeadLetter, "invalid_amount: price \"secret\""),
            said(Verdict::DeadLetter, "invalid_amount"),
        ),
        (Found::Nothing, said(Verdict::NeverSeen, ""), said(Verdict::NeverSeen, "")),
    ] {
        let line = listed(2, "o-1", 1000, "USD", Some(3));
        assert_eq!(verdict(&line, &found, Asker::Marketplace), marketplace);
        assert_eq!(verdict(&line, &found, Asker::Seller), seller);
        // Nothing that identifies the order, either.
        let row = Judge::new(std::slice::from_ref(&line), Asker::Seller, None).judge(&line, &found);
        assert_eq!((row.event, row.counted_day, row.number, row.counted), (None, None, None, None));
    }
}

#[test]
fn an_order_that_stands_in_several_lines_is_compared_once_in_each_currency() {
    let list = [
        listed(2, "o-1", 500, "EUR", None),
        listed(3, "o-1", 1000, "USD", None),
        listed(4, " o-1 ", 1000, "USD", None),
        listed(5, "o-1", 7, "JPY", None),
        listed(6, "o-1", 8, "CHF", None),
    ];
    let found = Found::Order(order(1, 3, &[("EUR", gross(500)), ("GBP", gross(30)), ("USD", gross(1000))]));
    let mut judge = Judge::new(&list, Asker::Seller, None);
    let rows: Vec<Row> = list.iter().map(|line| judge.judge(line, &found)).collect();
    let verdicts: Vec<Verdict> = rows.iter().map(|row| row.verdict).collect();
    use Verdict::{Counted, Duplicate, OtherCurrency};
    assert_eq!(verdicts, [Counted, Counted, Duplicate, OtherCurrency, Duplicate]);
    assert_eq!(rows[2].detail, "of line 3");
    assert_eq!(rows[3].counted, Some((gross(30), currency("GBP"))));
    // A line of another currency does not take the amount that a later line names.
    let list = [listed(2, "o-1", 1, "EUR", None), listed(3, "o-1", 1000, "USD", None)];
    let found = Found::Order(order(1, 3, &[("USD", gross(1000))]));
    let mut judge = Judge::new(&list, Asker::Seller, None);
    assert_eq!(list.each_ref().map(|line| judge.judge(line, &found).verdict), [Duplicate, Counted]);
}

#[test]
fn headers_are_found_by_their_names() {
    let columns = |header: &str| Columns::of(header.split(','));
    for header in
        ["orderId,amount", "Order ID,Total", " order_id ,GROSS", "order,ORDER-TOTAL", "note,orderNo,x,totalAmount"]
    {
        assert!(columns(header).is_ok(), "{header}");
    }
    for (header, message) in [
        ("amount,date", "the header has no column for the order id: name it orderId, and separate columns by commas"),
        (
            "orderId;amount",
            "the header has no column for the order id: name it orderId, and separate columns by commas",
        ),
        ("orderId,date", "the header has no column for the amount: name it amount, and separate columns by commas"),
        ("", "the header has no column for the order id: name it orderId, and separate columns by commas"),
        ("orderId,amount,total", "the header has several columns for the amount: leave one"),
        ("orderId,order,total", "the header has several columns for the order id: leave one"),
    ] {
        assert_eq!(columns(header).unwrap_err().to_string(), message, "{header}");
    }
}

#[test]
fn lines_are_read_exactly_or_refused_with_the_reason() {
    let read = |text: &str| {
        let fields: Vec<&str> = text.split(',').collect();
        let columns = Columns::of(["date", "order_id", "amount", "currency"].into_iter())?;
        columns.read(9, |place| fields.get(place).copied(), business())
    };
    for (text, expected) in [
        ("2026-11-03,o-1,10.00,USD", listed(9, "o-1", 1000, "USD", Some(3))),
        (", o-1 , 10 ,", listed(9, "o-1", 1000, "USD", None)),
        // The business day in New York.
        ("2026-11-04T02:00:00Z,o-1,1.255,eur", listed(9, "o-1", 126, "EUR", Some(3))),
        ("2026-11-03T23:00:00-05:00,o-1,12,JPY", listed(9, "o-1", 12, "JPY", Some(3))),
    ] {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
    let number = "it must be a number such as 1234.50";
    let date = "date must be a date such as 2026-11-01, or a time such as 2026-11-01T12:00:00Z";
    let long = format!(",{},1,", "x".repeat(256));
    for (text, message) in [
        (", ,1,", "order id is blank".to_owned()),
        (&long, "order id has 256 characters, at most 255 are allowed".into()),
        (",o\0,1,", "order id contains the character NUL".into()),
        (",o,,", format!("amount is not a decimal number: {number}")),
        (",o,$5,", format!("amount is not a decimal number: {number}")),
        (",o,-5,", format!("amount is negative: {number}")),
        (",o,1e400,", format!("amount exceeds 1000000000000 minor units: {number}")),
        (",o,5,XYZ", "currency is not a currency code of ISO 4217, such as USD".into()),
        ("03.11.2026,o,5,", date.into()),
        ("1999-12-31,o,5,", date.into()),
        ("99999999999999-01-01,o,5,", date.into()),
    ] {
        assert_eq!(read(text).map_err(|why: Unreadable| why.to_string()), Err(message), "{text}");
    }
}

#[test]
fn amounts_are_written_in_units_of_their_currency() {
    for (minor, code, text) in [
        (1250, "USD", "12.50"),
        (5, "USD", "0.05"),
        (-5, "USD", "-0.05"),
        (0, "USD", "0.00"),
        (-1234, "JPY", "-1234"),
        (1, "KWD", "0.001"),
        (i128::from(i64::MAX) * 2, "USD", "184467440737095516.14"),
    ] {
        assert_eq!(major(minor, currency(code)), text);
    }
}

const CODES: [&str; 3] = ["USD", "EUR", "JPY"];

/// Orders as they were counted: each with a day and, by currency, amounts. Some are of other sellers.
fn world() -> impl Strategy<Value = Vec<Order>> {
    let amounts =
        (0..900_i64, 0..100_i64, 0..100_i64).prop_map(|(gross, a, b)| less(gross, a.min(gross / 2), b.min(gross / 2)));
    let order_of = (1..28_u32, proptest::collection::btree_map(0..3_usize, amounts, 0..3));
    proptest::collection::vec(order_of, 0..25).prop_map(|orders| {
        let numbered = (1_u128..).zip(orders);
        numbered
            .map(|(event, (day, amounts))| {
                let amounts: Vec<_> = amounts.into_iter().map(|(code, amounts)| (CODES[code], amounts)).collect();
                order(event, day, &amounts)
            })
            .collect()
    })
}

/// The lines of a list: the number of an order, which may not exist, how the amount differs from what was counted,
/// the currency, and the day.
fn lines() -> impl Strategy<Value = Vec<(usize, i64, usize, Option<u32>)>> {
    proptest::collection::vec((0..30_usize, -1..2_i64, 0..3_usize, proptest::option::of(1..28_u32)), 0..40)
}

proptest! {
    #[test]
    fn the_sums_explain_the_difference_exactly(
        orders in world(),
        lines in lines(),
        days in proptest::option::of((1..28_u32, 1..28_u32)),
    ) {
        let list: Vec<Listed> = (2_u64..).zip(&lines).map(|(line, (number, more, code, day))| {
            let counted = orders.get(*number).and_then(|order| order.amounts.get(&currency(CODES[*code])));
            let amount = (counted.map_or(50, |amounts| amounts.gross) + more).max(0);
            listed(line, &format!("o-{number}"), amount, CODES[*code], *day)
        }).collect();
        let given = days.map(|(a, b)| Period { from: november(a.min(b)), to: november(a.max(b)) });
        let mut judge = Judge::new(&list, Asker::Marketplace, given);
        let mut rows: Vec<Row> = list.iter().zip(&lines).map(|(line, (number, ..))| {
            let found = orders.get(*number).map_or(Found::Nothing, |order| Found::Order(order.clone()));
            judge.judge(line, &found)
        }).collect();
        let period = judge.period();
        let in_period = |order: &&Order| period.is_some_and(|period| period.contains(order.day));
        for order in orders.iter().filter(in_period) {
            for (currency, amounts) in &order.amounts {
                if judge.counted_in_period(order.event, *currency, amounts.gross) {
                    let (event, day, counted) = (order.event, order.day, (*amounts, *currency));
                    rows.push(judge.not_listed(Unlisted { order: None, event, day, number: None, counted }));
                }
            }
        }
        // Every amount is told of one row at most, and of exactly one if it is of the period.
        let mut told: BTreeMap<(EventId, Currency), u32> = BTreeMap::new();
        for row in &rows {
            if let (Some(event), Some((_, currency))) = (row.event, row.counted) {
                *told.entry((event, currency)).or_default() += 1;
            }
        }
        prop_assert!(told.values().all(|times| *times == 1));
        for order in orders.iter().filter(in_period) {
            for currency in order.amounts.keys() {
                prop_assert!(told.contains_key(&(order.event, *currency)));
            }
        }
        let sums = judge.sums();
        for code in CODES {
            let code = currency(code);
            // What the list and the period come to, calculated by themselves.
            let listed: i128 = list.iter().filter(|line| line.currency == code).map(|line| i128::from(line.amount.0)).sum();
            let counted: i128 = orders.iter().filter(in_period)
                .filter_map(|order| order.amounts.get(&code)).map(|amounts| i128::from(amounts.gross)).sum();
            let total = sums.total(code);
            prop_assert_eq!((total.listed, total.counted), (listed, counted));
            let explained: i128 = sums.by_verdict(code).map(|(_, sum)| sum.difference()).sum();
            prop_assert_eq!(explained + sums.outside_period(code).difference(), listed - counted);
            // The sums are those of the rows.
            for (verdict, sum) in sums.by_verdict(code) {
                let of = |row: &&Row| row.verdict == verdict;
                let listed: i128 = rows.iter().filter(of).filter_map(|row| row.listed)
                    .filter(|(_, own)| *own == code).map(|(amount, _)| i128::from(amount.0)).sum();
                let counted: i128 = rows.iter().filter(of).filter_map(|row| row.counted)
                    .filter(|(_, own)| *own == code).map(|(amounts, _)| i128::from(amounts.gross)).sum();
                prop_assert_eq!((sum.listed, sum.counted), (listed, counted));
            }
        }
    }
}
