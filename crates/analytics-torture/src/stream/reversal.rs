//! Generates payments, cancellations and refunds of earlier orders.

use analytics_testkit::broker::Message;
use analytics_testkit::traffic::Random;
use serde_json::json;

use super::{HOUR, REMEMBERED, Remembered, Stream};
use crate::answers::{Counts, Effect, Line};
use crate::reversals::Claim;
use crate::written::{decimal, keyed, written};

/// An order that can be paid and reversed.
pub(super) struct Reversible {
    /// The number of its record.
    n: u64,
    id: String,
    lines: Vec<Line>,
    /// The times of its reversals.
    used: Vec<i64>,
    is_cancelled: bool,
    /// Whether it waits for its payment.
    is_unpaid: bool,
}

impl Reversible {
    pub(super) fn new(n: u64, id: String, lines: &[Line], counts: Counts) -> Self {
        let is_unpaid = counts == Counts::OncePaid;
        Self { n, id, lines: lines.to_vec(), used: Vec::new(), is_cancelled: false, is_unpaid }
    }
}

impl Stream {
    pub(super) fn remember_order(&mut self, order: Reversible) {
        if self.orders.len() < REMEMBERED {
            self.orders.push(order);
        } else {
            let slot = below(&mut self.random, REMEMBERED);
            self.orders[slot] = order;
        }
    }

    /// Pays an earlier order, often one of the last, whose record may not have been read yet.
    pub(super) fn payment(&mut self, n: u64) -> (Message, Effect) {
        let (time, stamp) = self.times();
        let unpaid: Vec<usize> = (0..self.orders.len()).filter(|slot| self.orders[*slot].is_unpaid).collect();
        let latest = unpaid.len().saturating_sub(5);
        let random = &mut self.random;
        let place = if random.below(2) == 0 {
            latest + below(random, unpaid.len() - latest)
        } else {
            below(random, unpaid.len())
        };
        let Some(order) = unpaid.get(place).map(|slot| &mut self.orders[*slot]) else { return self.order(n) };
        order.is_unpaid = false;
        let at = written(time, n);
        let (topic, payload) = match random.below(3) {
            0 => ("order.status.updated", json!({ "orderId": order.id, "status": "Paid", "updatedAt": at, "n": n })),
            _ => ("order.paid", json!({ "orderId": order.id, "paidAt": at, "n": n })),
        };
        let effect = Effect::Payment { order: order.n };
        let message = keyed(topic, &order.id, stamp, &payload);
        self.remember(Remembered::Repeatable(message.clone()));
        (message, effect)
    }

    /// Takes back something of an earlier order, often of one of the last, whose record may not have been read yet.
    pub(super) fn reversal(&mut self, n: u64) -> (Message, Effect) {
        let (mut time, stamp) = self.times();
        let random = &mut self.random;
        let latest = self.orders.len().saturating_sub(20);
        let slot = if random.below(2) == 0 {
            latest + below(random, self.orders.len() - latest)
        } else {
            below(random, self.orders.len())
        };
        let Some(order) = self.orders.get_mut(slot) else { return self.order(n) };
        if random.below(4) == 0 {
            time -= 5 * HOUR;
        }
        while order.used.contains(&time) {
            time += 1;
        }
        order.used.push(time);
        let at = written(time, n);
        let line = order.lines[below(random, order.lines.len())].clone();
        let digits = match line.currency {
            "JPY" => 0,
            "KWD" => 3,
            _ => 2,
        };
        let amount = i64::try_from(random.below(120_000)).expect("small");
        let told = decimal(amount, digits);
        let refund = format!("{}-refund-{n}", self.name);
        let (topic, payload, claim) = match random.below(4) {
            0 if !order.is_cancelled => {
                order.is_cancelled = true;
                if random.below(2) == 0 {
                    let payload = json!({ "orderId": order.id, "cancelledAt": at, "n": n });
                    ("order.cancelled", payload, Claim::Cancelled)
                } else {
                    let payload = json!({ "orderId": order.id, "status": "CANCELLED", "updatedAt": at, "n": n });
                    ("order.status.updated", payload, Claim::Cancelled)
                }
            }
            1 => {
                // Of the product's lines in the currency of the first one.
                let first =
                    order.lines.iter().find(|other| other.product == line.product).expect("its own line").currency;
                let digits = if first == line.currency { digits } else { 0 };
                let amount = if first == line.currency { amount } else { 0 };
                let items = json!([{ "productId": line.product, "amount": decimal(amount, digits) }]);
                let payload =
                    json!({ "refundId": refund, "orderId": order.id, "items": items, "refundedAt": at, "n": n });
                ("order.refunded", payload, Claim::Product(line.product, amount))
            }
            _ => {
                let payload = json!({
                    "refundId": refund, "orderId": order.id, "amount": told, "currency": line.currency, "refundedAt": at, "n": n,
                });
                ("order.refunded", payload, Claim::Amount(amount, line.currency))
            }
        };
        let effect = Effect::Reversal { order: order.n, claim, time };
        let message = keyed(topic, &order.id, stamp, &payload);
        self.remember(Remembered::Repeatable(message.clone()));
        (message, effect)
    }
}

fn below(random: &mut Random, limit: usize) -> usize {
    usize::try_from(random.below(limit.max(1) as u64)).expect("small")
}
