//! What a stream must come to, worked out beside the service: with none of its code, from what
//! the generator knows of each event, by the words of the design.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// One line of an order, as the generator made it.
#[derive(Debug, Clone)]
pub struct Line {
    /// The product's id.
    pub product: String,
    /// The seller's id.
    pub vendor: String,
    /// Units.
    pub quantity: i64,
    /// Minor units of the currency, for all units together.
    pub amount: i64,
    /// The currency's code.
    pub currency: &'static str,
}

/// The right answers, as far as the stream was generated.
#[derive(Debug, Default)]
pub struct Answers {
    /// Counters by metric type.
    counters: BTreeMap<String, i64>,
    /// Counters by metric type, granularity and beginning in epoch milliseconds.
    rollups: BTreeMap<(String, &'static str, i64), i64>,
    /// Orders and views of each seller.
    conversions: BTreeMap<String, (i64, i64)>,
    /// Each user's latest rating of each target: time and stars.
    ratings: HashMap<(String, String), (i64, i64)>,
    /// The numbers of the events that must be in the log.
    pub logged: BTreeSet<u64>,
    /// Dead letters by reason.
    pub letters: BTreeMap<&'static str, i64>,
    /// Records that repeat an event.
    pub duplicates: i64,
    /// Lines of orders.
    pub lines: i64,
}

impl Answers {
    /// A view was made.
    pub fn view(&mut self, n: u64, product: &str, vendor: &str, time: i64) {
        self.logged.insert(n);
        self.total("total_views", 1, time);
        self.of_seller("seller_views", vendor, "", 1, time);
        self.of_product("product_views", product, "", 1, time);
        self.conversions.entry(vendor.to_owned()).or_default().1 += 1;
    }

    /// An order was made.
    pub fn order(&mut self, n: u64, lines: &[Line], time: i64) {
        self.logged.insert(n);
        self.lines += i64::try_from(lines.len()).expect("few lines");
        self.total("total_orders", 1, time);
        for vendor in lines.iter().map(|line| line.vendor.as_str()).collect::<BTreeSet<_>>() {
            self.of_seller("seller_orders", vendor, "", 1, time);
            self.conversions.entry(vendor.to_owned()).or_default().0 += 1;
        }
        for line in lines {
            let currency = if line.currency == "USD" { String::new() } else { format!(":{}", line.currency) };
            self.total("total_units", line.quantity, time);
            self.of_seller("seller_units", &line.vendor, "", line.quantity, time);
            self.of_product("product_units", &line.product, "", line.quantity, time);
            self.total(&format!("total_revenue{currency}"), line.amount, time);
            self.of_seller("seller_revenue", &line.vendor, &currency, line.amount, time);
            self.of_product("product_revenue", &line.product, &currency, line.amount, time);
        }
    }

    /// A rating was made or edited. No two ratings of a target by a user have the same time.
    pub fn rating(&mut self, n: u64, user: &str, product: &str, vendor: &str, stars: i64, time: i64) {
        self.logged.insert(n);
        for target in [format!("product_rating:{product}"), format!("seller_rating:{vendor}")] {
            let latest = self.ratings.entry((target, user.to_owned())).or_insert((time, stars));
            if time > latest.0 {
                *latest = (time, stars);
            }
        }
    }

    /// A user signed up.
    pub fn signup(&mut self, n: u64, time: i64) {
        self.logged.insert(n);
        self.total("total_signups", 1, time);
        let day = DateTime::from_timestamp_millis(time).expect("a time").format("%Y-%m-%d");
        let daily = format!("daily_signups:{day}");
        *self.counters.entry(daily.clone()).or_default() += 1;
        *self.rollups.entry((daily, "day", time.div_euclid(DAY) * DAY)).or_default() += 1;
    }

    /// A record was made that must become a dead letter.
    pub fn reject(&mut self, reason: &'static str) {
        *self.letters.entry(reason).or_default() += 1;
    }

    fn total(&mut self, metric: &str, amount: i64, time: i64) {
        self.count(metric.to_owned(), amount, time, &[("hour", HOUR), ("day", DAY)]);
    }

    fn of_seller(&mut self, metric: &str, vendor: &str, currency: &str, amount: i64, time: i64) {
        self.count(format!("{metric}:{vendor}{currency}"), amount, time, &[("hour", HOUR), ("day", DAY)]);
    }

    /// Products have days only.
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

    /// All metrics: the type, and its value with what it is made of.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, String> {
        let counters = self.counters.iter().map(|(metric, value)| (metric.clone(), value.to_string()));
        let rates = self.conversions.iter().map(|(vendor, (orders, views))| {
            let rate = if *views == 0 { "null".to_owned() } else { half_up(orders * 10_000, *views).to_string() };
            (format!("conversion_rate:{vendor}"), format!("{rate} numerator={orders} denominator={views}"))
        });
        counters.chain(rates).chain(self.averages()).collect()
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

    /// All rollups: the type, the granularity and the beginning in epoch seconds, and the value.
    /// That hours sum to days and days to totals follows from every one of them being right.
    #[must_use]
    pub fn buckets(&self) -> BTreeMap<String, String> {
        let line = |((metric, width, start), value): (&(String, &str, i64), &i64)| {
            (format!("{metric} {width} {}", start / 1000), value.to_string())
        };
        self.rollups.iter().map(line).collect()
    }

    /// All ratings that stand: target and user, and the stars.
    #[must_use]
    pub fn standing(&self) -> BTreeMap<String, String> {
        let line = |((target, user), (_, stars)): (&(String, String), &(i64, i64))| {
            (format!("{target} {user}"), stars.to_string())
        };
        self.ratings.iter().map(line).collect()
    }
}

fn half_up(numerator: i64, denominator: i64) -> i64 {
    (numerator * 2 + denominator) / (denominator * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_stream_comes_to_what_a_hand_works_out() {
        let mut answers = Answers::default();
        answers.view(1, "p", "v", 0);
        answers.view(2, "p", "v", DAY - 1);
        answers.view(3, "q", "v", DAY);
        let line =
            |quantity, amount, currency| Line { product: "p".into(), vendor: "v".into(), quantity, amount, currency };
        answers.order(4, &[line(2, 500, "USD"), line(1, 7, "JPY")], HOUR);
        answers.rating(5, "u", "p", "v", 2, 10);
        answers.rating(6, "u", "p", "v", 5, 20);
        answers.rating(7, "w", "p", "v", 4, 5);
        answers.signup(8, DAY);
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
