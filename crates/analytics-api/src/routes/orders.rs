//! `GET /api/orders/{id}`: what became of an order.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::ids::OrderId;
use analytics_db::read::orders::{self, Order};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use super::contributions::LineBody;
use crate::as_of::{Numbered, numbered};
use crate::caller;
use crate::database::Database;
use crate::problem::{Failures, NotFound, Problem, Unchanged};
use crate::query::Query;
use crate::settings::ApiSettings;

/// What became of an order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub(crate) struct OrderBody {
    order_id: String,
    /// `counted`.
    status: &'static str,
    event_id: Uuid,
    user_id: Option<String>,
    /// When it happened.
    created_at: DateTime<Utc>,
    /// When it was counted.
    ingested_at: DateTime<Utc>,
    /// The number of the batch that counted it.
    batch: Option<i64>,
    /// Its lines, with the vendor to which each was attributed.
    lines: Vec<LineBody>,
    /// What it added to which metric: a number, or `{numerator, denominator}` for a rate.
    #[schema(value_type = Object)]
    metrics: BTreeMap<String, serde_json::Value>,
}

/// An alias for the OpenAPI macro, which does not support generic types.
type NumberedOrder = Numbered<OrderBody>;

/// Find an order
///
/// By its order id: whether it was counted, with its lines, their vendors, and what it added to which
/// metrics. An order that was never counted, or whose identity is not kept any more, is 404.
#[utoipa::path(
    get, path = "/api/orders/{id}", operation_id = "getOrder", tag = "events", security(("bearer" = [])),
    params(("id" = String, Path, description = "The order id, URL-encoded")),
    responses((status = 200, description = "The order", body = NumberedOrder), Unchanged, Failures, NotFound)
)]
pub(crate) async fn one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let access = caller::event_log(&principal)?;
    Query::of(&request, &[], &[])?;
    let id = OrderId::parse(&path).map_err(|why| Problem::invalid_parameter("id", why))?;
    let topics = &settings.decoder.topics;
    let namespaces: Vec<Option<String>> =
        topics.names().map(|topic| topics.namespace(topic).map(str::to_owned)).collect();
    let (wanted, business) = (id.clone(), settings.business);
    let (found, as_of) =
        database.read_as_of(move |connection| orders::find(connection, access, &wanted, &namespaces, business)).await?;
    let Order { event, ingested_at, batch, counters, ratios } = found.ok_or_else(Problem::order_not_found)?;
    let counters = counters.into_iter().map(|(metric, sum)| (metric, serde_json::json!(sum)));
    let ratios = ratios.into_iter().map(|(metric, fraction)| {
        let (numerator, denominator) = (fraction.numerator, fraction.denominator);
        (metric, serde_json::json!({ "numerator": numerator, "denominator": denominator }))
    });
    let order = OrderBody {
        order_id: id.as_str().to_owned(),
        status: "counted",
        event_id: event.id.0,
        user_id: event.user.as_ref().map(ToString::to_string),
        created_at: event.time.utc(),
        ingested_at,
        batch,
        lines: event.content.lines().iter().map(LineBody::of).collect(),
        metrics: counters.chain(ratios).collect(),
    };
    Ok(numbered(HttpResponse::Ok(), as_of, order))
}
