//! A sample marketplace that is worth looking at: people view products, some of them buy and rate
//! what they viewed, new ones sign up. The same seed and times give the same events.
//!
//! Of 100 views about 3 become orders. Products are drawn by Zipf's law from a small catalogue with
//! fixed prices; their sellers are those of [`Marketplace::SMALL`]. Three of four people pay in the base
//! currency. Every [`BROKEN_EVERY`]th event is one that cannot be counted. On request, a few percent of the orders come
//! back: see [`Demo::with_reversals`].

use std::collections::VecDeque;

use analytics_core::money::Currency;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::{Marketplace, Random, keyed};
use crate::broker::Message;
use catalogue::Catalogue;
use reversals::Reversals;

mod broken;
mod catalogue;
mod reversals;

pub use catalogue::DEMO_PRODUCTS;

/// One of so many events cannot be counted.
pub const BROKEN_EVERY: u64 = 10_000;

/// Number of people who were there before the first event.
const USERS: u64 = 9_000;
/// How many views and purchases are remembered, to be followed by orders and ratings.
const REMEMBERED: usize = 200;

/// Where people come from when they view a product.
const SOURCES: [&str; 5] = ["search", "category", "home", "newsletter", "ad"];

/// How many of this many events are orders, ratings and signups; the others are views.
const CHANCES: u64 = 1_000;
const ORDERS: u64 = 27;
const RATINGS: u64 = 12;
const SIGNUPS: u64 = 14;

/// A sample marketplace that makes one event after another.
pub struct Demo {
    random: Random,
    catalogue: Catalogue,
    /// The seed. It is part of ids, so that marketplaces with different seeds share no orders,
    /// ratings or new users.
    run: u64,
    made: u64,
    signed_up: u64,
    views: VecDeque<Visit>,
    purchases: VecDeque<Visit>,
    last_order: Option<serde_json::Value>,
    reversals: Option<Reversals>,
}

/// Somebody who viewed or bought a product.
#[derive(Clone)]
struct Visit {
    user: String,
    product: usize,
    currency: Currency,
}

impl Demo {
    /// Returns a marketplace with this base currency.
    #[must_use]
    pub fn new(seed: u64, base_currency: Currency) -> Self {
        Self {
            random: Random(seed),
            catalogue: Catalogue::new(base_currency),
            run: seed,
            made: 0,
            signed_up: 0,
            views: VecDeque::new(),
            purchases: VecDeque::new(),
            last_order: None,
            reversals: None,
        }
    }

    /// Has some orders cancelled, and some refunded days later, in `order.cancelled` and `order.refunded`. These topics
    /// have to exist.
    #[must_use]
    pub fn with_reversals(mut self) -> Self {
        self.reversals = Some(Reversals::new(self.run));
        self
    }

    /// Returns the next event, which happens at `time`. Its record has the time at which it is
    /// produced, since brokers delete old records.
    pub fn event(&mut self, time: DateTime<Utc>) -> Message {
        let (now, time) = (time, time.to_rfc3339_opts(SecondsFormat::Millis, true));
        self.made += 1;
        if self.made.is_multiple_of(BROKEN_EVERY) {
            return self.broken(&time);
        }
        if let Some(reversal) = self.reversals.as_mut().and_then(|reversals| reversals.due(now, &time)) {
            return reversal;
        }
        let chance = self.random.below(CHANCES);
        let (order, rating) = (ORDERS, ORDERS + RATINGS);
        match chance {
            _ if chance < order => self.order(now, &time),
            _ if chance < rating => self.rating(&time),
            _ if chance < rating + SIGNUPS => Some(self.signup(&time)),
            _ => None,
        }
        .unwrap_or_else(|| self.view(&time))
    }

    /// Draws a person: a third of them signed up recently.
    fn user(&mut self) -> (String, Currency) {
        let recent = self.signed_up.min(400);
        let (user, number) = if recent > 0 && self.random.below(3) == 0 {
            let number = self.signed_up - self.random.below(recent);
            (self.new_user(number), number)
        } else {
            let number = self.random.below(USERS) + 1;
            (format!("u-{number}"), number)
        };
        // People keep their currency.
        let currency = match number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & 0xFF {
            0..190 => 0,
            190..236 => 1,
            _ => 2,
        };
        (user, self.catalogue.currencies[currency])
    }

