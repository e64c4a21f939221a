//! Tests of what reversals come to: tables of cases, and properties against an independent model.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::event::{Sale, Vendor};
use crate::money::Minor;

fn line(product: &str, vendor: &str, amount: i64, units: u32, currency: &str) -> Line {
    let part = Part {
        product: Some(ProductId::parse(product).unwrap()),
        vendor: Vendor::Named(VendorId::parse(vendor).unwrap()),
    };
    let (quantity, amount) = (Quantity::new(units).unwrap(), Minor(amount));
    Line { part, sale: Sale { quantity, amount, currency: Currency::parse(currency).unwrap() } }
}

fn told(text: &str) -> Told {
    let (amount, currency) = text.split_once(' ').map_or((text, None), |(amount, code)| (amount, Some(code)));
    Told { amount: Amount::parse(amount).unwrap(), currency: currency.map(|code| Currency::parse(code).unwrap()) }
}

fn item(product: &str, quantity: Option<u32>, amount: Option<&str>) -> Item {
    Item {
        product: (!product.is_empty()).then(|| ProductId::parse(product).unwrap()),
        vendor: None,
        quantity: quantity.map(|units| Quantity::new(units).unwrap()),
        amount: amount.map(told),
    }
}

/// Decides claims that happened one after the other, and shows what each took: for each line its number, the amount
/// and the units; what was too much; and whether the order is cancelled.
fn decided(lines: &[Line], claims: &[Claim]) -> Vec<String> {
    let placed: Vec<Placed<'_>> = (1..)
        .zip(claims)
        .map(|(place, claim)| Placed {
            time: EventTime::from_micros(place),
            event: EventId(Uuid::from_u128(place.unsigned_abs().into())),
            claim,
        })
        .collect();
    let shown = |entry: &Entry| {
        let currency = entry.currency.map_or("", Currency::code);
        match (&entry.line, entry.took) {
            (Some((number, _)), Took { amount, units, .. }) => format!("{number}: {amount} {currency} {units}x"),
            (None, Took { cancelled: 1, .. }) => "cancelled".to_owned(),
            (None, Took { excess, .. }) => format!("too much: {excess} {currency}"),
        }
    };
    let of_claim = |entries: &[Entry]| entries.iter().map(shown).collect::<Vec<_>>().join(", ");
    decide(lines, &placed).iter().map(|(_, entries)| of_claim(entries)).collect()
}

#[test]
fn cancellations_take_what_is_left() {
    let lines = [line("a", "v", 1000, 2, "USD"), line("b", "w", 500, 1, "USD"), line("a", "v", 7, 1, "USD")];
    let refund = Claim::RefundedItems(vec![item("a", None, Some("3.00"))]);
    assert_eq!(
        decided(&lines, &[refund.clone(), Claim::Cancelled, Claim::Cancelled, refund]),
        ["1: 300 USD 0x", "1: 700 USD 2x, 2: 500 USD 1x, 3: 7 USD 1x, cancelled", "", "too much: 300 USD"]
    );
    for (items, expected) in [
        (vec![item("a", None, None)], "1: 1000 USD 2x, 3: 7 USD 1x"),
        (vec![item("a", Some(1), None)], "1: 500 USD 1x"),
        (vec![item("a", Some(3), None), item("b", None, None)], "1: 1000 USD 2x, 2: 500 USD 1x, 3: 7 USD 1x"),
        (vec![item("", Some(3), None)], "1: 1000 USD 2x, 2: 500 USD 1x"),
        (vec![item("unknown", None, None)], ""),
    ] {
        assert_eq!(decided(&lines, &[Claim::CancelledItems(items.clone())]), [expected], "{items:?}");
    }
}

