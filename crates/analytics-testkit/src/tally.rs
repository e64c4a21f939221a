//! Computes the expected metrics of generated traffic independently: from the payloads, without the
//! service's rules. Generated events all name their vendors, and none repeats another.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::broker::Message;
use crate::service::Service;

/// The expected metrics of the messages added to it.
#[derive(Debug, Default)]
pub struct Tally {
    metrics: BTreeMap<String, i64>,
    /// Time and stars of each user's latest rating, by target and user. Generated times never
    /// repeat within a run.
    ratings: HashMap<(String, String), (String, i64)>,
    messages: i64,
}

impl Tally {
    /// Adds one message.
    ///
    /// # Panics
    /// If it was not made by the traffic generator.
    pub fn add(&mut self, message: &Message) {
        let payload: Value = serde_json::from_slice(message.payload.as_deref().expect("a payload")).expect("JSON");
        self.messages += 1;
        match message.topic.as_str() {
            "product.viewed" => {
                self.count("total_views".into(), 1);
                self.count(format!("product_views:{}", text(&payload["productId"])), 1);
                self.count(format!("seller_views:{}", text(&payload["vendorId"])), 1);
            }
            "order.created" => self.order(&payload),
            "rating.updated" => {
                let rated = (text(&payload["updatedAt"]), payload["rating"].as_i64().expect("stars"));
                for target in [
                    format!("product_rating:{}", text(&payload["productId"])),
                    format!("seller_rating:{}", text(&payload["vendorId"])),
                ] {
                    let latest =
                        self.ratings.entry((target, text(&payload["userId"]))).or_insert_with(|| rated.clone());
                    if rated.0 > latest.0 {
                        *latest = rated.clone();
                    }
                }
            }
            "user.registered" => self.count("total_signups".into(), 1),
            other => panic!("{other} is not a topic of the traffic generator"),
        }
    }

    fn order(&mut self, payload: &Value) {
        self.count("total_orders".into(), 1);
        let currency = match payload["currency"].as_str() {
            Some("USD") => String::new(),
            other => format!(":{}", other.expect("a currency")),
        };
        let (mut vendors, mut products) = (BTreeSet::new(), BTreeSet::new());
        for line in payload["items"].as_array().expect("lines") {
            let (product, vendor) = (text(&line["productId"]), text(&line["vendorId"]));
            let units = line["quantity"].as_i64().expect("units");
            let cents: i64 = text(&line["unitPrice"]).replace('.', "").parse().expect("a price with two decimals");
            self.count("total_units".into(), units);
            self.count(format!("total_revenue{currency}"), cents * units);
            self.count(format!("product_revenue:{product}{currency}"), cents * units);
            self.count(format!("seller_revenue:{vendor}{currency}"), cents * units);
            // Nothing is taken back.
            self.count(format!("total_net_revenue{currency}"), cents * units);
            self.count(format!("seller_net_revenue:{vendor}{currency}"), cents * units);
            self.count(format!("product_units:{product}"), units);
            self.count(format!("seller_units:{vendor}"), units);
            vendors.insert(vendor);
            products.insert(product);
        }
        for vendor in vendors {
            self.count(format!("seller_orders:{vendor}"), 1);
        }
        for product in products {
            self.count(format!("product_orders:{product}"), 1);
        }
    }

    fn count(&mut self, metric: String, amount: i64) {
        *self.metrics.entry(metric).or_default() += amount;
    }

    /// Asserts that the service's tables contain the expected events and metrics, that metrics are
    /// the sums of their days, and that there are no dead letters.
    ///
    /// # Panics
    /// If anything differs. The message lists the differences.
    pub fn assert_counted(&self, service: &Service) {
        let database = &service.database;
        assert_eq!(
            database.number("SELECT count(*) FROM event_logs"),
            Some(self.messages),
            "number of events in the log"
        );
        let mut expected: Vec<String> =
            self.metrics.iter().map(|(metric, value)| format!("{metric} {value}")).collect();
        for (target, (sum, count)) in self.averages() {
            expected.push(format!("{target} {}", (sum * 200 + count) / (count * 2)));
        }
        expected.sort();
        let counted = database.lines(
            "SELECT type || ' ' || value FROM metrics \
             WHERE type NOT LIKE 'daily\\_signups:%' AND type NOT LIKE 'conversion\\_rate:%' AND type NOT LIKE 'refund\\_rate:%'",
        );
        let mut counted: Vec<String> = counted;
        counted.sort();
        let wrong: Vec<_> = counted.iter().filter(|line| expected.binary_search(line).is_err()).collect();
        let missing: Vec<_> = expected.iter().filter(|line| counted.binary_search(line).is_err()).collect();
        assert!(wrong.is_empty() && missing.is_empty(), "counted {wrong:?}, expected {missing:?}");
        let unequal = "SELECT count(*) FROM (SELECT metric_type, sum(value) AS days FROM metric_rollups \
             WHERE granularity = 'day' GROUP BY 1) r JOIN metrics m ON m.type = r.metric_type WHERE m.value <> r.days";
        assert_eq!(database.number(unequal), Some(0), "number of metrics that are not the sum of their days");
        assert_eq!(database.number("SELECT count(*) FROM dead_letters"), Some(0), "number of dead letters");
    }

    fn averages(&self) -> BTreeMap<&str, (i64, i64)> {
        let mut averages = BTreeMap::new();
        for ((target, _), (_, stars)) in &self.ratings {
            let (sum, count) = averages.entry(target.as_str()).or_insert((0, 0));
            *sum += stars;
            *count += 1;
        }
        averages
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
