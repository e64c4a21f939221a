//! Generates the events of a marketplace; the same seed gives the same events.
//!
//! 85 % are views, 8 % orders of two lines, 4 % ratings and 3 % signups. Products are drawn by
//! Zipf's law, so a few of them, and their sellers, are hot and most are rare.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::broker::Message;

pub mod demo;
pub mod rhythm;

/// The size of a marketplace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marketplace {
    /// Number of products.
    pub products: u64,
    /// Number of sellers.
    pub sellers: u64,
    /// Number of users.
    pub users: u64,
}

impl Marketplace {
    /// A small marketplace.
    pub const SMALL: Self = Self { products: 5_000, sellers: 200, users: 50_000 };
    /// A large marketplace, for which the service is built.
    pub const LARGE: Self = Self { products: 100_000, sellers: 5_000, users: 1_000_000 };

    /// Returns the number of a product's seller, which depends on the product only.
    #[must_use]
    pub const fn seller(self, product: u64) -> u64 {
        let sellers = self.sellers;
        let spread = product.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        spread % sellers * (spread / sellers % sellers + 1) / sellers + 1
    }
}

impl From<Marketplace> for Value {
    fn from(Marketplace { products, sellers, users }: Marketplace) -> Self {
        json!({ "products": products, "sellers": sellers, "users": users })
    }
}

/// An endless iterator of generated events, as messages to be produced.
pub struct Generator {
    marketplace: Marketplace,
    random: Random,
    product_weights: Vec<f64>,
    time: DateTime<Utc>,
    step: Duration,
    made: u64,
    run: u64,
}

impl Generator {
    /// Returns a generator of the events of a small marketplace; see [`Self::of`].
    #[must_use]
    pub fn new(seed: u64, start: DateTime<Utc>, step: Duration) -> Self {
        Self::of(Marketplace::SMALL, seed, start, step)
    }

    /// Returns a generator whose first event has the time `start`; each later event is `step`
    /// later. Generators with different seeds make orders, ratings and new users with different
    /// ids.
    #[must_use]
    pub fn of(marketplace: Marketplace, seed: u64, start: DateTime<Utc>, step: Duration) -> Self {
        let mut total = 0.0;
        let product_weights = (1..=marketplace.products)
            .map(|rank| {
                #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
                let weight = 1.0 / rank as f64;
                total += weight;
                total
            })
            .collect();
        Self { marketplace, random: Random(seed), product_weights, time: start, step, made: 0, run: seed }
    }

    /// Sets the time of the next event.
    pub fn at(&mut self, time: DateTime<Utc>) {
        self.time = time;
    }

    fn product(&mut self) -> usize {
        let total = self.product_weights.last().copied().unwrap_or_default();
        let point = self.random.fraction() * total;
        self.product_weights.partition_point(|weight| *weight < point) + 1
    }

    fn user(&mut self) -> String {
        format!("u-{}", self.random.below(self.marketplace.users))
    }

    fn view(&mut self, time: &str) -> Message {
        let product = self.product();
        let payload = json!({
            "productId": format!("p-{product}"),
            "vendorId": format!("v-{}", self.marketplace.seller(product as u64)),
            "userId": self.user(),
            "viewedAt": time,
            "source": "search",
        });
        keyed("product.viewed", format!("p-{product}"), &payload)
    }

    fn order(&mut self, time: &str) -> Message {
        let order = format!("o-{}-{}", self.run, self.made);
        let line = |generator: &mut Self| {
            let product = generator.product();
            let cents = 100 + generator.random.below(50_000);
            json!({
                "productId": format!("p-{product}"),
                "vendorId": format!("v-{}", generator.marketplace.seller(product as u64)),
                "quantity": 1 + generator.random.below(3),
                "unitPrice": format!("{}.{:02}", cents / 100, cents % 100),
            })
        };
        let payload = json!({
            "orderId": order,
            "userId": self.user(),
            "items": [line(self), line(self)],
            "currency": if self.random.below(10) == 0 { "EUR" } else { "USD" },
            "placedAt": time,
        });
        keyed("order.created", order, &payload)
    }

    fn rating(&mut self, time: &str) -> Message {
        let product = self.product();
        let payload = json!({
            "ratingId": format!("r-{}-{}", self.run, self.made),
            "userId": self.user(),
            "productId": format!("p-{product}"),
            "vendorId": format!("v-{}", self.marketplace.seller(product as u64)),
            "rating": 1 + self.random.below(5),
            "updatedAt": time,
        });
        keyed("rating.updated", format!("p-{product}"), &payload)
    }

    fn signup(&mut self, time: &str) -> Message {
        let user = format!("new-{}-{}", self.run, self.made);
        let role = if self.random.below(20) == 0 { "seller" } else { "buyer" };
        let payload =
            json!({ "userId": user, "email": format!("{user}@example.com"), "role": role, "registeredAt": time });
        keyed("user.registered", user, &payload)
    }
}

impl Iterator for Generator {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let time = self.time.to_rfc3339_opts(SecondsFormat::Millis, true);
        self.made += 1;
        let mut message = match self.random.below(100) {
            0..85 => self.view(&time),
            85..93 => self.order(&time),
            93..97 => self.rating(&time),
            _ => self.signup(&time),
        };
        message.timestamp = Some(self.time.timestamp_millis());
        self.time += self.step;
        Some(message)
    }
}

fn keyed(topic: &str, key: String, payload: &serde_json::Value) -> Message {
    Message { key: Some(key), ..Message::json(topic, payload) }
}

/// The SplitMix64 generator: small, with the same sequence on every machine and in every version.
pub struct Random(pub u64);

impl Random {
    /// Returns the next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to `end - 1`.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Returns a number from 0 to 1, without 1.
    pub fn fraction(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let numerator = (self.next() >> 11) as f64;
        numerator / (1_u64 << 53) as f64
    }
}
