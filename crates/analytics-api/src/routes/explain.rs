//! `GET /api/metrics/{type}/events`: the events behind a metric, each with what it added.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::deltas::Rated;
use analytics_core::event::Line;
use analytics_core::ratios::{Fraction, Histogram};
use analytics_db::DbError;
use analytics_db::read::explain::{Contribution, Delta, Explanation, explain};
use analytics_db::read::{AsOf, NotAsOf, Tenant, metrics};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use super::metrics::{readable, unit_and_currency};
use crate::caller;
use crate::database::Database;
use crate::page::{encode, linked};
use crate::problem::{Changed, Failures, NotFound, Problem, Unchanged};
use crate::query::Query;
use crate::settings::ApiSettings;

/// A page of the events behind a metric, in descending order of event time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplanationPage {
    /// The metric's type.
    r#type: String,
    /// The metric's value as of `asOf`. Over all pages, the deltas sum to it, or to its components.
    value: Option<i64>,
    /// The unit of the value; null for a custom metric.
    unit: Option<&'static str>,
    /// The ISO 4217 code of the currency, if the unit is `minor_units`.
    currency: Option<&'static str>,
    /// The components of a rate or an average as of `asOf`.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// The number of the last batch that the value includes. All pages show the events up to it.
    as_of: i64,
    /// When the first page was read.
    as_of_time: DateTime<Utc>,
    items: Vec<ContributionBody>,
    /// Value of `cursor` for the next page; null on the last page.
    next_cursor: Option<String>,
}

/// An event that contributes to the metric.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Contribution)]
pub(crate) struct ContributionBody {
    event_id: Uuid,
    event_type: String,
    /// When the event happened.
    created_at: DateTime<Utc>,
    /// When the event was counted.
    ingested_at: DateTime<Utc>,
    delta: DeltaBody,
    /// The user that the event is about; only for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// The product of a view or a rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<String>,
    /// The vendor of a view or a rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor_id: Option<String>,
    /// The lines of an order that contribute to the metric.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineBody>,
    /// The number of stars of a rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    stars: Option<u8>,
    /// The user's earlier rating that this one replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<ReplacedBody>,
    /// The reason for an adjustment by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Who made the adjustment; only for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
}

/// What an event added: to a sum, to the components of a rate, or to the components of an average.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Delta)]
pub(crate) enum DeltaBody {
    /// Added to the value.
    Counter(i64),
    /// Added to the numerator (orders) and the denominator (views).
    Rate { numerator: i64, denominator: i64 },
    /// Added to the number, the sum and the histogram of the ratings. A replaced rating is
    /// subtracted.
    Average { count: i64, sum: i64, histogram: HistogramBody },
}

/// Change of the number of ratings with each number of stars.
#[derive(Serialize, ToSchema)]
#[schema(as = HistogramDelta)]
pub(crate) struct HistogramBody {
    #[serde(rename = "1")]
    one: i64,
    #[serde(rename = "2")]
    two: i64,
    #[serde(rename = "3")]
    three: i64,
    #[serde(rename = "4")]
    four: i64,
    #[serde(rename = "5")]
    five: i64,
}

/// A line of an order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderLine)]
pub(crate) struct LineBody {
    product_id: Option<String>,
    vendor_id: Option<String>,
    /// Whether the line did not name its vendor, and `vendorId` is known from other events.
    vendor_learned: bool,
    quantity: u32,
    /// The amount, in minor units of the currency.
    amount: i64,
    /// The ISO 4217 code of the currency.
    currency: &'static str,
}

/// A rating that another rating of the same user replaced.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplacedRating)]
pub(crate) struct ReplacedBody {
    event_id: Uuid,
    stars: u8,
    created_at: DateTime<Utc>,
}

/// The cursor of a later page, with what the first page showed.
#[derive(Serialize, Deserialize)]
struct Cursor {
    /// The full type of the metric: `daily_signups` without a day is a different metric tomorrow.
    r#type: String,
    /// The id of the event after which the page begins.
    before: Uuid,
    as_of: i64,
    as_of_time: DateTime<Utc>,
    value: Option<i64>,
    metadata: Option<Value>,
}

