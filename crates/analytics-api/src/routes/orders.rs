//! `GET /api/orders/{id}`: what became of an order.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::event::{Event, Line};
use analytics_core::family::Family;
use analytics_core::ids::{OrderId, ProductId, VendorId};
use analytics_core::topics::Topics;
use analytics_db::read::directory::{self, ItemKind, Names};
use analytics_db::read::orders::{self, Order, RejectedOrder};
use analytics_db::{Connection, DbError};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use super::contributions::{LineBody, ReversedLineBody, excess};
use crate::as_of::{Numbered, numbered};
use crate::caller;
use crate::database::Database;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;
use crate::settings::ApiSettings;

/// What became of an order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub(crate) struct OrderBody {
    order_id: String,
    state: OrderState,
    /// The event that it was counted as; this and the following are null unless it is counted or awaits its payment.
    event_id: Option<Uuid>,
    user_id: Option<String>,
    /// When it happened.
    created_at: Option<DateTime<Utc>>,
    /// When it was logged.
    ingested_at: Option<DateTime<Utc>>,
    /// The number of the batch that counted it; null while it awaits its payment.
    batch: Option<i64>,
    /// The event that says that it is paid; null if no event after the order does.
    payment_event_id: Option<Uuid>,
    /// How many more records had the same content and were ignored, including those that were read
    /// again.
    repeats: i32,
    /// When the last of them arrived.
    repeated_at: Option<DateTime<Utc>>,
    /// Its lines, with the vendor to which each was attributed.
    lines: Vec<OrderLineBody>,
    /// Its cancellations and refunds, in the order in which they happened.
    reversals: Vec<OrderReversal>,
    /// What it added to which metric: a number, or `{numerator, denominator}` for a rate.
    #[schema(value_type = Object)]
    metrics: BTreeMap<String, serde_json::Value>,
    /// The records about the order that were rejected, newest first, at most 100: also those that
    /// repeated a counted order with other content.
    dead_letters: Vec<RejectedBody>,
}

/// What became of an order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrderState {
    /// It is counted.
    Counted,
    /// It is logged, and counts once it is paid (`ORDER_COUNTS_WHEN=paid`), on the day on which it was placed.
    AwaitingPayment,
    /// It is not counted, and its records were rejected.
    Rejected,
    /// No record of it was counted or rejected; or the record was so damaged that its id could not
    /// be read; or it is so long ago that its identity or its dead letter is not kept any more.
    NeverSeen,
}

/// A line of a counted order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AttributedLine)]
pub(crate) struct OrderLineBody {
    #[serde(flatten)]
    line: LineBody,
    attribution: Attribution,
    /// The product's name; null if it is not known.
    product_name: Option<String>,
    /// The vendor's name; null if it is not known.
    vendor_name: Option<String>,
}

/// The names of the products and of the vendors of an order.
#[derive(Default)]
struct LineNames {
    products: Names,
    vendors: Names,
}

/// A cancellation or a refund of an order, and what it took back.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderReversal {
    event_id: Uuid,
    /// `order.cancelled`, `order.refunded` or `order.status.updated`.
    event_type: String,
    /// When it happened.
    created_at: DateTime<Utc>,
    /// What it took back of each line.
    lines: Vec<ReversedLineBody>,
    /// What it says beyond what was left of the order, by currency, in minor units.
    excess: BTreeMap<&'static str, i64>,
}

/// How the vendor of a line is known.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Attribution {
    /// The line names it.
    Line,
    /// The order names it.
    Order,
    /// The event named it, in a field that `REDACT_FIELDS` removed from the payload.
    Event,
    /// From other events, which named the vendor of the product.
    Learned,
    /// It is not known.
    Unattributed,
}

/// A record about an order that was rejected.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RejectedOrder)]
pub(crate) struct RejectedBody {
    /// The id of the dead letter.
    id: Uuid,
    /// `open`, `replayed` or `discarded`.
    state: String,
    reason: String,
    /// A sentence that names the field.
    detail: String,
    topic: String,
    partition: i32,
    offset: i64,
    /// When it was rejected.
    created_at: DateTime<Utc>,
    /// The event that it was counted as, once it was replayed.
    event_id: Option<Uuid>,
}

/// An alias for the OpenAPI macro, which does not support generic types.
type NumberedOrder = Numbered<OrderBody>;

/// Find an order
///
/// By its order id: whether it was counted, awaits its payment, was rejected, repeated, or never seen. A counted one with its
/// lines, their vendors and how each is known, and what it added to which metrics; a rejected one
/// with the reason. Rejected records are found if their order id could be read, as long as their
/// dead letters are kept.
#[utoipa::path(
    get, path = "/api/orders/{id}", operation_id = "getOrder", tag = "events", security(("bearer" = [])),
    params(("id" = String, Path, description = "The order id, URL-encoded")),
    responses((status = 200, description = "What became of the order", body = NumberedOrder), Unchanged, Failures)
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
    let ((counted, names, rejected), as_of) = database
        .read_as_of(move |connection| {
            let counted = orders::find(connection, access, &wanted, &namespaces, business)?;
            let names = counted.as_ref().map(|order| LineNames::read(connection, order)).transpose()?;
            let rejected = orders::rejected(connection, access, &wanted, &namespaces)?;
            Ok((counted, names.unwrap_or_default(), rejected))
        })
        .await?;
    Ok(numbered(HttpResponse::Ok(), as_of, OrderBody::of(&id, counted, &names, rejected, topics)))
}

