//! Computes the expected results of a stream independently of the service: without its code, from
//! what the generator knows about each event, by the rules of the design.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;

use super::reversals::{Claim, Reversals, Taken};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// One line of a generated order.
#[derive(Debug, Clone)]
pub struct Line {
    /// The product's id.
    pub product: String,
    /// The seller's id.
    pub vendor: String,
    /// Number of units.
    pub quantity: i64,
    /// Amount for all units together, in minor units of the currency.
    pub amount: i64,
    /// The currency's code.
    pub currency: &'static str,
}

/// When an order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// As soon as it is created.
    AtOnce,
    /// Once it is paid.
    OncePaid,
}

/// The expected effect of a record.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A view. One without an identity other than its place counts each time that Kafka holds it.
    View {
        /// The product's id.
        product: String,
        /// The seller's id.
        vendor: String,
        /// Epoch milliseconds.
        time: i64,
        /// Whether it has an identity other than its place.
        identified: bool,
    },
    /// An order, identified by its order id.
    Order {
        /// The lines of the order.
        lines: Vec<Line>,
        /// Epoch milliseconds.
        time: i64,
        /// When it counts.
        counts: Counts,
    },
    /// The payment of the order that a record of this number creates.
    Payment {
        /// The number of the order's record.
        order: u64,
    },
    /// A new or edited rating. No two ratings of a target by the same user have the same time.
    Rating {
        /// The user's id.
        user: String,
        /// The product's id.
        product: String,
        /// The seller's id.
        vendor: String,
        /// 1 to 5.
        stars: i64,
        /// Epoch milliseconds.
        time: i64,
    },
    /// A cancellation or a refund of the order that a record of this number creates. No two of an order have the
    /// same time.
    Reversal {
        /// The number of the order's record.
        order: u64,
        /// What it takes back.
        claim: Claim,
        /// Epoch milliseconds.
        time: i64,
    },
    /// A user who signed up.
    Signup {
        /// Epoch milliseconds.
        time: i64,
    },
    /// A repetition of an earlier record's event, which is not counted again.
    Repetition,
    /// A dead letter with this reason, for each time that Kafka holds the record.
    Rejected(&'static str),
}

/// The expected results for what Kafka holds.
#[derive(Debug, Default)]
pub struct Answers {
    /// Counters by metric type.
    counters: BTreeMap<String, i64>,
    /// Counters by metric type, granularity and start of the bucket in epoch milliseconds.
    rollups: BTreeMap<(String, &'static str, i64), i64>,
    /// Orders, and what is taken back of them.
    pub reversals: Reversals,
    /// The orders that are not paid, by the numbers of their records.
    unpaid: BTreeMap<u64, (Vec<Line>, i64)>,
    /// The orders that were paid after they were created.
    payments: BTreeSet<u64>,
    /// Number of orders and number of views, by seller.
    conversions: BTreeMap<String, (i64, i64)>,
    /// Time and stars of the latest rating, by target and user.
    ratings: HashMap<(String, String), (i64, i64)>,
    /// How often each event must be in the event log, by the number of its record.
    pub logged: BTreeMap<u64, u32>,
    /// Number of dead letters by reason.
    pub letters: BTreeMap<&'static str, i64>,
    /// Number of lines of orders.
    pub lines: i64,
}

impl Answers {
    /// Adds the effect of record number `n`, which Kafka holds `times` times.
    pub fn record(&mut self, n: u64, effect: &Effect, times: u32) {
        let once = !matches!(effect, Effect::View { identified: false, .. } | Effect::Rejected(_));
        for _ in 0..if once { times.min(1) } else { times } {
            match effect {
                Effect::View { product, vendor, time, .. } => self.view(product, vendor, *time),
                Effect::Order { lines, time, counts } => {
                    self.lines += i64::try_from(lines.len()).expect("few lines");
                    match counts {
                        Counts::AtOnce => self.order(n, lines, *time),
                        Counts::OncePaid => drop(self.unpaid.insert(n, (lines.clone(), *time))),
                    }
                }
                Effect::Payment { order } => drop(self.payments.insert(*order)),
                Effect::Reversal { order, claim, time } => self.reversals.reversal(*order, *time, claim.clone()),
                Effect::Rating { user, product, vendor, stars, time } => {
                    self.rating(user, product, vendor, *stars, *time);
                }
                Effect::Signup { time } => self.signup(*time),
                Effect::Repetition => continue,
                Effect::Rejected(reason) => {
                    *self.letters.entry(reason).or_default() += 1;
                    continue;
                }
            }
            *self.logged.entry(n).or_default() += 1;
        }
    }

