//! The metrics that the API reports to Prometheus.

use std::future::Future;
use std::time::Instant;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use analytics_core::rejection::Reason;
use analytics_db::read::upkeep::Upkeep;
use analytics_db::transactions;
use analytics_db::verify::proofs::Known;
use analytics_process::probes::Readiness as _;
use analytics_process::transactions::TransactionSeconds;
use chrono::{DateTime, Utc};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

use crate::database::Database;
use crate::live::Live;

/// The metrics of one process. Clones share them.
#[derive(Clone)]
pub(crate) struct Telemetry {
    pub(crate) registry: Registry,
    requests: HistogramVec,
    /// Requests that were refused because their caller had sent too many.
    pub(crate) rate_limited: IntCounter,
}

impl Telemetry {
    pub(crate) fn new(database: &Database, live: &Data<Live>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = HistogramVec::new(
            HistogramOpts::new("analytics_api_request_seconds", "Duration of requests by route and status, in seconds")
                .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0]),
            &["route", "status"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        let rate_limited = IntCounter::new(
            "analytics_api_rate_limited_total",
            "Requests that were refused because their caller had sent more than API_RATE_LIMIT",
        )?;
        registry.register(Box::new(rate_limited.clone()))?;
        registry.register(Box::new(PoolCollector::new(database.clone())?))?;
        registry.register(Box::new(LiveCollector::new(live.clone())?))?;
        registry.register(Box::new(VitalsCollector::new(database.clone())?))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let seconds = TransactionSeconds::register(&registry, "analytics_api_transaction_seconds")?;
        transactions::observe(move |over| seconds.observe(over.name, over.outcome.name(), over.took));
        Ok(Self { registry, requests, rate_limited })
    }
}

/// Whether the database can be used, and the pool's connections, read when Prometheus scrapes them.
struct PoolCollector {
    database: Database,
    usable: IntGauge,
    connections: IntGaugeVec,
}

impl PoolCollector {
    fn new(database: Database) -> prometheus::Result<Self> {
        let about = Opts::new("analytics_api_pool_connections", "Connections to the database by state: busy or idle");
        let usable =
            IntGauge::new("analytics_database_usable", "1 while this process can use the database, otherwise 0")?;
        Ok(Self { database, usable, connections: IntGaugeVec::new(about, &["state"])? })
    }
}

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        [self.usable.desc(), self.connections.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (busy, idle) = self.database.connections();
        self.connections.with_label_values(&["busy"]).set(busy.into());
        self.connections.with_label_values(&["idle"]).set(idle.into());
        self.usable.set(self.database.ready().is_ok().into());
        [self.usable.collect(), self.connections.collect()].concat()
    }
}

/// The open live streams, read when Prometheus scrapes them.
struct LiveCollector {
    live: Data<Live>,
    streams: IntGauge,
}

impl LiveCollector {
    fn new(live: Data<Live>) -> prometheus::Result<Self> {
        Ok(Self { live, streams: IntGauge::new("analytics_api_live_streams", "Open streams of /api/live")? })
    }
}

impl Collector for LiveCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.streams.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.streams.set(self.live.open().into());
        self.streams.collect()
    }
}

/// The state of the numbers, read when Prometheus scrapes it: the drift, the open dead letters, and what the
/// jobs have left to do.
struct VitalsCollector {
    database: Database,
    drift: IntGauge,
    proof_age: Gauge,
    coverage: IntGauge,
    unaudited: Gauge,
    gone: IntGauge,
    partitions: Gauge,
    letters: IntGaugeVec,
    oldest: GaugeVec,
}

