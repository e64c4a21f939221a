//! `GET /metrics/business`: the numbers of the marketplace for Prometheus, apart from those of the process.
//!
//! One snapshot is kept and read again in the background, however many scrape. What has names, such as
//! sellers, is limited in number.

use std::sync::{Arc, Mutex};

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::freshness::State;
use analytics_db::read::anomalies::{self, Anomaly, Judged};
use analytics_db::read::business::{self, Events, Ratings, Total, Undecided, WaitingBatches};
use analytics_db::read::rankings::{By, Ranked, Ranking};
use analytics_db::read::statements::{self, Closed};
use analytics_db::verify::proofs::Known;
use analytics_process::probes::read;
use analytics_process::settings::{Settings, SettingsError};

use crate::database::{Database, Vitals};
use crate::exposition::{Exposition, number};
use crate::kept::{Answer, Cache, fresh};
use crate::problem::Problem;
use crate::range::Range;
use crate::rankings::{RankingQuestion, Rankings};
use crate::settings::ApiSettings;

/// The type of the answer: the text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The most series of which the last judgement is shown: an hour and a day of each.
const MOST_JUDGED: i64 = 200;
/// The most anomalies that are shown.
const MOST_ANOMALIES: i64 = 200;
/// The shortest token.
const SHORTEST_TOKEN: usize = 16;

/// Who may read the numbers.
#[derive(Clone, PartialEq, Eq)]
enum Access {
    Off,
    Open,
    Token(String),
}

/// The settings of the exporter.
#[derive(Clone)]
pub struct BusinessMetrics {
    access: Access,
    /// How many sellers and products are listed.
    top: usize,
}

impl BusinessMetrics {
    /// Validates the settings.
    ///
    /// # Errors
    /// [`SettingsError`] that names the first setting that is missing or invalid.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let access = match settings.required("METRICS_BUSINESS")? {
            "off" => Access::Off,
            "open" => Access::Open,
            "token" => settings.parse("METRICS_BUSINESS_TOKEN", |token| {
                let is_long = token.len() >= SHORTEST_TOKEN;
                is_long.then(|| Access::Token(token.to_owned())).ok_or("must have 16 bytes or more")
            })?,
            _ => return Err(SettingsError::invalid("METRICS_BUSINESS", "must be off, open or token")),
        };
        Ok(Self { access, top: settings.number("METRICS_BUSINESS_TOP", 0..=100, "sellers or products")? })
    }

    /// Serves the numbers, unless they are off.
    pub(crate) fn serve(&self, config: &mut ServiceConfig) {
        if self.access != Access::Off {
            config.route("/metrics/business", read().to(answer));
        }
    }

    fn permits(&self, request: &HttpRequest) -> bool {
        match &self.access {
            Access::Off => false,
            Access::Open => true,
            Access::Token(token) => {
                let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                let given = given
                    .and_then(|value| value.split_once(' '))
                    .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
                given.is_some_and(|(_, given)| is_same(given.trim().as_bytes(), token.as_bytes()))
            }
        }
    }
}

/// Compares in a time that does not depend on where the first difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// The snapshot that is kept.
pub(crate) type Kept = Arc<Mutex<Cache<(), Snapshot>>>;

/// What was read at one moment.
pub(crate) struct Snapshot {
    totals: Vec<Total>,
    events: Vec<Events>,
    waiting: WaitingBatches,
    ratings: Ratings,
    anomalies: Vec<Anomaly>,
    judged: Vec<Judged>,
    undecided: Undecided,
    closed: Option<Closed>,
    top: Vec<(&'static str, &'static str, Arc<Ranking>)>,
}

async fn answer(
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
    rankings: Data<Rankings>,
    kept: Data<Kept>,
) -> Result<HttpResponse, Problem> {
    if !settings.business_metrics.permits(&request) {
        return Ok(HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Bearer")).finish());
    }
    let (own, own_settings, own_rankings) = (database.clone(), settings.clone(), rankings.clone());
    let read = || async move { Answer::read(snapshot(&own, &own_settings, &own_rankings)).await };
    let snapshot = fresh(kept.get_ref(), (), 1, read).await?;
    let text = written(&snapshot, &database, &settings);
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, TEXT)).body(text))
}