    fn view(&mut self, product: &str, vendor: &str, time: i64) {
        self.total("total_views", 1, time);
        self.of_seller("seller_views", vendor, "", 1, time);
        self.of_product("product_views", product, "", 1, time);
        self.conversions.entry(vendor.to_owned()).or_default().1 += 1;
    }

    fn order(&mut self, n: u64, lines: &[Line], time: i64) {
        self.reversals.order(n, lines);
        self.total("total_orders", 1, time);
        for vendor in lines.iter().map(|line| line.vendor.as_str()).collect::<BTreeSet<_>>() {
            self.of_seller("seller_orders", vendor, "", 1, time);
            self.conversions.entry(vendor.to_owned()).or_default().0 += 1;
        }
        for product in lines.iter().map(|line| line.product.as_str()).collect::<BTreeSet<_>>() {
            self.of_product("product_orders", product, "", 1, time);
        }
        for line in lines {
            let currency = suffix(line.currency);
            self.total("total_units", line.quantity, time);
            self.of_seller("seller_units", &line.vendor, "", line.quantity, time);
            self.of_product("product_units", &line.product, "", line.quantity, time);
            self.total(&format!("total_revenue{currency}"), line.amount, time);
            self.of_seller("seller_revenue", &line.vendor, &currency, line.amount, time);
            self.net(&line.vendor, &currency, line.amount, time);
            self.of_product("product_revenue", &line.product, &currency, line.amount, time);
        }
    }

    /// Adds what is left of revenue.
    fn net(&mut self, vendor: &str, currency: &str, amount: i64, time: i64) {
        self.total(&format!("total_net_revenue{currency}"), amount, time);
        self.of_seller("seller_net_revenue", vendor, currency, amount, time);
    }

    /// Counts the orders that were paid later, once all orders and payments are known.
    pub fn pay(&mut self) {
        for order in std::mem::take(&mut self.payments) {
            if let Some((lines, time)) = self.unpaid.remove(&order) {
                self.order(order, &lines, time);
            }
        }
    }

    /// Returns how many orders are not paid.
    #[must_use]
    pub fn unpaid(&self) -> usize {
        self.unpaid.len()
    }

    /// Adds what is taken back, once all orders that count and all reversals are known.
    pub fn take_back(&mut self) {
        for Taken { time, lines, excess, cancelled } in self.reversals.taken() {
            for (line, amount, units) in lines {
                let currency = suffix(line.currency);
                self.total("refunded_units", units, time);
                self.total(&format!("total_refunds{currency}"), amount, time);
                self.of_seller("seller_refunds", &line.vendor, &currency, amount, time);
                self.of_product("product_refunds", &line.product, &currency, amount, time);
                self.net(&line.vendor, &currency, -amount, time);
            }
            if let Some((amount, currency)) = excess {
                self.total(&format!("excess_refunds{}", suffix(currency)), amount, time);
            }
            if cancelled {
                self.total("cancelled_orders", 1, time);
            }
        }
        // What was taken and given back again is 0 in the service.
        let is_something = |metric: &str, value: i64| value != 0 || !is_of_refunds(metric);
        self.counters.retain(|metric, value| is_something(metric, *value));
        self.rollups.retain(|(metric, ..), value| is_something(metric, *value));
    }

