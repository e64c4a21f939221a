//! Generates the stream of records that is counted during a fault, and keeps the expected effect of
//! each record. Every record carries its number in a header, by which it is found in Kafka, and in
//! the field `n` of its payload, by which a lost or duplicated event is identified.

mod reversal;

use std::collections::BTreeMap;

use chrono::Utc;
use serde_json::{Value, json};

use analytics_testkit::broker::Message;
use analytics_testkit::traffic::Random;

use self::reversal::Reversible;
use super::answers::{Answers, Counts, Effect, Line};
use super::traits::Traits;
use super::written::{decimal, keyed, written};

/// Products and vendors of a short stream.
const FEW: (u64, u64) = (150, 12);
/// Products and vendors of a stream with at least [`LONG`] records: those of a large marketplace.
const MANY: (u64, u64) = (100_000, 5_000);
/// From this many records on, a stream is long.
const LONG: i64 = 50_000;
/// Maximum number of earlier records that are kept to be repeated, contradicted or edited.
const REMEMBERED: usize = 4_000;
const HOUR: i64 = 3_600_000;
/// Period over which the times of events are spread, in milliseconds.
const SPAN: i64 = 30 * HOUR;

/// The setting `MAX_RECORD_BYTES` of the workers. Larger records are rejected.
pub const MAX_RECORD_BYTES: usize = 32_768;

/// Name of the header with a record's number.
pub const NUMBER: &str = "torture-number";

/// An earlier record that may be repeated, contradicted or edited.
enum Remembered {
    /// A record that can be sent again, as a duplicate.
    Repeatable(Message),
    /// An order whose payload has no time. It may be repeated with another record timestamp.
    Timeless(Message),
    /// An order, with its payload, that can be contradicted by another record with the same key.
    Order(Message, Value),
    /// A rating that can be edited: its id, user, product and vendor, and the times used before.
    Rating(String, String, String, String, Vec<i64>),
}

/// Generates records, and keeps the expected effect of each.
pub struct Stream {
    /// The expected effects of the records, in order.
    effects: Vec<Effect>,
    random: Random,
    traits: Traits,
    /// Prefix of ids, so that two streams share none.
    name: String,
    start: i64,
    step: i64,
    made: u64,
    first: u64,
    /// How many products there are, and how many vendors.
    marketplace: (u64, u64),
    remembered: Vec<Remembered>,
    /// Orders that can be reversed.
    orders: Vec<Reversible>,
}

/// Returns how many products and how many vendors a stream of so many records has.
pub(crate) const fn marketplace(records: i64) -> (u64, u64) {
    if records < LONG { FEW } else { MANY }
}

impl Stream {
    /// Returns a stream whose event times are spaced for about `records` records. With `phantom`,
    /// the records must not be counted: their numbers begin at 1,000,000,000, far from all others.
    #[must_use]
    pub fn new(seed: u64, records: u64, traits: Traits, phantom: bool) -> Self {
        let records = i64::try_from(records).expect("a number that fits in 64 bits").max(1);
        let now = Utc::now().timestamp_millis();
        Self {
            effects: Vec::new(),
            random: Random(seed ^ u64::from(phantom)),
            traits,
            name: if phantom { "phantom".into() } else { "s".into() },
            start: now - SPAN - HOUR,
            step: (SPAN / records).max(1),
            made: 0,
            first: if phantom { 1_000_000_000 } else { 1 },
            marketplace: marketplace(records),
            remembered: Vec::new(),
            orders: Vec::new(),
        }
    }

    /// Returns the expected results if Kafka holds each record as often as `held` says, and the
    /// numbers of the records that are missing in `held`.
    #[must_use]
    pub fn answers(&self, held: &BTreeMap<u64, u32>) -> (Answers, Vec<u64>) {
        let (mut answers, mut missing) = (Answers::default(), Vec::new());
        for (n, effect) in (self.first..).zip(&self.effects) {
            match held.get(&n) {
                Some(times) => answers.record(n, effect, *times),
                None => missing.push(n),
            }
        }
        answers.pay();
        answers.take_back();
        (answers, missing)
    }

    /// Returns how many records were generated.
    #[must_use]
    pub fn made(&self) -> i64 {
        i64::try_from(self.made).expect("a number that fits in 64 bits")
    }

