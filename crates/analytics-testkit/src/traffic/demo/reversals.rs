//! What comes back in the sample marketplace: some orders are cancelled within a day, others are refunded days later,
//! as a whole, for a line, or by an amount.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::broker::Message;
use crate::traffic::{Random, keyed};

/// How many of this many orders are cancelled and refunded.
const CHANCES: u64 = 100;
const CANCELLED: u64 = 2;
const REFUNDED: u64 = 5;

/// Within how many minutes an order is cancelled, and within how many days it is refunded.
const MINUTES: u64 = 24 * 60;
const DAYS: u64 = 21;

/// Why people return what they bought.
const REASONS: [&str; 4] = ["too small", "damaged", "not as described", "arrived late"];

/// The cancellations and refunds that are to come.
pub(super) struct Reversals {
    /// Random numbers of their own: the orders of a seed do not depend on what comes back.
    random: Random,
    /// By when they are due.
    planned: BTreeMap<(DateTime<Utc>, String), Planned>,
}

struct Planned {
    topic: &'static str,
    /// The field of its time.
    time: &'static str,
    payload: Value,
}

impl Reversals {
    pub(super) const fn new(seed: u64) -> Self {
        Self { random: Random(!seed), planned: BTreeMap::new() }
    }

    /// Decides whether an order comes back, how and when.
    pub(super) fn plan(&mut self, placed: DateTime<Utc>, order: &Value) {
        let chance = self.random.below(CHANCES);
        let (due, planned) = if chance < CANCELLED {
            (placed + minutes(10 + self.random.below(MINUTES)), self.cancellation(order))
        } else if chance < CANCELLED + REFUNDED {
            (placed + minutes((1 + self.random.below(DAYS)) * 24 * 60), self.refund(order))
        } else {
            return;
        };
        self.planned.insert((due, id(order).to_owned()), planned);
    }

    /// Returns the next one that is due, as one that happens at `now`, which is written as `time`.
    pub(super) fn due(&mut self, now: DateTime<Utc>, time: &str) -> Option<Message> {
        let next = self.planned.first_entry().filter(|next| next.key().0 <= now)?;
        let ((_, order), Planned { topic, time: field, mut payload }) = next.remove_entry();
        if let Some(fields) = payload.as_object_mut() {
            fields.insert(field.to_owned(), time.into());
        }
        Some(keyed(topic, order, &payload))
    }

    /// Of the whole order; half of those with several lines, of the last line only.
    fn cancellation(&mut self, order: &Value) -> Planned {
        let mut payload = json!({ "orderId": id(order), "reason": "changed my mind" });
        let items = lines(order);
        if let Some(last) = items.last().filter(|_| items.len() > 1 && self.random.below(2) == 0) {
            payload["items"] = json!([{ "productId": last["productId"], "vendorId": last["vendorId"] }]);
        }
        Planned { topic: "order.cancelled", time: "cancelledAt", payload }
    }

    fn refund(&mut self, order: &Value) -> Planned {
        let reason = REASONS[usize::try_from(self.random.below(REASONS.len() as u64)).unwrap_or_default()];
        let mut payload = json!({
            "refundId": format!("refund-{}", id(order)),
            "orderId": id(order),
            "currency": order["currency"],
            "reason": reason,
        });
        let lines = lines(order);
        let part = |line: &Value, quantity: &Value| json!({ "productId": line["productId"], "vendorId": line["vendorId"], "quantity": quantity });
        let price = |line: &Value| line["unitPrice"].as_str().unwrap_or_default().to_owned();
        match (self.random.below(100), lines.first(), lines.last()) {
            // One unit of the last line, at its price.
            (40..75, _, Some(last)) => {
                let mut item = part(last, &json!(1));
                item["amount"] = price(last).into();
                payload["items"] = json!([item]);
            }
            // A part of the price, for the order.
            (75.., Some(first), _) => payload["amount"] = share(&price(first), 10 + self.random.below(41)).into(),
            // Everything. The service knows the amounts.
            _ => payload["items"] = lines.iter().map(|line| part(line, &line["quantity"])).collect(),
        }
        Planned { topic: "order.refunded", time: "refundedAt", payload }
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::minutes(i64::try_from(minutes).unwrap_or_default())
}

fn id(order: &Value) -> &str {
    order["orderId"].as_str().unwrap_or_default()
}

fn lines(order: &Value) -> &[Value] {
    order["items"].as_array().map_or(&[], Vec::as_slice)
}

/// Returns so many percent of a price, with as many digits; at least its smallest unit.
fn share(price: &str, percent: u64) -> String {
    let digits = price.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let minor = price.replace('.', "").parse::<u64>().unwrap_or_default();
    let share = format!("{:0width$}", (minor * percent / 100).max(1), width = digits + 1);
    let (whole, fraction) = share.split_at(share.len() - digits);
    if digits == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") }
}
