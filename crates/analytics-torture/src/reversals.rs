//! What cancellations and refunds come to, computed independently of the service.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::Line;

/// What a generated record takes back.
#[derive(Debug, Clone)]
pub enum Claim {
    /// The whole order.
    Cancelled,
    /// An amount in a currency, whatever the lines.
    Amount(i64, &'static str),
    /// An amount of the lines of one product, in the currency of the first of them.
    Product(String, i64),
}

/// The orders of a stream, and the reversals of each. No two reversals of an order have the same time.
#[derive(Debug, Default)]
pub struct Reversals {
    orders: BTreeMap<u64, Vec<Line>>,
    claims: BTreeMap<u64, BTreeMap<i64, Claim>>,
}

/// What was taken back at one time.
#[derive(Debug)]
pub struct Taken {
    /// When, in epoch milliseconds.
    pub time: i64,
    /// Of which lines, how much, and how many units.
    pub lines: Vec<(Line, i64, i64)>,
    /// What was too much, with its currency.
    pub excess: Option<(i64, &'static str)>,
    /// Whether the order was cancelled.
    pub cancelled: bool,
}

impl Reversals {
    /// Adds an order, by the number of its record.
    pub fn order(&mut self, n: u64, lines: &[Line]) {
        self.orders.insert(n, lines.to_vec());
    }

    /// Adds a reversal of an order, which may not have been added yet.
    pub fn reversal(&mut self, order: u64, time: i64, claim: Claim) {
        self.claims.entry(order).or_default().insert(time, claim);
    }

    /// Returns how many reversals have no order.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.claims.iter().filter(|(order, _)| !self.orders.contains_key(order)).map(|(_, claims)| claims.len()).sum()
    }

    /// Returns what all reversals of known orders come to.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        let mut taken = Vec::new();
        for (order, claims) in &self.claims {
            let Some(lines) = self.orders.get(order) else { continue };
            // What is left of each line: the amount and the units.
            let mut left: Vec<(i64, i64)> = lines.iter().map(|line| (line.amount, line.quantity)).collect();
            for (time, claim) in claims {
                let before = left.clone();
                let excess = take(lines, &mut left, claim);
                taken.push(Taken {
                    time: *time,
                    lines: differences(lines, &before, &left),
                    excess,
                    cancelled: matches!(claim, Claim::Cancelled),
                });
            }
        }
        taken
    }
}

/// Returns what was taken of each line: the amount and the units.
fn differences(lines: &[Line], before: &[(i64, i64)], after: &[(i64, i64)]) -> Vec<(Line, i64, i64)> {
    let mut taken = Vec::new();
    for ((line, before), after) in lines.iter().zip(before).zip(after) {
        if before != after {
            taken.push((line.clone(), before.0 - after.0, before.1 - after.1));
        }
    }
    taken
}

fn take(lines: &[Line], left: &mut [(i64, i64)], claim: &Claim) -> Option<(i64, &'static str)> {
    match claim {
        Claim::Cancelled => {
            left.fill((0, 0));
            None
        }
        Claim::Amount(amount, currency) => {
            let of_currency: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].currency == *currency).collect();
            let before: Vec<i64> = left.iter().map(|(amount, _)| *amount).collect();
            let whole: i64 = of_currency.iter().map(|line| before[*line]).sum();
            let taken = whole.min(*amount);
            let mut rest = taken;
            for line in of_currency.iter().filter(|_| whole > 0) {
                let share =
                    i64::try_from(i128::from(before[*line]) * i128::from(taken) / i128::from(whole)).expect("a share");
                left[*line].0 -= share;
                rest -= share;
            }
            // One more for those with the largest remainders; of equal ones, the earliest.
            let mut given = BTreeSet::new();
            while rest > 0 {
                let remainder = |line: usize| i128::from(before[line]) * i128::from(taken) % i128::from(whole);
                let mut best: Option<usize> = None;
                for line in of_currency.iter().copied().filter(|line| !given.contains(line)) {
                    if best.is_none_or(|best| remainder(line) > remainder(best)) {
                        best = Some(line);
                    }
                }
                let best = best.expect("fewer minor units than lines are left");
                given.insert(best);
                left[best].0 -= 1;
                rest -= 1;
            }
            (*amount > taken).then_some((amount - taken, *currency))
        }
        Claim::Product(product, amount) => {
            let first = lines.iter().find(|line| line.product == *product).expect("a line of the product");
            let mut rest = *amount;
            for (line, left) in lines.iter().zip(left) {
                if line.product == *product && line.currency == first.currency {
                    let of_line = rest.min(left.0);
                    left.0 -= of_line;
                    rest -= of_line;
                }
            }
            (rest > 0).then_some((rest, first.currency))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_order_is_taken_back_as_computed_by_hand() {
        let line = |product: &str, amount| Line {
            product: product.into(),
            vendor: "v".into(),
            quantity: 2,
            amount,
            currency: "USD",
        };
        let mut reversals = Reversals::default();
        reversals.reversal(1, 30, Claim::Cancelled);
        reversals.reversal(1, 10, Claim::Amount(101, "USD"));
        reversals.reversal(1, 20, Claim::Product("b".into(), 60));
        reversals.reversal(2, 20, Claim::Cancelled);
        reversals.order(1, &[line("a", 100), line("b", 100)]);
        assert_eq!(reversals.waiting(), 1);
        let amounts: Vec<Vec<i64>> =
            reversals.taken().iter().map(|taken| taken.lines.iter().map(|(_, amount, _)| *amount).collect()).collect();
        // Of the second line only units are left.
        assert_eq!(amounts, [vec![51, 50], vec![50], vec![49, 0]]);
        let excess: Vec<_> = reversals.taken().iter().map(|taken| taken.excess).collect();
        assert_eq!(excess, [None, Some((10, "USD")), None]);
    }
}
