//! The table of routes.

mod events;
mod metrics;

use actix_web::web::{ServiceConfig, get, to};

use crate::problem::Problem;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/api/metrics/{type:.+}", get().to(metrics::one))
        .route("/api/events", get().to(events::list))
        .default_service(to(|| async { Err::<&str, Problem>(Problem::route_not_found()) }));
}