#[test]
fn refunds_of_items_take_their_lines_the_earliest_first() {
    let lines = [line("a", "v", 1000, 3, "USD"), line("b", "w", 500, 0, "JPY"), line("a", "v", 7, 1, "USD")];
    for (items, expected) in [
        (vec![item("a", None, Some("10.05"))], "1: 1000 USD 0x, 3: 5 USD 0x"),
        (vec![item("a", Some(2), Some("1"))], "1: 100 USD 2x"),
        (vec![item("a", None, Some("11"))], "1: 1000 USD 0x, 3: 7 USD 0x, too much: 93 USD"),
        (vec![item("b", None, Some("600"))], "2: 500 JPY 0x, too much: 100 JPY"),
        (vec![item("b", None, Some("6 USD"))], "too much: 600 USD"),
        (vec![item("c", None, Some("6 EUR")), item("c", None, Some("1 EUR"))], "too much: 700 EUR"),
        (vec![item("", None, Some("5 JPY"))], "2: 5 JPY 0x"),
        (vec![item("a", None, None)], "1: 333 USD 1x"),
        (vec![item("a", None, None), item("a", Some(2), None)], "1: 1000 USD 3x"),
        (vec![item("a", Some(9), None)], "1: 1000 USD 3x, 3: 7 USD 1x, too much: 1667 USD"),
        (vec![item("a", None, Some("9")), item("a", None, None)], "1: 1000 USD 1x, too much: 233 USD"),
        (vec![item("a", Some(4), Some("0")), item("a", None, None)], "1: 0 USD 3x, 3: 0 USD 1x, too much: 333 USD"),
        (vec![item("a", Some(1_000_000), None)], "1: 1000 USD 3x, 3: 7 USD 1x, too much: 333332000 USD"),
        (vec![item("c", Some(2), None)], ""),
        (vec![item("b", Some(1), None)], "2: 500 JPY 0x"),
        // Lines without units are taken only where no others are meant.
        (vec![item("", Some(4), None)], "1: 1000 USD 3x, 3: 7 USD 1x"),
    ] {
        assert_eq!(decided(&lines, &[Claim::RefundedItems(items.clone())]), [expected], "{items:?}");
    }
    let all = Claim::RefundedItems(vec![item("a", Some(4), None)]);
    assert_eq!(
        decided(&lines, &[Claim::Cancelled, all]),
        ["1: 1000 USD 3x, 2: 500 JPY 0x, 3: 7 USD 1x, cancelled", "too much: 1333 USD"]
    );
    // However units are divided, their shares are the whole.
    let one = Claim::RefundedItems(vec![item("a", Some(1), None)]);
    assert_eq!(decided(&lines, &[one.clone(), one.clone(), one]), ["1: 333 USD 1x", "1: 334 USD 1x", "1: 333 USD 1x"]);
}

#[test]
fn an_amount_alone_is_split_by_what_is_left_with_the_largest_remainders() {
    let lines = [line("a", "v", 100, 1, "USD"), line("b", "w", 100, 1, "USD"), line("c", "w", 100, 1, "USD")];
    for (claims, expected) in [
        (vec!["1"], vec!["1: 34 USD 0x, 2: 33 USD 0x, 3: 33 USD 0x"]),
        (vec!["0.01"], vec!["1: 1 USD 0x"]),
        (vec!["0"], vec![""]),
        (vec!["4"], vec!["1: 100 USD 0x, 2: 100 USD 0x, 3: 100 USD 0x, too much: 100 USD"]),
        (vec!["0.01", "0.01", "0.02"], vec!["1: 1 USD 0x", "2: 1 USD 0x", "1: 1 USD 0x, 3: 1 USD 0x"]),
        (vec!["1 EUR"], vec!["too much: 100 EUR"]),
    ] {
        let claims: Vec<Claim> = claims.into_iter().map(|text| Claim::Refunded(told(text))).collect();
        assert_eq!(decided(&lines, &claims), expected, "{claims:?}");
    }
    // Of several currencies, that of the first line is meant.
    let mixed = [line("a", "v", 100, 1, "EUR"), line("b", "w", 100, 1, "USD")];
    assert_eq!(decided(&mixed, &[Claim::Refunded(told("0.5"))]), ["1: 50 EUR 0x"]);
}

