//! Measures requests to every list route, as dashboards and people send them.

use std::time::Instant;

use chrono::{DateTime, Duration, Utc};

use super::api::Plan;
use super::report::percentile;
use analytics_testkit::client::Client;
use analytics_testkit::database::Database;
use analytics_testkit::traffic::{Marketplace, Random};

/// Latencies of one kind of request.
#[derive(Debug, Clone)]
pub struct Latency {
    /// Name of the kind.
    pub name: String,
    /// Median in milliseconds.
    pub p50: f64,
    /// 99th percentile in milliseconds.
    pub p99: f64,
    /// Bar for the 99th percentile in milliseconds, if there is one.
    pub bar: Option<f64>,
}

/// Sends `plan.requests` requests of each kind, one at a time, with random parameters. Reports each
/// kind to `tell`.
#[must_use]
pub fn measure(client: &Client, database: &Database, plan: &Plan, tell: &impl Fn(&str)) -> Vec<Latency> {
    let marketplace = plan.marketplace;
    let orders = database.lines(
        "SELECT metadata ->> 'orderId' FROM event_logs WHERE event_type = 'order.created' ORDER BY id LIMIT 10000",
    );
    let random = Random(4);
    let mut chance = Chance { random, marketplace, newest: newest(database), days: plan.days, orders };
    let measured = kinds().into_iter().map(|kind| {
        let latency = kind.measure(client, &mut chance, plan.requests);
        tell(&format!("{:<58} p50 {:>7.1} ms, p99 {:>7.1} ms", latency.name, latency.p50, latency.p99));
        latency
    });
    measured.collect()
}

