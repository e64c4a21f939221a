//! What the API tells Prometheus.

use std::future::Future;
use std::time::Instant;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry};

use crate::database::Database;

/// The counters of one process. Clones share them.
#[derive(Clone)]
pub(crate) struct Telemetry {
    pub(crate) registry: Registry,
    requests: HistogramVec,
}

impl Telemetry {
    pub(crate) fn new(database: &Database) -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("analytics_api".into()), None)?;
        let requests = HistogramVec::new(
            HistogramOpts::new("request_seconds", "Requests by route and status, and how long they took")
                .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0]),
            &["route", "status"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(PoolCollector::new(database.clone())?))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, requests })
    }
}

/// The pool's connections, read when they are asked for.
struct PoolCollector {
    database: Database,
    connections: IntGaugeVec,
}

impl PoolCollector {
    fn new(database: Database) -> prometheus::Result<Self> {
        let about = Opts::new("pool_connections", "Connections to the database by what they do");
        Ok(Self { database, connections: IntGaugeVec::new(about, &["state"])? })
    }
}

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.connections.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (busy, idle) = self.database.connections();
        self.connections.with_label_values(&["busy"]).set(busy.into());
        self.connections.with_label_values(&["idle"]).set(idle.into());
        self.connections.collect()
    }
}

/// Measures a request by the pattern of its route: paths themselves would be without number.
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
