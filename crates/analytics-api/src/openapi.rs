//! The OpenAPI document, made from the table of routes.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, Server};
use utoipa::{Modify, OpenApi as _};

use crate::problem::{CODES, ProblemBody};
use crate::routes;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Marketplace analytics",
        description = "Views, signups, orders, revenue, conversion and ratings, exact.",
        contact(name = "The team that runs this service"),
        license(name = "MIT", identifier = "MIT"),
    ),
    tags(
        (name = "metrics", description = "Numbers, and what they are made of"),
        (name = "events", description = "The log of every event"),
        (name = "freshness", description = "Up to when the numbers are complete"),
        (name = "dead letters", description = "Records that could not be counted"),
        (name = "proofs", description = "The numbers counted again from the log"),
    ),
    components(schemas(ProblemBody)),
    modifiers(&Bearer, &Codes),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
        document.components.get_or_insert_with(Components::new).add_security_scheme("bearer", bearer);
    }
}

struct Codes;

impl Modify for Codes {
    fn modify(&self, document: &mut OpenApi) {
        let rows = CODES.iter().map(|(code, status, about)| format!("| `{code}` | {} | {about} |\n", status.as_u16()));
        let table: String = rows.collect();
        let about = document.info.description.take().unwrap_or_default();
        document.info.description = Some(format!("{about}\n\n| code | status | meaning |\n|---|---|---|\n{table}"));
    }
}

/// The document of an API whose paths begin with `base_path`.
#[must_use]
pub fn document(base_path: &str) -> OpenApi {
    let mut document = Document::openapi();
    routes::describe(&mut document);
    let server = if base_path.is_empty() { "/" } else { base_path };
    document.servers = Some(vec![Server::new(server)]);
    document
}