/// A kind of request: its name, the bar for its p99 in milliseconds, and its path.
struct Kind(&'static str, Option<f64>, fn(&mut Chance) -> String);

const LIST: Option<f64> = Some(50.0);
/// Of the first page of an explanation.
const FIRST: Option<f64> = Some(100.0);
/// Of what is kept once it was requested, and takes long the first time: each request is another one.
const ONCE: Option<f64> = None;
/// How many of these are sent.
const FEW: usize = 20;

fn kinds() -> Vec<Kind> {
    vec![
        Kind("/api/events", LIST, |_| "/api/events".into()),
        Kind("/api/events, 1000 on a page", LIST, |_| "/api/events?limit=1000".into()),
        Kind("/api/events from and to", LIST, |c| format!("/api/events?{}", c.hour())),
        Kind("/api/events of a type", LIST, |c| format!("/api/events?type={}", c.event_type())),
        Kind("/api/events of a type, from and to", LIST, |c| {
            format!("/api/events?type={}&{}", c.event_type(), c.hour())
        }),
        Kind("/api/events of a user", LIST, |c| format!("/api/events?userId=u-{}", c.user())),
        Kind("/api/events of a user and a type", LIST, |c| {
            format!("/api/events?userId=u-{}&type={}", c.user(), c.event_type())
        }),
        Kind("/api/events of an unknown user", LIST, |c| format!("/api/events?userId=nobody-{}", c.user())),
        Kind("/api/events of a product", LIST, |c| format!("/api/events?productId=p-{}", c.product())),
        Kind("/api/events of a product and a type", LIST, |c| {
            format!("/api/events?productId=p-{}&type={}", c.product(), c.event_type())
        }),
        Kind("/api/events of a vendor", LIST, |c| format!("/api/events?vendorId=v-{}", c.vendor())),
        Kind("/api/events of a vendor and a type", LIST, |c| {
            format!("/api/events?vendorId=v-{}&type={}", c.vendor(), c.event_type())
        }),
        Kind("/api/events of a user and a product", LIST, |c| {
            format!("/api/events?userId=u-{}&productId=p-{}", c.user(), c.product())
        }),
        Kind("/api/metrics by name", LIST, |c| format!("/api/metrics?name={}", c.name())),
        Kind("/api/metrics by name, 1000 on a page", LIST, |c| format!("/api/metrics?limit=1000&name={}", c.name())),
        Kind("/api/metrics, 50 types", LIST, |c| {
            let types: Vec<String> = (0..50).map(|_| format!("type=product_views%3Ap-{}", c.product())).collect();
            format!("/api/metrics?{}", types.join("&"))
        }),
        Kind("/api/metrics by name, by value", LIST, |c| format!("/api/metrics?sort=value&name={}", c.name())),
        Kind("series of a product, a month by day", LIST, |c| {
            format!("/api/metrics/product_views%3Ap-{}/series?period=30d&compare=previous", c.product())
        }),
        Kind("series of a seller, a week by hour", LIST, |c| {
            format!("/api/metrics/seller_revenue%3Av-{}/series?period=7d&interval=hour&compare=previous", c.vendor())
        }),
        Kind("series of total_revenue, a year by day", LIST, |_| {
            "/api/metrics/total_revenue/series?period=this_year&interval=day&compare=previous_year".into()
        }),
        Kind("series of conversion_rate, a year by month", LIST, |c| {
            format!("/api/metrics/conversion_rate%3Av-{}/series?period=this_year&interval=month", c.vendor())
        }),
        Kind("series of product_rating, a month by day", LIST, |c| {
            format!("/api/metrics/product_rating%3Ap-{}/series?period=30d", c.product())
        }),
        Kind("product rankings of any 30 days, first request", ONCE, |c| {
            format!("/api/rankings/products?by={}&{}", c.product_rank(), c.month())
        }),
        Kind("product rankings of the last 30 days", LIST, |c| {
            format!("/api/rankings/products?period=30d&by={}", c.product_rank())
        }),
        Kind("seller rankings of any 30 days, first request", ONCE, |c| {
            format!("/api/rankings/sellers?by={}&{}", c.product_rank(), c.month())
        }),
        Kind("seller rankings of the last 30 days", LIST, |c| {
            format!("/api/rankings/sellers?period=30d&by={}", c.product_rank())
        }),
        Kind("summary of a seller, 30 days", LIST, |c| {
            format!("/api/sellers/v-{}/summary?period=30d&compare=previous", c.vendor())
        }),
        Kind("order stats of a seller, 30 days", LIST, |c| {
            format!("/api/sellers/v-{}/orders/stats?period=30d", c.vendor())
        }),
        Kind("/api/sellers", LIST, |c| format!("/api/sellers?prefix=v-{}", 1 + c.random.below(9))),
        Kind("/api/overview, 30 days", LIST, |_| "/api/overview?period=30d&compare=previous".into()),
        Kind("/api/events/stats, 30 days", LIST, |_| "/api/events/stats?period=30d".into()),
        Kind("/api/orders/{id}", LIST, |c| format!("/api/orders/{}", c.order())),
        Kind("/api/dead-letters", LIST, |_| "/api/dead-letters".into()),
        Kind("/api/proofs", LIST, |_| "/api/proofs".into()),
        Kind("/api/freshness", LIST, |_| "/api/freshness".into()),
        Kind("explain total_revenue", FIRST, |_| "/api/metrics/total_revenue/events".into()),
        Kind("explain total_views", FIRST, |_| "/api/metrics/total_views/events".into()),
        Kind("explain product_views", FIRST, |c| format!("/api/metrics/product_views%3Ap-{}/events", c.product())),
        Kind("explain product_revenue", FIRST, |c| format!("/api/metrics/product_revenue%3Ap-{}/events", c.product())),
        Kind("explain product_rating", FIRST, |c| format!("/api/metrics/product_rating%3Ap-{}/events", c.product())),
        Kind("explain seller_revenue", FIRST, |c| format!("/api/metrics/seller_revenue%3Av-{}/events", c.vendor())),
        Kind("explain seller_orders", FIRST, |c| format!("/api/metrics/seller_orders%3Av-{}/events", c.vendor())),
        Kind("explain conversion_rate", FIRST, |c| format!("/api/metrics/conversion_rate%3Av-{}/events", c.vendor())),
        Kind("explain seller_rating", FIRST, |c| format!("/api/metrics/seller_rating%3Av-{}/events", c.vendor())),
    ]
}

impl Kind {
    fn measure(&self, client: &Client, chance: &mut Chance, requests: usize) -> Latency {
        let Self(name, bar, path) = self;
        let requests = if bar.is_none() { requests.min(FEW) } else { requests };
        let took: Vec<f64> = (0..requests)
            .map(|_| {
                let path = path(chance);
                let began = Instant::now();
                let status = client.answer(&path, &[]).status().as_u16();
                // A product that was never bought has no revenue to explain: 404.
                assert!(status == 200 || status == 404, "{path}: {status}");
                began.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        Latency { name: (*name).to_owned(), p50: percentile(&took, 0.5), p99: percentile(&took, 0.99), bar: *bar }
    }
}

/// Picks the parameters of requests at random.
struct Chance {
    random: Random,
    marketplace: Marketplace,
    newest: DateTime<Utc>,
    days: i64,
    /// Ids of orders that were counted.
    orders: Vec<String>,
}

impl Chance {
    /// Returns a rank from 1 to `ranks`. Picks a power of ten first and then a rank up to it, so
    /// that hot and rare ones are both requested.
    fn rank(&mut self, ranks: u64) -> u64 {
        let decades = ranks.ilog10();
        let below = 10_u64.pow(1 + u32::try_from(self.random.below(u64::from(decades) + 1)).unwrap_or(0));
        1 + self.random.below(below.min(ranks))
    }

    fn product(&mut self) -> u64 {
        self.rank(self.marketplace.products)
    }

    fn vendor(&mut self) -> u64 {
        1 + self.random.below(self.marketplace.sellers)
    }

    fn order(&mut self) -> String {
        let count = u64::try_from(self.orders.len()).unwrap_or(1).max(1);
        let chosen = usize::try_from(self.random.below(count)).unwrap_or(0);
        self.orders.get(chosen).cloned().unwrap_or_default()
    }

    fn user(&mut self) -> u64 {
        self.random.below(self.marketplace.users)
    }

    fn event_type(&mut self) -> &'static str {
        self.one_of(&["product.viewed", "order.created", "rating.updated", "user.registered"])
    }

    fn name(&mut self) -> &'static str {
        self.one_of(&["product_views", "product_revenue", "seller_revenue", "conversion_rate", "daily_signups"])
    }

    fn hour(&mut self) -> String {
        let back = i64::try_from(self.random.below(u64::try_from(24 * (self.days - 1)).unwrap_or(1))).unwrap_or(0);
        let from = self.newest - Duration::hours(back + 1);
        let shown = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ");
        format!("from={}&to={}", shown(from), shown(from + Duration::hours(1)))
    }

    fn product_rank(&mut self) -> &'static str {
        self.one_of(&["views", "orders", "units", "revenue", "rating", "conversion"])
    }

    /// Returns a range of 30 days that ends on a random day.
    fn month(&mut self) -> String {
        let back = i64::try_from(self.random.below(u64::try_from(self.days - 29).unwrap_or(1))).unwrap_or(0);
        let to = self.newest.date_naive() - Duration::days(back);
        format!("from={}&to={to}", to - Duration::days(29))
    }

    fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        let count = u64::try_from(choices.len()).unwrap_or(1);
        choices[usize::try_from(self.random.below(count)).unwrap_or(0)]
    }
}

fn newest(database: &Database) -> DateTime<Utc> {
    let seconds = database.number("SELECT extract(epoch FROM max(last_event_time)) FROM ingest_offsets");
    seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or_else(Utc::now)
}
