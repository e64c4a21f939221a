//! Generates the OpenAPI document from the table of routes.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, Server};
use utoipa::{Modify, OpenApi as _};

use crate::problem::{CODES, ProblemBody};
use crate::routes;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Marketplace analytics",
        description = "Exact numbers of a marketplace: views, signups, orders, revenue, conversion, ratings.",
        contact(name = "The team that runs this service"),
        license(name = "MIT", identifier = "MIT"),
    ),
    tags(
        (name = "metrics", description = "Metrics, and the events behind them"),
        (name = "sellers", description = "The panels of sellers"),
        (name = "statements", description = "What months came to for sellers and for the marketplace"),
        (name = "products", description = "Products and their names"),
        (name = "rankings", description = "Products and sellers in order"),
        (name = "events", description = "The log of all events"),
        (name = "freshness", description = "Up to when the numbers are complete"),
        (name = "access", description = "Callers and their tokens"),
        (name = "dead letters", description = "Records that could not be counted"),
        (name = "anomalies", description = "Where numbers are not what they usually are"),
        (name = "audit", description = "Who changed what by hand"),
        (name = "proofs", description = "Results of recounting the metrics from the event log"),
    ),
    components(schemas(ProblemBody)),
    modifiers(&Bearer, &Codes),
)]
struct Document;

/// Adds the security scheme.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
        document.components.get_or_insert_with(Components::new).add_security_scheme("bearer", bearer);
    }
}

/// Adds the table of error codes to the description.
struct Codes;

impl Modify for Codes {
    fn modify(&self, document: &mut OpenApi) {
        let rows = CODES.iter().map(|(code, status, about)| format!("| `{code}` | {} | {about} |\n", status.as_u16()));
        let table: String = rows.collect();
        let about = document.info.description.take().unwrap_or_default();
        let unread = "A request that cannot be read as HTTP, or whose URL has more than 65,534 bytes, is answered with \
                      400 or 431 and no body.";
        let description = format!("{about}\n\n| code | status | meaning |\n|---|---|---|\n{table}\n{unread}\n");
        document.info.description = Some(description);
    }
}

/// Returns the OpenAPI document of an API whose paths begin with `base_path`.
#[must_use]
pub fn document(base_path: &str) -> OpenApi {
    let mut document = Document::openapi();
    routes::describe(&mut document);
    let server = if base_path.is_empty() { "/" } else { base_path };
    document.servers = Some(vec![Server::new(server)]);
    document
}