    /// Returns the next `records` records.
    pub fn take(&mut self, records: u64) -> Vec<Message> {
        (0..records).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Message {
        let n = self.first + self.made;
        self.made += 1;
        let (mut message, effect) = self.make(n);
        self.effects.push(effect);
        message.headers.push((NUMBER.into(), n.to_string().into()));
        message
    }

    fn make(&mut self, n: u64) -> (Message, Effect) {
        let bad = if self.traits.bad_records { 30 } else { 3 };
        if self.random.below(1000) < bad {
            return self.bad(n);
        }
        if self.traits.refused_records && self.random.below(2000) == 0 {
            return self.refused(n);
        }
        if self.traits.hostile_records && self.random.below(50) == 0 {
            return self.hostile(n);
        }
        match self.random.below(100) {
            0..50 => self.view(n),
            50..58 if self.traits.no_reversals => self.view(n),
            50..54 if self.traits.unpaid_orders => self.payment(n),
            50..58 => self.reversal(n),
            58..72 => self.order(n),
            72..80 => self.rating(n),
            80..84 => self.edited_rating(n),
            84..90 => self.signup(n),
            90..98 => self.repetition(n),
            _ => self.conflict(n),
        }
    }

    /// Returns the time of an event and the timestamp of its record, in epoch milliseconds.
    fn times(&mut self) -> (i64, i64) {
        let honest = self.start + self.step * self.made();
        if !self.traits.jumping_clocks {
            return (honest, honest);
        }
        let now = Utc::now().timestamp_millis();
        let jump = |random: &mut Random| match random.below(10) {
            0 => honest - 20 * 365 * 24 * HOUR,
            1 => honest - 400 * 24 * HOUR,
            2 | 3 => honest - i64::try_from(random.below(30)).expect("small") * HOUR,
            4 => now + i64::try_from(random.below(30 * 60_000)).expect("small"),
            _ => honest,
        };
        (jump(&mut self.random), jump(&mut self.random))
    }

    fn product(&mut self) -> (String, String) {
        let (products, vendors) = self.marketplace;
        // Half of the records are about few products, so that workers want the same rows. Lower numbers are more frequent.
        let among = if self.random.below(2) == 0 { FEW.0 } else { products };
        let number = self.random.below(among).min(self.random.below(among));
        (format!("p-{number}"), format!("v-{}", number % vendors))
    }

    fn remember(&mut self, what: Remembered) {
        if self.remembered.len() < REMEMBERED {
            self.remembered.push(what);
        } else {
            let slot = usize::try_from(self.random.below(REMEMBERED as u64)).expect("small");
            self.remembered[slot] = what;
        }
    }

    /// Removes and returns one remembered record for which `wanted` holds.
    fn recall(&mut self, wanted: fn(&Remembered) -> bool) -> Option<Remembered> {
        let length = self.remembered.len();
        let from = usize::try_from(self.random.below(length.max(1) as u64)).expect("small");
        let found = (0..length).map(|step| (from + step) % length).find(|slot| wanted(&self.remembered[*slot]))?;
        Some(self.remembered.swap_remove(found))
    }

    fn view(&mut self, n: u64) -> (Message, Effect) {
        let (product, vendor) = self.product();
        let (time, stamp) = self.times();
        let id = format!("{}-view-{n}", self.name);
        let mut payload = json!({ "productId": product, "vendorId": vendor, "n": n });
        // Of twelve forms of views, five have no identity other than their place, and one of these
        // has no time in its payload.
        let form = self.random.below(12);
        let timeless = form == 0;
        if !timeless {
            payload["viewedAt"] = written(time, n);
        }
        if form >= 8 {
            payload["eventId"] = id.clone().into();
        }
        let mut message = keyed("product.viewed", &product, stamp, &payload);
        if form == 6 || form == 7 {
            message.headers = vec![("event-id".into(), id.into())];
        } else if form == 5 {
            message.headers = vec![("ce_id".into(), id.into()), ("ce_source".into(), "/torture".into())];
            message.headers.push(("ce_specversion".into(), "1.0".into()));
            message.headers.push(("ce_type".into(), "product.viewed".into()));
        }
        let identified = form >= 5;
        if identified {
            self.remember(Remembered::Repeatable(message.clone()));
        }
        (message, Effect::View { product, vendor, time: if timeless { stamp } else { time }, identified })
    }

    fn order(&mut self, n: u64) -> (Message, Effect) {
        let (time, stamp) = self.times();
        let count = 1 + self.random.below(4);
        let (lines, items): (Vec<Line>, Vec<Value>) = (0..count).map(|_| self.line()).unzip();
        let timeless = self.random.below(3) == 0;
        let order = format!("{}-order-{n}", self.name);
        let mut payload = json!({ "orderId": order, "userId": format!("u-{}", n % 997), "items": items, "n": n });
        if !timeless {
            payload["placedAt"] = written(time, n);
        }
        let is_paid = self.random.below(3) > 0;
        if self.traits.unpaid_orders && (is_paid || n.is_multiple_of(2)) {
            payload["paymentStatus"] = if is_paid { "paid" } else { "PENDING" }.into();
        }
        let counts = if self.traits.unpaid_orders && !is_paid { Counts::OncePaid } else { Counts::AtOnce };
        let message = keyed("order.created", &order, stamp, &payload);
        self.remember_order(Reversible::new(n, order, &lines, counts));
        let lot = self.random.below(3);
        self.remember(match (timeless, lot) {
            (true, _) => Remembered::Timeless(message.clone()),
            (false, 0) => Remembered::Order(message.clone(), payload),
            (false, _) => Remembered::Repeatable(message.clone()),
        });
        (message, Effect::Order { lines, time: if timeless { stamp } else { time }, counts })
    }

    fn line(&mut self) -> (Line, Value) {
        let (product, vendor) = self.product();
        let quantity = i64::try_from(self.random.below(5)).expect("small");
        let unit = i64::try_from(self.random.below(90_000)).expect("small");
        let (currency, digits) = [("USD", 2), ("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3)]
            [usize::try_from(self.random.below(5)).expect("small")];
        let amount = unit * quantity;
        let mut item = json!({ "productId": product, "vendorId": vendor, "currency": currency, "quantity": quantity });
        if self.random.below(2) == 0 {
            item["unitPrice"] = decimal(unit, digits).into();
        } else {
            item["totalPrice"] = decimal(amount, digits).into();
        }
        (Line { product, vendor, quantity, amount, currency }, item)
    }

    fn rating(&mut self, n: u64) -> (Message, Effect) {
        let (product, vendor) = self.product();
        // Each user rates once; further ratings by the same user are edits.
        let (id, user) = (format!("{}-rating-{n}", self.name), format!("{}-rater-{n}", self.name));
        self.rate(n, id, user, product, vendor, Vec::new())
    }

    /// A rating with the id of an earlier one, and a later time, or an earlier one as if it was
    /// delayed.
    fn edited_rating(&mut self, n: u64) -> (Message, Effect) {
        match self.recall(|known| matches!(known, Remembered::Rating(..))) {
            Some(Remembered::Rating(id, user, product, vendor, times)) => {
                self.rate(n, id, user, product, vendor, times)
            }
            _ => self.rating(n),
        }
    }

    fn rate(
        &mut self,
        n: u64,
        id: String,
        user: String,
        product: String,
        vendor: String,
        mut used: Vec<i64>,
    ) -> (Message, Effect) {
        let (mut time, stamp) = self.times();
        if !used.is_empty() && self.random.below(4) == 0 {
            time -= 5 * HOUR;
        }
        while used.contains(&time) {
            time += 1;
        }
        used.push(time);
        let stars = 1 + i64::try_from(self.random.below(5)).expect("small");
        let payload = json!({
            "ratingId": id, "userId": user, "productId": product, "vendorId": vendor, "rating": stars,
            "updatedAt": written(time, n), "n": n,
        });
        let effect =
            Effect::Rating { user: user.clone(), product: product.clone(), vendor: vendor.clone(), stars, time };
        let message = keyed("rating.updated", &id, stamp, &payload);
        let repeatable = self.random.below(2) == 0;
        self.remember(if repeatable {
            Remembered::Repeatable(message.clone())
        } else {
            Remembered::Rating(id, user, product, vendor, used)
        });
        (message, effect)
    }

    fn signup(&mut self, n: u64) -> (Message, Effect) {
        let (time, stamp) = self.times();
        let user = format!("{}-user-{n}", self.name);
        let payload = json!({ "userId": user, "role": "buyer", "registeredAt": written(time, n), "n": n });
        let message = keyed("user.registered", &user, stamp, &payload);
        self.remember(Remembered::Repeatable(message.clone()));
        (message, Effect::Signup { time })
    }

    /// A redelivery: the same record again, or the same order with another record timestamp, which
    /// is recognised only by its identity.
    fn repetition(&mut self, n: u64) -> (Message, Effect) {
        let repeatable = |known: &Remembered| matches!(known, Remembered::Repeatable(_) | Remembered::Timeless(_));
        match self.recall(repeatable) {
            Some(Remembered::Repeatable(message)) => (message, Effect::Repetition),
            Some(Remembered::Timeless(mut message)) => {
                // In the same hour, so that the result does not depend on which of the two comes
                // first.
                let stamp = message.timestamp.expect("a timestamp");
                let within = i64::try_from(self.random.below(HOUR.unsigned_abs())).expect("small");
                let moved = stamp.div_euclid(HOUR) * HOUR + within;
                message.timestamp = Some(if self.traits.jumping_clocks { stamp - stamp % 1000 } else { moved });
                (message, Effect::Repetition)
            }
            _ => self.view(n),
        }
    }

    /// An order that contradicts an earlier one. It has the same key, so it is read after it.
    fn conflict(&mut self, n: u64) -> (Message, Effect) {
        let Some(Remembered::Order(mut message, mut payload)) =
            self.recall(|known| matches!(known, Remembered::Order(..)))
        else {
            return self.view(n);
        };
        payload["n"] = n.into();
        payload["items"] = json!([{ "productId": "p-0", "vendorId": "v-0", "unitPrice": "900000.01" }]);
        message.payload = Some(payload.to_string().into_bytes());
        (message, Effect::Rejected("identity_conflict"))
    }

    fn bad(&mut self, n: u64) -> (Message, Effect) {
        let (_, stamp) = self.times();
        let long = || format!(r#"{{"productId":"p-0","n":{n},"long":"{}"}}"#, "x".repeat(MAX_RECORD_BYTES));
        let (topic, payload, reason) = match self.random.below(10) {
            0 => ("product.viewed", String::new(), "empty"),
            1 => ("product.viewed", format!(r#"{{"productId":"p-0","n":{n}"#), "not_json"),
            2 => ("order.created", format!("[{n}]"), "not_an_object"),
            3 => ("product.viewed", format!(r#"{{"productId":"p-0","n":{n},"x":"\u0000"}}"#), "unstorable"),
            4 => ("user.registered", format!(r#"{{"role":"buyer","n":{n}}}"#), "missing_field"),
            5 => ("product.viewed", format!(r#"{{"productId":true,"n":{n}}}"#), "invalid_identifier"),
            6 => ("order.created", format!(r#"{{"orderId":"bad-{n}","total":"-1","n":{n}}}"#), "invalid_amount"),
            7 => {
                let rating = format!(r#"{{"ratingId":"bad-{n}","userId":"u","productId":"p-0","rating":6,"n":{n}}}"#);
                ("rating.updated", rating, "invalid_rating")
            }
            8 => {
                let view = format!(r#"{{"productId":"p-0","viewedAt":"2999-01-01T00:00:00Z","n":{n}}}"#);
                ("product.viewed", view, "invalid_timestamp")
            }
            _ => ("product.viewed", long(), "too_large"),
        };
        (Message { timestamp: Some(stamp), ..Message::json(topic, payload) }, Effect::Rejected(reason))
    }

    /// A valid record that a CHECK constraint of the database refuses.
    fn refused(&mut self, n: u64) -> (Message, Effect) {
        let (time, stamp) = self.times();
        if self.random.below(2) == 0 {
            let (product, vendor) = self.product();
            let payload = json!({ "productId": product, "vendorId": vendor, "viewedAt": written(time, n), "n": n,
                "refuse": "yes" });
            return (keyed("product.viewed", &product, stamp, &payload), Effect::Rejected("unstorable"));
        }
        let (_, item) = self.line();
        let order = format!("{}-refused-{n}", self.name);
        let payload =
            json!({ "orderId": order, "items": [item], "placedAt": written(time, n), "n": n, "refuse": "yes" });
        (keyed("order.created", &order, stamp, &payload), Effect::Rejected("unstorable"))
    }

    /// A record of a kind that once crashed a reader: by an extreme number, by deep nesting, or by
    /// header names that are not UTF-8.
    fn hostile(&mut self, n: u64) -> (Message, Effect) {
        let number = ["1e-9223372036854775808", "1e9223372036854775807", "-1E+99999999999999999999", "1e-200000"]
            [usize::try_from(self.random.below(4)).expect("small")];
        let payload = match self.random.below(3) {
            0 => format!(r#"{{"productId":"p-0","n":{n},"x":{number}}}"#),
            1 => format!(r#"{{"productId":"p-0","n":{n},"x":{}{}}}"#, "[".repeat(12_000), "]".repeat(12_000)),
            _ => {
                let (mut message, effect) = self.view(n);
                message.headers.push((b"\xff\xfename".to_vec(), b"\x00\xff".to_vec()));
                return (message, effect);
            }
        };
        let (_, stamp) = self.times();
        let message = Message { timestamp: Some(stamp), ..Message::json("product.viewed", payload) };
        (message, Effect::Rejected("unstorable"))
    }
}