async fn snapshot(database: &Database, settings: &ApiSettings, rankings: &Rankings) -> Result<Snapshot, Problem> {
    let calendar = settings.business.calendar;
    let (totals, events, waiting, ratings, anomalies, judged, undecided, closed) = database
        .read_expensive(move |connection| {
            Ok((
                business::totals(connection)?,
                business::events(connection)?,
                business::waiting(connection)?,
                business::ratings(connection)?,
                anomalies::unresolved(connection, MOST_ANOMALIES)?,
                anomalies::judged(connection, MOST_JUDGED)?,
                business::undecided(connection)?,
                statements::closed(connection, calendar)?,
            ))
        })
        .await?;
    let mut top = Vec::new();
    let range = Range::named("30d", database.now(), calendar).ok_or_else(Problem::internal_error)?;
    for (ranked, what) in [(Ranked::Sellers, "seller"), (Ranked::Products, "product")] {
        for (by, measure) in [(By::Orders, "orders"), (By::Views, "views"), (By::Revenue, "revenue_minor_units")] {
            let question = RankingQuestion::new(range.question(ranked, None, calendar), by, None);
            top.push((what, measure, rankings.fresh(&question, database, calendar).await?));
        }
    }
    Ok(Snapshot { totals, events, waiting, ratings, anomalies, judged, undecided, closed, top })
}

fn written(snapshot: &Snapshot, database: &Database, settings: &ApiSettings) -> String {
    let mut out = Exposition::default();
    write_totals(&mut out, snapshot, settings);
    write_top(&mut out, snapshot, settings.business_metrics.top);
    write_state(&mut out, snapshot, database);
    write_closed(&mut out, snapshot.closed, settings);
    write_judged(&mut out, &snapshot.judged);
    write_anomalies(&mut out, &snapshot.anomalies);
    out.text()
}

fn write_totals(out: &mut Exposition, snapshot: &Snapshot, settings: &ApiSettings) {
    let total = |name: &str| {
        let found = snapshot.totals.iter().find(|total| total.metric_type == name);
        found.map(|total| total.value.map_or(f64::NAN, number))
    };
    for (name, of, help) in [
        ("analytics_business_views_total", "total_views", "Page views that were counted."),
        ("analytics_business_signups_total", "total_signups", "New accounts that were counted."),
        ("analytics_business_orders_total", "total_orders", "Orders that were counted."),
        ("analytics_business_units_total", "total_units", "Units of order lines that were counted."),
    ] {
        out.metric(name, "counter", help);
        out.sample(name, &[], total(of).unwrap_or(0.0));
    }
    let base = settings.business.base_currency.code();
    for (name, of, help) in [
        (
            "analytics_business_revenue_minor_units_total",
            "total_revenue",
            "Gross revenue that was counted, in minor units of the currency.",
        ),
        (
            "analytics_business_unattributed_revenue_minor_units_total",
            "unattributed_revenue",
            "Gross revenue of no known seller, in minor units of the currency.",
        ),
    ] {
        out.metric(name, "counter", help);
        write_by_currency(out, snapshot, base, name, of);
    }
    // What reversals come to may become less when another one arrives late: none of these is a counter.
    for (name, of, help) in [
        (
            "analytics_business_refunds_minor_units",
            "total_refunds",
            "What cancellations and refunds took back, in minor units of the currency.",
        ),
        (
            "analytics_business_net_revenue_minor_units",
            "total_net_revenue",
            "Gross revenue less refunds, in minor units of the currency.",
        ),
        (
            "analytics_business_excess_refunds_minor_units",
            "excess_refunds",
            "What refunds said beyond what was left of their orders, in minor units of the currency.",
        ),
    ] {
        out.metric(name, "gauge", help);
        write_by_currency(out, snapshot, base, name, of);
    }
    for (name, of, help) in [
        ("analytics_business_refunded_units", "refunded_units", "Units that were taken back."),
        ("analytics_business_cancelled_orders", "cancelled_orders", "Orders that were cancelled as a whole."),
    ] {
        out.metric(name, "gauge", help);
        out.sample(name, &[], total(of).unwrap_or(0.0));
    }
    let name = "analytics_business_conversion_ratio";
    out.metric(name, "gauge", "Orders by views of all time.");
    let views = total("total_views").unwrap_or(0.0);
    if views > 0.0 {
        out.sample(name, &[], total("total_orders").unwrap_or(0.0) / views);
    }
    let Ratings { ratings, stars } = snapshot.ratings;
    out.metric("analytics_business_ratings", "gauge", "Current ratings of products.");
    out.sample("analytics_business_ratings", &[], number(ratings));
    out.metric("analytics_business_rating_stars", "gauge", "Average of the current ratings of products, in stars.");
    if ratings > 0 {
        out.sample("analytics_business_rating_stars", &[], number(stars) / number(ratings));
    }
    let name = "analytics_business_events_total";
    out.metric(name, "counter", "Events that were logged, by type.");
    for Events { event_type, events } in &snapshot.events {
        out.sample(name, &[("type", event_type)], number(*events));
    }
}