/// Lines and items without limit, each a valid record, must not keep other orders from being counted.
#[test]
fn huge_orders_and_reversals_end_soon_and_lose_no_amount() {
    let lines = vec![line("a", "v", 1, 1, "USD"); 80_000];
    let items = Claim::RefundedItems(vec![item("a", None, Some("0.01")); MOST_ITEMS]);
    let mut claims = vec![items; 40];
    claims.push(Claim::Refunded(told("5.00")));
    let began = std::time::Instant::now();
    let placed: Vec<Placed<'_>> = (1..)
        .zip(&claims)
        .map(|(place, claim)| Placed {
            time: EventTime::from_micros(place),
            event: EventId(Uuid::from_u128(place.unsigned_abs().into())),
            claim,
        })
        .collect();
    let decided = decide(&lines, &placed);
    let sum = |of: fn(&Took) -> i64| -> i64 {
        decided.iter().flat_map(|(_, entries)| entries).map(|entry| of(&entry.took)).sum()
    };
    assert_eq!(sum(|took| took.amount) + sum(|took| took.excess), 40 * 1_000 + 500);
    assert!(sum(|took| took.excess) > 0, "the limit was reached");
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn a_line_of_an_unknown_vendor_is_found_by_its_product() {
    let unknown = Line {
        part: Part { product: ProductId::parse("a").ok(), vendor: Vendor::Unknown },
        ..line("a", "v", 50, 1, "USD")
    };
    let of = |product: Option<&str>| {
        Claim::RefundedItems(vec![Item {
            product: product.and_then(|id| ProductId::parse(id).ok()),
            vendor: VendorId::parse("w").ok(),
            quantity: None,
            amount: Some(told("0.10")),
        }])
    };
    assert_eq!(decided(std::slice::from_ref(&unknown), &[of(Some("a"))]), ["1: 10 USD 0x"]);
    assert_eq!(decided(&[unknown], &[of(None)]), ["too much: 10 USD"]);
}

#[test]
fn a_claim_is_read_back_as_it_was() {
    for claim in [
        Claim::Cancelled,
        Claim::CancelledItems(vec![item("a", None, None), item("", Some(0), None)]),
        Claim::RefundedItems(vec![item("a", Some(2), Some("1.50 EUR")), item("b", None, Some("0"))]),
        Claim::Refunded(told("1e-2")),
    ] {
        assert_eq!(Claim::from_json(&claim.to_json()), Some(claim.clone()), "{}", claim.to_json());
    }
    for text in ["", "{}", r#"{"kind":"refund"}"#, r#"{"kind":"refund","amount":"x"}"#, r#"{"kind":"other"}"#] {
        assert_eq!(Claim::from_json(text), None, "{text}");
    }
}

/// The rules once more, otherwise written: units and minor units one by one.
#[derive(Default)]
struct Model {
    /// For each line: product, currency, amount, units, what is left of the amount, and units left.
    lines: Vec<(String, Currency, i64, i64, i64, i64)>,
    excess: i64,
}

impl Model {
    fn of(lines: &[Line]) -> Self {
        let of_line = |line: &Line| {
            let (amount, units) = (line.sale.amount.0, i64::from(line.sale.quantity.units()));
            let product = line.part.product.as_ref().unwrap().to_string();
            (product, line.sale.currency, amount, units, amount, units)
        };
        Self { lines: lines.iter().map(of_line).collect(), excess: 0 }
    }

    /// Takes one unit and returns what was too much.
    fn unit(&mut self, place: usize) -> i64 {
        let (_, _, amount, units, left, units_left) = &mut self.lines[place];
        let number = *units - *units_left + 1;
        let rounded = |number: i64| (2 * *amount * number + *units) / (2 * *units);
        let wanted = rounded(number) - rounded(number - 1);
        let taken = wanted.min(*left);
        *left -= taken;
        *units_left -= 1;
        wanted - taken
    }

    fn take(&mut self, claim: &Claim) {
        match claim {
            Claim::Cancelled => self.lines.iter_mut().for_each(|line| (line.4, line.5) = (0, 0)),
            Claim::CancelledItems(items) => {
                let before = self.excess;
                items.iter().for_each(|item| self.item(item));
                self.excess = before;
            }
            Claim::RefundedItems(items) => items.iter().for_each(|item| self.item(item)),
            Claim::Refunded(told) => {
                let currency = told.currency.unwrap();
                let wanted = told.amount.times(Quantity::ONE, currency).unwrap().0;
                let before: Vec<i64> =
                    self.lines.iter().map(|line| if line.1 == currency { line.4 } else { 0 }).collect();
                let whole: i64 = before.iter().sum();
                let taken = wanted.min(whole);
                self.excess += wanted - taken;
                let mut rest = taken;
                for (line, left) in self.lines.iter_mut().zip(&before).filter(|_| whole > 0) {
                    line.4 -= left * taken / whole;
                    rest -= left * taken / whole;
                }
                let mut given = vec![false; before.len()];
                while rest > 0 {
                    let best = (0..before.len())
                        .filter(|place| !given[*place])
                        .max_by_key(|place| (before[*place] * taken % whole, std::cmp::Reverse(*place)))
                        .unwrap();
                    given[best] = true;
                    self.lines[best].4 -= 1;
                    rest -= 1;
                }
            }
        }
    }

    fn item(&mut self, item: &Item) {
        let of_item: Vec<usize> = (0..self.lines.len())
            .filter(|place| item.product.as_ref().is_none_or(|product| product.as_str() == self.lines[*place].0))
            .collect();
        if let Some(told) = item.amount {
            let currency = told.currency.unwrap();
            let mut minor = told.amount.times(Quantity::ONE, currency).unwrap().0;
            let mut units = item.quantity.map_or(0, |units| units.units());
            for place in of_item {
                if self.lines[place].1 != currency {
                    continue;
                }
                while minor > 0 && self.lines[place].4 > 0 {
                    self.lines[place].4 -= 1;
                    minor -= 1;
                }
                while units > 0 && self.lines[place].5 > 0 {
                    self.lines[place].5 -= 1;
                    units -= 1;
                }
            }
            self.excess += minor;
            return;
        }
        let mut units = item.quantity.unwrap_or(Quantity::ONE).units();
        for place in &of_item {
            let mut too_much = 0;
            while units > 0 && self.lines[*place].5 > 0 {
                too_much += self.unit(*place);
                units -= 1;
            }
            self.excess += too_much;
        }
        if let Some(earliest) = of_item.first() {
            let (_, _, amount, of_line, _, _) = self.lines[*earliest];
            self.excess += (2 * amount * i64::from(units) + of_line) / (2 * of_line);
        }
    }
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let one = (0..3_u8, 0..400_i64, 1..5_u32, any::<bool>());
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let line_of = |(product, amount, units, is_foreign): (u8, i64, u32, bool)| {
            line(&format!("p{product}"), "v", amount, units, if is_foreign { "EUR" } else { "USD" })
        };
        all.into_iter().map(line_of).collect()
    })
}