    fn rating(&mut self, user: &str, product: &str, vendor: &str, stars: i64, time: i64) {
        for target in [format!("product_rating:{product}"), format!("seller_rating:{vendor}")] {
            let latest = self.ratings.entry((target, user.to_owned())).or_insert((time, stars));
            if time > latest.0 {
                *latest = (time, stars);
            }
        }
    }

    fn signup(&mut self, time: i64) {
        self.total("total_signups", 1, time);
        let day = DateTime::from_timestamp_millis(time).expect("a time").format("%Y-%m-%d");
        let daily = format!("daily_signups:{day}");
        *self.counters.entry(daily.clone()).or_default() += 1;
        *self.rollups.entry((daily, "day", time.div_euclid(DAY) * DAY)).or_default() += 1;
    }

    fn total(&mut self, metric: &str, amount: i64, time: i64) {
        self.count(metric.to_owned(), amount, time, &[("hour", HOUR), ("day", DAY)]);
    }

    fn of_seller(&mut self, metric: &str, vendor: &str, currency: &str, amount: i64, time: i64) {
        self.count(format!("{metric}:{vendor}{currency}"), amount, time, &[("hour", HOUR), ("day", DAY)]);
    }

    /// Adds to a metric of a product. Products have rollups by day only.
    fn of_product(&mut self, metric: &str, product: &str, currency: &str, amount: i64, time: i64) {
        self.count(format!("{metric}:{product}{currency}"), amount, time, &[("day", DAY)]);
    }