    fn new_user(&self, number: u64) -> String {
        format!("u-{:x}-{number}", self.run)
    }

    fn view(&mut self, time: &str) -> Message {
        let product = self.catalogue.product(&mut self.random);
        let (user, currency) = self.user();
        let source = SOURCES[usize::try_from(self.random.below(SOURCES.len() as u64)).unwrap_or_default()];
        let payload = json!({
            "productId": format!("p-{product}"),
            "vendorId": format!("v-{}", Marketplace::SMALL.seller(product as u64)),
            "userId": user,
            "viewedAt": time,
            "source": source,
        });
        remember(&mut self.views, Visit { user, product, currency });
        keyed("product.viewed", format!("p-{product}"), &payload)
    }

    /// An order by somebody who viewed the product a moment ago; none if nobody did.
    fn order(&mut self, now: DateTime<Utc>, time: &str) -> Option<Message> {
        let (one, other) = (recall(&self.views, &mut self.random)?, recall(&self.views, &mut self.random)?);
        let appeal = |visit: &Visit| self.catalogue.appeal(visit.product);
        let visit = if appeal(&one) >= appeal(&other) { one } else { other };
        let mut items = vec![self.line(visit.product, visit.currency)];
        if self.random.below(4) == 0 {
            let product = self.catalogue.product(&mut self.random);
            items.push(self.line(product, visit.currency));
        }
        let order = format!("o-{:x}-{}", self.run, self.made);
        let payload = json!({
            "orderId": order,
            "userId": visit.user,
            "items": items,
            "currency": visit.currency.code(),
            "placedAt": time,
        });
        if let Some(reversals) = &mut self.reversals {
            reversals.plan(now, &payload);
        }
        self.last_order = Some(payload.clone());
        remember(&mut self.purchases, visit);
        Some(keyed("order.created", order, &payload))
    }

    fn line(&mut self, product: usize, currency: Currency) -> serde_json::Value {
        let quantity = match self.random.below(20) {
            0 => 3,
            1..4 => 2,
            _ => 1,
        };
        json!({
            "productId": format!("p-{product}"),
            "vendorId": format!("v-{}", Marketplace::SMALL.seller(product as u64)),
            "quantity": quantity,
            "unitPrice": self.catalogue.price(product, currency),
        })
    }

    /// A rating by somebody who bought the product; none if nobody did.
    fn rating(&mut self, time: &str) -> Option<Message> {
        let visit = recall(&self.purchases, &mut self.random)?;
        let payload = json!({
            "ratingId": format!("r-{:x}-{}", self.run, self.made),
            "userId": visit.user,
            "productId": format!("p-{}", visit.product),
            "vendorId": format!("v-{}", Marketplace::SMALL.seller(visit.product as u64)),
            "rating": self.catalogue.stars(visit.product, &mut self.random),
            "updatedAt": time,
        });
        Some(keyed("rating.updated", format!("p-{}", visit.product), &payload))
    }

    fn signup(&mut self, time: &str) -> Message {
        self.signed_up += 1;
        let user = self.new_user(self.signed_up);
        let role = if self.random.below(25) == 0 { "seller" } else { "buyer" };
        let payload =
            json!({ "userId": user, "email": format!("{user}@example.com"), "role": role, "registeredAt": time });
        keyed("user.registered", user, &payload)
    }
}

fn remember(visits: &mut VecDeque<Visit>, visit: Visit) {
    if visits.len() == REMEMBERED {
        visits.pop_front();
    }
    visits.push_back(visit);
}

/// Draws one of the visits; none if there are none.
fn recall(visits: &VecDeque<Visit>, random: &mut Random) -> Option<Visit> {
    let number = random.next().checked_rem(visits.len() as u64)?;
    visits.get(usize::try_from(number).ok()?).cloned()
}

#[cfg(test)]
mod tests;