impl LineNames {
    fn read(connection: &mut Connection, order: &Order) -> Result<Self, DbError> {
        let parts = || order.event.content.parts().map(|(part, _)| part);
        let products = parts().filter_map(|part| part.product.as_ref()).map(ProductId::as_str);
        let products = directory::names(connection, ItemKind::Product, products)?;
        let vendors = parts().filter_map(|part| part.vendor.id()).map(VendorId::as_str);
        let vendors = directory::names(connection, ItemKind::Vendor, vendors)?;
        Ok(Self { products, vendors })
    }
}

impl OrderBody {
    fn of(
        id: &OrderId,
        counted: Option<Order>,
        names: &LineNames,
        rejected: Vec<RejectedOrder>,
        topics: &Topics,
    ) -> Self {
        // A refund of it is no record of the order.
        let is_of_order =
            |letter: &RejectedOrder| !topics.not_of(Family::OrderCreated).any(|topic| topic == letter.topic);
        let is_rejected = rejected.iter().any(is_of_order);
        let none = Self {
            order_id: id.as_str().to_owned(),
            state: if is_rejected { OrderState::Rejected } else { OrderState::NeverSeen },
            event_id: None,
            user_id: None,
            created_at: None,
            ingested_at: None,
            batch: None,
            payment_event_id: None,
            repeats: 0,
            repeated_at: None,
            lines: Vec::new(),
            reversals: Vec::new(),
            metrics: BTreeMap::new(),
            dead_letters: rejected.into_iter().map(RejectedBody::of).collect(),
        };
        let Some(order) = counted else { return none };
        let Order {
            event,
            ingested_at,
            batch,
            payment,
            repeats: (repeats, repeated_at),
            named,
            reversals,
            counters,
            ratios,
        } = order;
        let named = named.into_iter().chain(std::iter::repeat(None));
        let counters = counters.into_iter().map(|(metric, sum)| (metric, serde_json::json!(sum)));
        let ratios = ratios.into_iter().map(|(metric, fraction)| {
            let (numerator, denominator) = (fraction.numerator, fraction.denominator);
            (metric, serde_json::json!({ "numerator": numerator, "denominator": denominator }))
        });
        Self {
            state: if event.content.is_unpaid() { OrderState::AwaitingPayment } else { OrderState::Counted },
            event_id: Some(event.id.0),
            user_id: event.user.as_ref().map(ToString::to_string),
            created_at: Some(event.time.utc()),
            ingested_at: Some(ingested_at),
            batch,
            payment_event_id: payment,
            repeats,
            repeated_at,
            lines: event
                .content
                .lines()
                .iter()
                .zip(named)
                .map(|(line, named)| OrderLineBody::of(line, named, names))
                .collect(),
            reversals: reversals.iter().map(OrderReversal::of).collect(),
            metrics: counters.chain(ratios).collect(),
            ..none
        }
    }
}

impl OrderReversal {
    fn of(event: &Event) -> Self {
        let entries = event.content.reversal().map_or(&[][..], |reversal| &reversal.entries);
        Self {
            event_id: event.id.0,
            event_type: event.event_type.name().to_owned(),
            created_at: event.time.utc(),
            lines: entries.iter().filter_map(ReversedLineBody::of).collect(),
            excess: excess(entries),
        }
    }
}

impl OrderLineBody {
    /// `named` is how the payload names the line's vendor: by the line or by the order.
    fn of(line: &Line, named: Option<bool>, names: &LineNames) -> Self {
        let vendor = &line.part.vendor;
        let attribution = match named {
            _ if vendor.id().is_none() => Attribution::Unattributed,
            _ if vendor.is_learned() => Attribution::Learned,
            Some(true) => Attribution::Line,
            Some(false) => Attribution::Order,
            None => Attribution::Event,
        };
        let product_name = line.part.product.as_ref().and_then(|id| names.products.get(id.as_str()).cloned());
        let vendor_name = line.part.vendor.id().and_then(|id| names.vendors.get(id.as_str()).cloned());
        Self { line: LineBody::of(line), attribution, product_name, vendor_name }
    }
}

impl RejectedBody {
    fn of(rejected: RejectedOrder) -> Self {
        let RejectedOrder { id, topic, partition, offset, reason, detail, state, created_at, event_id } = rejected;
        Self { id, state, reason, detail, topic, partition, offset, created_at, event_id }
    }
}