    fn count(&mut self, metric: String, amount: i64, time: i64, widths: &[(&'static str, i64)]) {
        for (name, width) in widths {
            let bucket = (metric.clone(), *name, time.div_euclid(*width) * width);
            *self.rollups.entry(bucket).or_default() += amount;
        }
        *self.counters.entry(metric).or_default() += amount;
    }

    /// Returns all metrics: by type, the value and the figures that it is made of.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, String> {
        let counters = self.counters.iter().map(|(metric, value)| (metric.clone(), value.to_string()));
        let rates = self.conversions.iter().map(|(vendor, (orders, views))| {
            let rate = if *views == 0 { "null".to_owned() } else { half_up(orders * 10_000, *views).to_string() };
            (format!("conversion_rate:{vendor}"), format!("{rate} numerator={orders} denominator={views}"))
        });
        let of = |metric: &str| self.counters.get(metric).copied().unwrap_or(0);
        let sellers = self.counters.keys().filter_map(|metric| {
            metric.strip_prefix("seller_revenue:").or_else(|| metric.strip_prefix("seller_refunds:"))
        });
        let refunds = sellers.map(|of_whom| {
            let (refunds, revenue) =
                (of(&format!("seller_refunds:{of_whom}")), of(&format!("seller_revenue:{of_whom}")));
            let rate = if revenue == 0 { "null".to_owned() } else { half_up(refunds * 10_000, revenue).to_string() };
            (format!("refund_rate:{of_whom}"), format!("{rate} numerator={refunds} denominator={revenue}"))
        });
        counters.chain(rates).chain(refunds).chain(self.averages()).collect()
    }

    fn averages(&self) -> BTreeMap<String, String> {
        let mut histograms: BTreeMap<&str, [i64; 5]> = BTreeMap::new();
        for ((target, _), (_, stars)) in &self.ratings {
            let slot = usize::try_from(stars - 1).expect("1 to 5 stars");
            histograms.entry(target).or_default()[slot] += 1;
        }
        let line = |(target, histogram): (&str, [i64; 5])| {
            let count: i64 = histogram.iter().sum();
            let sum: i64 = (1..).zip(histogram).map(|(stars, ratings): (i64, i64)| stars * ratings).sum();
            let [one, two, three, four, five] = histogram;
            let made_of = format!("count={count} sum={sum} histogram={one},{two},{three},{four},{five}");
            (target.to_owned(), format!("{} {made_of}", half_up(sum * 100, count)))
        };
        histograms.into_iter().map(line).collect()
    }

    /// Returns the values of all rollups by type, granularity and start in epoch seconds. If each
    /// of them is right, hours sum to days and days to totals.
    #[must_use]
    pub fn buckets(&self) -> BTreeMap<String, String> {
        let line = |((metric, width, start), value): (&(String, &str, i64), &i64)| {
            (format!("{metric} {width} {}", start / 1000), value.to_string())
        };
        self.rollups.iter().map(line).collect()
    }

    /// Returns the stars of all current ratings by target and user.
    #[must_use]
    pub fn standing(&self) -> BTreeMap<String, String> {
        let line = |((target, user), (_, stars)): (&(String, String), &(i64, i64))| {
            (format!("{target} {user}"), stars.to_string())
        };
        self.ratings.iter().map(line).collect()
    }
}

/// Returns how the types of metrics in a currency end.
fn suffix(currency: &str) -> String {
    if currency == "USD" { String::new() } else { format!(":{currency}") }
}

/// Whether a metric of this type may be 0 without anything that counts for it.
#[must_use]
pub fn is_of_refunds(metric: &str) -> bool {
    ["_refunds", "refunded_units", "_net_revenue"].iter().any(|part| metric.contains(part))
}

fn half_up(numerator: i64, denominator: i64) -> i64 {
    (numerator * 2 + denominator) / (denominator * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_stream_gives_results_computed_by_hand() {
        let mut answers = Answers::default();
        let view = |product: &str, time, identified| Effect::View {
            product: product.into(),
            vendor: "v".into(),
            time,
            identified,
        };
        let line =
            |quantity, amount, currency| Line { product: "p".into(), vendor: "v".into(), quantity, amount, currency };
        let rating = |user: &str, stars, time| Effect::Rating {
            user: user.into(),
            product: "p".into(),
            vendor: "v".into(),
            stars,
            time,
        };
        let order =
            Effect::Order { lines: vec![line(2, 500, "USD"), line(1, 7, "JPY")], time: HOUR, counts: Counts::AtOnce };
        // A record that Kafka holds more than once repeats its event if the event has an identity.
        for (n, (effect, times)) in (1..).zip([
            (view("p", 0, true), 3),
            (view("p", DAY - 1, false), 1),
            (view("q", DAY, false), 1),
            (order, 2),
            (rating("u", 2, 10), 1),
            (rating("u", 5, 20), 2),
            (rating("w", 4, 5), 1),
            (Effect::Signup { time: DAY }, 1),
            (Effect::Repetition, 2),
            (Effect::Rejected("not_json"), 2),
            (view("q", DAY, true), 0),
        ]) {
            answers.record(n, &effect, times);
        }
        assert_eq!(answers.letters["not_json"], 2);
        assert_eq!(answers.logged.keys().copied().collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
        let mut again = Answers::default();
        again.record(1, &view("p", 0, false), 2);
        assert_eq!(
            (again.metrics()["total_views"].as_str(), again.logged[&1]),
            ("2", 2),
            "a view without another identity counts once per place"
        );
        let metrics = answers.metrics();
        for (metric, value) in [
            ("total_views", "3"),
            ("product_views:p", "2"),
            ("total_revenue", "500"),
            ("seller_revenue:v:JPY", "7"),
            ("seller_orders:v", "1"),
            ("product_units:p", "3"),
            ("conversion_rate:v", "3333 numerator=1 denominator=3"),
            ("product_rating:p", "450 count=2 sum=9 histogram=0,0,0,1,1"),
            ("daily_signups:1970-01-02", "1"),
        ] {
            assert_eq!(metrics[metric], value, "{metric}");
        }
        assert_eq!(answers.buckets()["total_views day 0"], "2");
        assert_eq!(answers.buckets()["total_units hour 3600"], "3");
        assert_eq!(answers.standing()["seller_rating:v u"], "5");
    }
}