impl VitalsCollector {
    fn new(database: Database) -> prometheus::Result<Self> {
        let by_reason = &["reason"];
        Ok(Self {
            database,
            drift: IntGauge::new(
                "analytics_metric_drift",
                "Numbers that differ from the event log, by the last proof or the last complete one",
            )?,
            proof_age: Gauge::new("analytics_proof_age_seconds", "Age of the last proof, in seconds")?,
            coverage: IntGauge::new(
                "analytics_coverage_differences",
                "Ranges of offsets that differ from what Kafka held, by the last proof",
            )?,
            unaudited: Gauge::new(
                "analytics_audit_waiting_seconds",
                "How long ago the first of the records was logged that the audit has not compared with Kafka, in seconds",
            )?,
            gone: IntGauge::new(
                "analytics_audit_gone_records",
                "Records that Kafka held no longer when the audit was to compare them",
            )?,
            partitions: Gauge::new(
                "analytics_partitions_remaining_seconds",
                "For how long from now on the event log has partitions, in seconds",
            )?,
            letters: IntGaugeVec::new(Opts::new("analytics_dead_letters", "Open dead letters by reason"), by_reason)?,
            oldest: GaugeVec::new(
                Opts::new(
                    "analytics_dead_letter_oldest_seconds",
                    "Age of the oldest open dead letter by reason, in seconds",
                ),
                by_reason,
            )?,
        })
    }
}

impl Collector for VitalsCollector {
    fn desc(&self) -> Vec<&Desc> {
        let numbers = [self.drift.desc(), self.proof_age.desc(), self.coverage.desc()];
        let jobs = [self.unaudited.desc(), self.gone.desc(), self.partitions.desc()];
        [numbers.concat(), jobs.concat(), self.letters.desc(), self.oldest.desc()].concat()
    }

    #[expect(clippy::cast_precision_loss, reason = "ages in milliseconds are small")]
    fn collect(&self) -> Vec<MetricFamily> {
        let (vitals, now) = (self.database.vitals(), self.database.now());
        let age = |time: DateTime<Utc>| (now - time).num_milliseconds().max(0) as f64 / 1000.0;
        let mut families = Vec::new();
        // Before the first proof the drift is not known, and is left out: 0 would mean that
        // nothing differs.
        if let Some(Known { proved_at, drift, coverage_differences }) = vitals.proof {
            self.drift.set(drift);
            self.proof_age.set(age(proved_at));
            families.extend([self.drift.collect(), self.proof_age.collect()].concat());
            if let Some(differences) = coverage_differences {
                self.coverage.set(differences);
                families.extend(self.coverage.collect());
            }
        }
        if let Some(Upkeep { unaudited_since, gone_unaudited, partitions_until }) = vitals.upkeep {
            self.unaudited.set(unaudited_since.map_or(0.0, age));
            self.gone.set(gone_unaudited);
            self.partitions.set(partitions_until.map_or(0.0, |end| (end - now).as_seconds_f64()));
            families.extend([self.unaudited.collect(), self.gone.collect(), self.partitions.collect()].concat());
        }
        self.letters.reset();
        self.oldest.reset();
        for reason in Reason::ALL {
            self.letters.with_label_values(&[reason.code()]).set(0);
        }
        for waiting in &vitals.waiting {
            self.letters.with_label_values(&[&waiting.reason]).set(waiting.letters);
            self.oldest.with_label_values(&[&waiting.reason]).set(age(waiting.oldest));
        }
        families.extend([self.letters.collect(), self.oldest.collect()].concat());
        families
    }
}

/// Measures how long a request takes, until the head of its response is made: a live stream counts as
/// the milliseconds in which it begins. The label `route` is the route's pattern, because the number of
/// different paths is unlimited.
pub(crate) fn measure<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> {
    let began = Instant::now();
    let telemetry = request.app_data::<Data<Telemetry>>().cloned();
    async move {
        let answer = next.call(request).await;
        if let (Some(telemetry), Ok(answer)) = (telemetry, &answer) {
            let route = answer.request().match_pattern().unwrap_or_else(|| "none".into());
            let status = answer.status();
            let labels = [route.as_str(), status.as_str()];
            telemetry.requests.with_label_values(&labels).observe(began.elapsed().as_secs_f64());
        }
        answer
    }
}
