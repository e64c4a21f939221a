//! `GET /api/orders/{id}`: what became of an order.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Path};
use analytics_core::event::Line;
use analytics_core::ids::{OrderId, ProductId, VendorId};
use analytics_db::read::directory::{self, ItemKind, Names};
use analytics_db::read::orders::{self, Order};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use super::contributions::LineBody;
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
    lines: Vec<NamedLine>,
    /// What it added to which metric: a number, or `{numerator, denominator}` for a rate.
    #[schema(value_type = Object)]
    metrics: BTreeMap<String, serde_json::Value>,
}

/// A line of an order, with the names of what it is about.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NamedOrderLine)]
pub(crate) struct NamedLine {
    #[serde(flatten)]
    line: LineBody,
    /// The product's name; null if it is not known.
    product_name: Option<String>,
    /// The vendor's name; null if it is not known.
    vendor_name: Option<String>,
}

impl NamedLine {
    fn of(line: &Line, products: &Names, vendors: &Names) -> Self {
        let product_name = line.part.product.as_ref().and_then(|id| products.get(id.as_str()).cloned());
        let vendor_name = line.part.vendor.id().and_then(|id| vendors.get(id.as_str()).cloned());
        Self { line: LineBody::of(line), product_name, vendor_name }
    }
}

/// Find an order
///
/// By its order id: whether it was counted, with its lines, their vendors, and what it added to which
/// metrics. An order that was never counted, or whose identity is not kept any more, is 404.
#[utoipa::path(
    get, path = "/api/orders/{id}", operation_id = "getOrder", tag = "events", security(("bearer" = [])),
    params(("id" = String, Path, description = "The order id, URL-encoded")),
    responses((status = 200, description = "The order", body = OrderBody), Unchanged, Failures, NotFound)
)]
pub(crate) async fn one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<Json<OrderBody>, Problem> {
    let access = caller::event_log(&principal)?;
    Query::of(&request, &[], &[])?;
    let id = OrderId::parse(&path).map_err(|why| Problem::invalid_parameter("id", why))?;
    let topics = &settings.decoder.topics;
    let namespaces: Vec<Option<String>> =
        topics.names().map(|topic| topics.namespace(topic).map(str::to_owned)).collect();
    let (wanted, business) = (id.clone(), settings.business);
    let found = database
        .read(move |connection| {
            let Some(order) = orders::find(connection, access, &wanted, &namespaces, business)? else {
                return Ok(None);
            };
            let parts = || order.event.content.parts().map(|(part, _)| part);
            let products = parts().filter_map(|part| part.product.as_ref()).map(ProductId::as_str);
            let products = directory::names(connection, ItemKind::Product, products)?;
            let vendors = parts().filter_map(|part| part.vendor.id()).map(VendorId::as_str);
            let vendors = directory::names(connection, ItemKind::Vendor, vendors)?;
            Ok(Some((order, products, vendors)))
        })
        .await?;
    let (order, products, vendors) = found.ok_or_else(Problem::order_not_found)?;
    let Order { event, ingested_at, batch, counters, ratios } = order;
    let counters = counters.into_iter().map(|(metric, sum)| (metric, serde_json::json!(sum)));
    let ratios = ratios.into_iter().map(|(metric, fraction)| {
        let (numerator, denominator) = (fraction.numerator, fraction.denominator);
        (metric, serde_json::json!({ "numerator": numerator, "denominator": denominator }))
    });
    Ok(Json(OrderBody {
        order_id: id.as_str().to_owned(),
        status: "counted",
        event_id: event.id.0,
        user_id: event.user.as_ref().map(ToString::to_string),
        created_at: event.time.utc(),
        ingested_at,
        batch,
        lines: event.content.lines().iter().map(|line| NamedLine::of(line, &products, &vendors)).collect(),
        metrics: counters.chain(ratios).collect(),
    }))
}
