//! The table of routes.

pub(crate) mod adjustments;
pub(crate) mod dead_letter_actions;
pub(crate) mod dead_letters;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod freshness;
pub(crate) mod metrics;
pub(crate) mod proofs;

use actix_web::Resource;
use actix_web::web::{JsonConfig, ServiceConfig, delete, post, resource, to};
use analytics_process::probes::read;

use crate::problem::Problem;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(only("GET, HEAD", resource("/api/metrics").route(read().to(metrics::list))))
        .service(only("POST", resource("/api/metrics/upsert").route(post().to(adjustments::upsert))))
        .service(only("GET, HEAD", resource("/api/metrics/{type:.+}/events").route(read().to(explain::list))))
        .service(only("GET, HEAD", resource("/api/metrics/{type:.+}").route(read().to(metrics::one))))
        .service(only("GET, HEAD", resource("/api/events").route(read().to(events::list))))
        .service(only("GET, HEAD", resource("/api/events/{id}").route(read().to(events::one))))
        .service(only("GET, HEAD", resource("/api/dead-letters").route(read().to(dead_letters::list))))
        .service(only("POST", resource("/api/dead-letters/replay").route(post().to(dead_letter_actions::replay_many))))
        .service(only(
            "POST",
            resource("/api/dead-letters/discard").route(post().to(dead_letter_actions::discard_many)),
        ))
        .service(only(
            "GET, HEAD, DELETE",
            resource("/api/dead-letters/{id}")
                .route(read().to(dead_letters::one))
                .route(delete().to(dead_letter_actions::discard_one)),
        ))
        .service(only(
            "POST",
            resource("/api/dead-letters/{id}/replay")
                .app_data(
                    JsonConfig::default().limit(dead_letter_actions::LARGEST_REPLAY).error_handler(Problem::of_json),
                )
                .route(post().to(dead_letter_actions::replay_one)),
        ))
        .service(only("GET, HEAD", resource("/api/proofs").route(read().to(proofs::list))))
        .service(only("GET, HEAD", resource("/api/freshness").route(read().to(freshness::show))));
}

/// Says which methods a route has to whoever tries another.
fn only(allow: &'static str, resource: Resource) -> Resource {
    resource.default_service(to(move || async move { Err::<&str, Problem>(Problem::method_not_allowed(allow)) }))
}

pub(crate) async fn nowhere() -> Result<&'static str, Problem> {
    Err(Problem::route_not_found())
}