/// List the events behind a metric
///
/// Every event that contributes to the metric, in descending order of event time, each with what it
/// added. Over all pages, the deltas sum to `value` or, for a rate or an average, to the components
/// in `metadata`. All pages show the data as of the first page. If that data cannot be read, a
/// later page is 409 `number_changed`: request the first page again. This happens if logged events
/// were given vendors since, if too many batches were counted since, or on a replica that is
/// behind. Sellers see their own metrics, and their own lines of orders; sellers and support see
/// neither buyers nor payloads. A `/` in a type is written `%2F`.
#[utoipa::path(
    get, path = "/api/metrics/{type}/events", operation_id = "explainMetric", tag = "metrics", security(("bearer" = [])),
    params(
        ("type" = String, Path, description = "The metric's type, URL-encoded", example = "total_views"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of events", body = ExplanationPage), Unchanged, Failures, NotFound, Changed)
)]
pub(crate) async fn list(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let query = Query::of(&request, &["limit", "cursor"], &[])?;
    let (limit, cursor) = (query.limit()?, query.cursor()?.map(|text| Cursor::parse(&text)).transpose()?);
    let mut named = path.into_inner();
    if let Some(cursor) = &cursor
        && cursor.r#type.split(':').next() == Some(named.as_str())
    {
        named.clone_from(&cursor.r#type);
    }
    let (metric, known) = readable(&named, &tenant, &settings)?;
    let metric = metric.ok_or_else(Problem::metric_not_found)?;
    if cursor.as_ref().is_some_and(|cursor| cursor.r#type != metric.as_str()) {
        return Err(Problem::invalid_parameter("cursor", "must be a cursor for this metric"));
    }
    let (r#type, business) = (metric.as_str().to_owned(), settings.business);
    let found = database
        .read(move |connection| {
            let (before, as_of, first) = match cursor {
                Some(cursor) => {
                    let as_of = match AsOf::at(connection, cursor.as_of)? {
                        Ok(as_of) => as_of,
                        Err(why) => return Ok(Read::NotAsOf(why)),
                    };
                    (Some(cursor.before), as_of, First::of(cursor))
                }
                None => {
                    let Some(found) = metrics::one(connection, &metric)? else { return Ok(Read::Nothing) };
                    let as_of = AsOf::latest(connection)?;
                    // A sum has no components: its metadata is that of an adjustment.
                    let derived = metric.known().is_some_and(|known| !known.metric.is_counter());
                    let metadata = found.metadata.filter(|_| derived).map(|metadata| metadata.to_value());
                    let first = First { as_of: as_of.number, as_of_time: as_of.time, value: found.value, metadata };
                    (None, as_of, first)
                }
            };
            let page = explain(connection, &metric, business, &as_of, before, limit.into())?;
            Ok::<_, DbError>(Read::Page(Box::new((page, first))))
        })
        .await?;
    let (explanation, First { as_of, as_of_time, value, metadata }) = match found {
        Read::Page(page) => *page,
        Read::Nothing => return Err(Problem::metric_not_found()),
        Read::NotAsOf(NotAsOf::Changed) => return Err(Problem::number_changed()),
        Read::NotAsOf(NotAsOf::Ahead) => return Err(Problem::replica_behind()),
    };
    let next_cursor = explanation.next.map(|before| {
        let metadata = metadata.clone();
        let cursor = Cursor { r#type: r#type.clone(), before, as_of, as_of_time, value, metadata };
        encode(&json!(cursor).to_string())
    });
    let mut answer = linked(&request, next_cursor.as_deref());
    let (unit, currency) = unit_and_currency(known.as_ref(), &settings);
    Ok(answer.json(ExplanationPage {
        r#type,
        value,
        unit,
        currency,
        metadata,
        as_of,
        as_of_time,
        items: explanation.contributions.into_iter().map(|contribution| body(contribution, &tenant)).collect(),
        next_cursor,
    }))
}

/// The metric as the first page showed it. All pages show the same.
struct First {
    as_of: i64,
    as_of_time: DateTime<Utc>,
    value: Option<i64>,
    metadata: Option<Value>,
}

impl First {
    fn of(cursor: Cursor) -> Self {
        let Cursor { as_of, as_of_time, value, metadata, .. } = cursor;
        Self { as_of, as_of_time, value, metadata }
    }
}

/// The result of reading a page.
enum Read {
    Page(Box<(Explanation, First)>),
    /// The metric was never counted.
    Nothing,
    /// The events cannot be read as of the first page.
    NotAsOf(NotAsOf),
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, Problem> {
        serde_json::from_str(text).map_err(|_| Problem::invalid_parameter("cursor", "must be a cursor from this route"))
    }
}

fn body(contribution: Contribution, tenant: &Tenant) -> ContributionBody {
    let Contribution { event, ingested_at, delta, lines, replaced, said } = contribution;
    let (product, vendor) = event.content.about();
    let (product, vendor) = (product.map(ToString::to_string), vendor.map(ToString::to_string));
    let stars = event.content.rating().map(|rating| rating.stars.get());
    let said = said.map(|said| said.to_value()).unwrap_or_default();
    let text = |name: &str| said.get(name)?.as_str().map(str::to_owned);
    ContributionBody {
        event_id: event.id.0,
        event_type: event.event_type.name().to_owned(),
        created_at: event.time.utc(),
        ingested_at,
        delta: delta.into(),
        user_id: event.user.as_ref().filter(|_| tenant.reads_users()).map(ToString::to_string),
        product_id: product,
        vendor_id: vendor,
        lines: lines.iter().map(LineBody::of).collect(),
        stars,
        replaced: replaced.map(ReplacedBody::of),
        reason: text("reason"),
        actor: text("actor").filter(|_| tenant.reads_users()),
    }
}

impl From<Delta> for DeltaBody {
    fn from(delta: Delta) -> Self {
        match delta {
            Delta::Counter(amount) => Self::Counter(amount),
            Delta::Ratio(Fraction { numerator, denominator }) => Self::Rate { numerator, denominator },
            Delta::Average(histogram) => {
                let Histogram([one, two, three, four, five]) = histogram;
                let counts = HistogramBody { one, two, three, four, five };
                Self::Average { count: histogram.count(), sum: histogram.sum(), histogram: counts }
            }
        }
    }
}

impl LineBody {
    fn of(Line { part, sale }: &Line) -> Self {
        Self {
            product_id: part.product.as_ref().map(ToString::to_string),
            vendor_id: part.vendor.id().map(ToString::to_string),
            vendor_learned: part.vendor.is_learned(),
            quantity: sale.quantity.units(),
            amount: sale.amount.0,
            currency: sale.currency.code(),
        }
    }
}

impl ReplacedBody {
    fn of(rated: Rated) -> Self {
        Self { event_id: rated.event.0, stars: rated.stars.get(), created_at: rated.time.utc() }
    }
}
