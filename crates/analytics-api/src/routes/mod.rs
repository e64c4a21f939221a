//! The table of routes.

pub(crate) mod adjustments;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod freshness;
pub(crate) mod metrics;

use actix_web::Resource;
use actix_web::web::{ServiceConfig, get, post, resource, to};

use crate::problem::Problem;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(only("GET, HEAD", resource("/api/metrics").route(get().to(metrics::list))))
        .service(only("POST", resource("/api/metrics/upsert").route(post().to(adjustments::upsert))))
        .service(only("GET, HEAD", resource("/api/metrics/{type:.+}/events").route(get().to(explain::list))))
        .service(only("GET, HEAD", resource("/api/metrics/{type:.+}").route(get().to(metrics::one))))
        .service(only("GET, HEAD", resource("/api/events").route(get().to(events::list))))
        .service(only("GET, HEAD", resource("/api/events/{id}").route(get().to(events::one))))
        .service(only("GET, HEAD", resource("/api/freshness").route(get().to(freshness::show))));
}

/// Says which methods a route has to whoever tries another.
fn only(allow: &'static str, resource: Resource) -> Resource {
    resource.default_service(to(move || async move { Err::<&str, Problem>(Problem::method_not_allowed(allow)) }))
}

pub(crate) async fn nowhere() -> Result<&'static str, Problem> {
    Err(Problem::route_not_found())
}
