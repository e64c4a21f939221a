//! The table of routes: for each route its handler, its documentation, and who may use it.

pub(crate) mod adjustments;
pub(crate) mod anomalies;
pub(crate) mod arrivals;
pub(crate) mod audit;
mod contributions;
pub(crate) mod dead_letter_actions;
pub(crate) mod dead_letters;
pub(crate) mod docs;
pub(crate) mod embed_tokens;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod freshness;
pub(crate) mod live;
pub(crate) mod me;
pub(crate) mod metrics;
pub(crate) mod months;
pub(crate) mod orders;
pub(crate) mod overview;
pub(crate) mod products;
pub(crate) mod proofs;
pub(crate) mod rankings;
pub(crate) mod reconcile;
pub(crate) mod sellers;
pub(crate) mod series;
mod statement_body;
pub(crate) mod statement_page;
pub(crate) mod statements;
pub(crate) mod usage;

use std::collections::BTreeMap;

use actix_web::Resource;
use actix_web::middleware::from_fn;
use actix_web::web::{JsonConfig, ServiceConfig, delete, post, resource, to};
use analytics_process::probes::read;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;

use crate::access::{Access, check};
use crate::as_of::describe_as_of;
use crate::middleware::describe_csv;
use crate::problem::Problem;

/// The default size limit of a request body, in bytes.
const LARGEST_BODY: usize = 64 << 10;

/// Creates the route of a handler, documented by the handler's own attributes.
macro_rules! route {
    ($access:ident, $module:ident::$handler:ident) => {
        route!($access, $module::$handler, LARGEST_BODY)
    };
    ($access:ident, $module:ident::$handler:ident, $largest_body:expr) => {{
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($module::$handler))]
        struct Document;
        Route {
            access: Access::$access,
            is_embedded: false,
            largest_body: $largest_body,
            document: Document::openapi(),
            handler: |route| route.to($module::$handler),
        }
    }};
}

/// Every route of the API.
fn table() -> [Route; 38] {
    [
        route!(Sellers, metrics::list),
        route!(Sellers, metrics::one),
        route!(Sellers, series::one).embedded(),
        route!(Sellers, series::several).embedded(),
        route!(Sellers, explain::list).embedded(),
        route!(Sellers, products::list),
        route!(Everyone, rankings::products).embedded(),
        route!(Staff, rankings::sellers),
        route!(Staff, sellers::list),
        route!(Sellers, sellers::summary).embedded(),
        route!(Sellers, sellers::order_stats).embedded(),
        route!(Owners, reconcile::seller, reconcile::LARGEST_LIST),
        route!(Owners, statements::list),
        route!(Owners, statements::one),
        route!(Owners, statement_page::show),
        route!(Sellers, statements::keys),
        route!(Staff, months::list),
        route!(Staff, overview::show),
        route!(Admins, usage::show),
        route!(Admins, arrivals::show),
        route!(Admins, orders::one),
        route!(Writers, adjustments::upsert),
        route!(Admins, events::list),
        route!(Admins, events::one),
        route!(Everyone, freshness::show).embedded(),
        route!(Everyone, live::show).embedded(),
        route!(Everyone, me::show).embedded(),
        route!(Admins, embed_tokens::create),
        route!(Admins, proofs::list),
        route!(Sellers, anomalies::list),
        route!(Writers, anomalies::acknowledge),
        route!(Admins, audit::list),
        route!(Admins, dead_letters::list),
        route!(Admins, dead_letters::one),
        route!(Writers, dead_letter_actions::replay_one, dead_letter_actions::LARGEST_REPLAY),
        route!(Writers, dead_letter_actions::replay_many),
        route!(Writers, dead_letter_actions::discard_one),
        route!(Writers, dead_letter_actions::discard_many),
    ]
}

struct Route {
    access: Access,
    /// Whether a page of a vendor in another site may use it, too.
    is_embedded: bool,
    /// The size limit of a request body, in bytes.
    largest_body: usize,
    /// The OpenAPI document of this route and the schemas that it uses.
    document: OpenApi,
    handler: fn(actix_web::Route) -> actix_web::Route,
}

/// The methods that the API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Method {
    Get,
    Post,
    Delete,
}

impl Method {
    /// Returns the method as an `Allow` header lists it. Every GET route also answers HEAD.
    const fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    fn route(self) -> actix_web::Route {
        match self {
            Self::Get => read(),
            Self::Post => post(),
            Self::Delete => delete(),
        }
    }
}

impl Route {
    /// Opens a read to pages of a vendor in another site. It must show nothing but the tenant's own
    /// numbers.
    fn embedded(self) -> Self {
        Self { is_embedded: true, ..self }
    }

    /// Returns the route's path, method and documentation. Its document has exactly one of each.
    fn parts(&mut self) -> Option<(String, Method, &mut Operation)> {
        let (path, item) = self.document.paths.paths.iter_mut().next()?;
        let methods =
            [(Method::Get, &mut item.get), (Method::Post, &mut item.post), (Method::Delete, &mut item.delete)];
        let (method, operation) = methods.into_iter().find_map(|(method, slot)| Some((method, slot.as_mut()?)))?;
        Some((path.clone(), method, operation))
    }
}

/// Configures the application to serve every route of the table.
pub(crate) fn serve(config: &mut ServiceConfig) {
    let mut resources: BTreeMap<String, Vec<(Method, Route)>> = BTreeMap::new();
    for mut route in table() {
        if let Some((path, method, _)) = route.parts() {
            resources.entry(path).or_default().push((method, route));
        }
    }
    for (path, mut routes) in resources {
        routes.sort_by_key(|(method, _)| *method);
        let allow: Vec<&str> = routes.iter().map(|(method, _)| method.allow()).collect();
        let largest_body = routes.iter().map(|(_, route)| route.largest_body).max().unwrap_or(LARGEST_BODY);
        let json = JsonConfig::default().limit(largest_body).error_handler(Problem::of_json);
        let mut served = only(allow.join(", "), resource(&path)).app_data(json);
        for (method, Route { access, is_embedded, handler, .. }) in routes {
            let checked = from_fn(move |principal, request, next| check(access, is_embedded, principal, request, next));
            served = served.route(handler(method.route()).wrap(checked));
        }
        config.service(served);
    }
}

/// Adds every route of the table to the OpenAPI document, with the roles that may use it.
pub(crate) fn describe(document: &mut OpenApi) {
    for mut route in table() {
        let (access, is_embedded) = (route.access, route.is_embedded);
        if let Some((_, _, operation)) = route.parts() {
            access.describe(is_embedded, operation);
        }
        describe_csv(&mut route.document);
        describe_as_of(&mut route.document);
        document.merge(route.document);
    }
}

/// Makes a resource answer 405 to all methods that it does not have.
pub(crate) fn only(allow: String, resource: Resource) -> Resource {
    let refuse = move || {
        let allow = allow.clone();
        async move { Err::<&str, Problem>(Problem::method_not_allowed(allow)) }
    };
    resource.default_service(to(refuse))
}

/// Answers 404 to requests that match no route.
pub(crate) async fn nowhere() -> Result<&'static str, Problem> {
    Err(Problem::route_not_found())
}