/// Writes a total in each currency.
fn write_by_currency(out: &mut Exposition, snapshot: &Snapshot, base: &str, name: &str, of: &str) {
    for total in &snapshot.totals {
        let currency = match total.metric_type.strip_prefix(of) {
            Some("") => base,
            Some(rest) => rest.trim_start_matches(':'),
            None => continue,
        };
        out.sample(name, &[("currency", currency)], total.value.map_or(f64::NAN, number));
    }
}

fn write_top(out: &mut Exposition, snapshot: &Snapshot, most: usize) {
    for (what, measure, ranking) in &snapshot.top {
        let name = format!("analytics_business_top_{what}_{measure}");
        let words = measure.replace('_', " ");
        out.metric(&name, "gauge", &format!("The {what}s with the most {words} in the last 30 days, today included."));
        for rank in ranking.ranks.iter().take(most) {
            out.sample(&name, &[(what, &rank.id)], number(rank.value));
        }
    }
}

fn write_state(out: &mut Exposition, snapshot: &Snapshot, database: &Database) {
    let (now, vitals) = (database.now(), database.vitals());
    let name = "analytics_business_topic_counted_timestamp_seconds";
    out.metric(name, "gauge", "Everything that was in the topic at this time is counted.");
    let judged: Vec<_> = database.reports().into_iter().map(|report| (report.judge(now), report.topic)).collect();
    for (freshness, topic) in &judged {
        if let Some(time) = freshness.counted_up_to {
            out.sample(name, &[("topic", topic)], number(time.timestamp()));
        }
    }
    let name = "analytics_business_topic_live";
    out.metric(name, "gauge", "Whether the topic is counted within seconds, or is optional and does not exist.");
    for (freshness, topic) in &judged {
        let is_live = matches!(freshness.state, State::Live | State::Idle);
        out.sample(name, &[("topic", topic)], f64::from(u8::from(is_live)));
    }
    let Vitals { proof, waiting: letters, .. } = vitals;
    let name = "analytics_business_dead_letters";
    out.metric(name, "gauge", "Open dead letters, by reason.");
    for waiting in &letters {
        out.sample(name, &[("reason", &waiting.reason)], number(waiting.letters));
    }
    if let Some(Known { proved_at, drift, coverage_differences }) = proof {
        out.metric("analytics_business_drift", "gauge", "Numbers that differ from the event log, by the last proof.");
        out.sample("analytics_business_drift", &[], number(drift));
        let name = "analytics_business_proof_timestamp_seconds";
        out.metric(name, "gauge", "When the last proof was made.");
        out.sample(name, &[], number(proved_at.timestamp()));
        if let Some(differences) = coverage_differences {
            let name = "analytics_business_coverage_differences";
            out.metric(name, "gauge", "Ranges of offsets that differ from what Kafka held, by the last proof.");
            out.sample(name, &[], number(differences));
        }
    }
    let WaitingBatches { batches, records, oldest_seconds } = snapshot.waiting;
    let (reversals, orders) = (number(snapshot.undecided.reversals), number(snapshot.undecided.orders));
    for (name, help, value) in [
        (
            "analytics_business_waiting_reversals",
            "Cancellations and refunds whose orders are not known yet.",
            reversals,
        ),
        ("analytics_business_waiting_orders", "Orders that count once they are paid.", orders),
        ("analytics_business_waiting_batches", "Batches that are logged and not counted yet.", number(batches)),
        ("analytics_business_waiting_records", "Records of batches that are not counted yet.", number(records)),
        (
            "analytics_business_waiting_oldest_seconds",
            "Age of the oldest batch that is not counted yet.",
            oldest_seconds,
        ),
    ] {
        out.metric(name, "gauge", help);
        out.sample(name, &[], value);
    }
}