fn claim() -> impl Strategy<Value = Claim> {
    let told = (0..300_i64, any::<bool>())
        .prop_map(|(minor, is_foreign)| told(&format!("{minor}e-2 {}", if is_foreign { "EUR" } else { "USD" })));
    let item = (0..4_u8, prop::option::of(0..4_u32), prop::option::of(told.clone())).prop_map(
        |(product, quantity, amount)| Item {
            product: (product < 3).then(|| ProductId::parse(&format!("p{product}")).unwrap()),
            vendor: None,
            quantity: quantity.and_then(Quantity::new),
            amount,
        },
    );
    let cancelled = item.clone().prop_map(|item| Item {
        quantity: Some(item.quantity.unwrap_or(Quantity::ONE)),
        amount: None,
        ..item
    });
    prop_oneof![
        1 => Just(Claim::Cancelled),
        2 => prop::collection::vec(cancelled, 1..3).prop_map(Claim::CancelledItems),
        4 => prop::collection::vec(item, 1..3).prop_map(Claim::RefundedItems),
        4 => told.prop_map(Claim::Refunded),
    ]
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter_and_the_model_agrees(
        lines in lines(),
        claims in prop::collection::vec(claim(), 0..8),
        order in any::<prop::sample::Index>(),
    ) {
        // Some happen at the same time.
        let mut reversals: Vec<Placed<'_>> = (0_u32..)
            .zip(&claims)
            .map(|(place, claim)| Placed {
                time: EventTime::from_micros((place / 2).into()),
                event: EventId(Uuid::from_u128(place.into())),
                claim,
            })
            .collect();
        let in_order = decide(&lines, &reversals);
        if !reversals.is_empty() {
            let middle = order.index(reversals.len());
            reversals.rotate_left(middle);
            reversals.swap(0, middle);
        }
        prop_assert_eq!(&decide(&lines, &reversals), &in_order);

        let mut model = Model::of(&lines);
        claims.iter().for_each(|claim| model.take(claim));
        let mut taken: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
        let (mut excess, mut cancelled) = (0, 0);
        for entry in in_order.iter().flat_map(|(_, entries)| entries) {
            prop_assert!(entry.took.amount >= 0 && entry.took.units >= 0 && entry.took.excess >= 0);
            if let Some((number, _)) = entry.line {
                let sums = taken.entry(number).or_default();
                *sums = (sums.0 + entry.took.amount, sums.1 + entry.took.units);
            }
            excess += entry.took.excess;
            cancelled += entry.took.cancelled;
        }
        for (number, line) in (1..).zip(&model.lines) {
            let (amount, units) = taken.get(&number).copied().unwrap_or_default();
            prop_assert_eq!((line.2 - amount, line.3 - units), (line.4, line.5), "line {}", number);
        }
        prop_assert_eq!(excess, model.excess);
        prop_assert_eq!(cancelled, i64::from(claims.contains(&Claim::Cancelled)));
    }
}