/// Writes how far the months are closed, where months are closed at all.
fn write_closed(out: &mut Exposition, closed: Option<Closed>, settings: &ApiSettings) {
    let Some(Closed { last, without_statement }) = closed else { return };
    let name = "analytics_business_closed_until_timestamp_seconds";
    out.metric(name, "gauge", "The end of the last month of which every seller has a statement.");
    out.sample(name, &[], number(last.end(settings.business.calendar).timestamp()));
    let name = "analytics_business_sellers_without_statement";
    out.metric(name, "gauge", "Sellers without a statement of the month after it, once that month is complete.");
    out.sample(name, &[], number(without_statement));
}

/// Reads a number of what was found.
type Figure<T> = fn(&T) -> f64;

/// Writes what was observed and expected of the last hour and the last day of each series of the marketplace,
/// unusual or not.
fn write_judged(out: &mut Exposition, judged: &[Judged]) {
    let figures: [(&str, &str, Figure<Judged>); 5] = [
        ("analytics_business_judged_observed", "The value of the last hour or day that was judged.", |last| {
            last.observed
        }),
        ("analytics_business_judged_expected", "What was expected of that hour or day.", |last| last.expected),
        ("analytics_business_judged_lower", "The lowest value that is usual then.", |last| last.lower),
        ("analytics_business_judged_upper", "The highest value that is usual then.", |last| last.upper),
        ("analytics_business_judged_timestamp_seconds", "The end of that hour or day.", |last| {
            number(last.to_time.timestamp())
        }),
    ];
    for (name, help, figure) in figures {
        out.metric(name, "gauge", help);
        for last in judged {
            let interval = if last.is_daily { "day" } else { "hour" };
            out.sample(name, &[("metric", &last.subject), ("interval", interval)], figure(last));
        }
    }
}

fn write_anomalies(out: &mut Exposition, anomalies: &[Anomaly]) {
    let name = "analytics_business_anomalies";
    out.metric(name, "gauge", "Anomalies that are not resolved, by verdict and state.");
    for verdict in ["drop", "surge", "delayed", "unknown"] {
        for state in ["open", "acknowledged"] {
            let count = anomalies.iter().filter(|found| found.verdict == verdict && found.state == state).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            out.sample(name, &[("verdict", verdict), ("state", state)], number(count));
        }
    }
    let figures: [(&str, &str, Figure<Anomaly>); 4] = [
        ("analytics_business_anomaly_observed", "The value of the bucket that is the furthest from usual.", |a| {
            a.observed
        }),
        ("analytics_business_anomaly_expected", "What was expected of that bucket.", |a| a.expected),
        ("analytics_business_anomaly_lower", "The lowest value that is usual.", |a| a.lower),
        ("analytics_business_anomaly_upper", "The highest value that is usual.", |a| a.upper),
    ];
    for (name, help, figure) in figures {
        out.metric(name, "gauge", help);
        for found in anomalies {
            let labels = [("metric", found.subject.as_str()), ("verdict", &found.verdict), ("state", &found.state)];
            out.sample(name, &labels, figure(found));
        }
    }
    let name = "analytics_business_anomaly_start_timestamp_seconds";
    out.metric(name, "gauge", "Since when the anomaly goes on.");
    for found in anomalies {
        let labels = [("metric", found.subject.as_str()), ("verdict", &found.verdict), ("state", &found.state)];
        out.sample(name, &labels, number(found.from_time.timestamp()));
    }
}
