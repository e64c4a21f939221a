//! `GET /api/metrics/{type}` and `GET /api/metrics`: one metric, several, or all metrics of a name.

use std::sync::{Arc, Mutex};

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::catalogue::{self, Unit};
use analytics_core::ids::VendorId;
use analytics_core::metric_type::{InvalidType, MetricType};
use analytics_core::money::Currency;
use analytics_core::sums;
use analytics_db::read::metrics::{self, Metric};
use analytics_db::read::{MetricRange, ReadableMetric, Tenant};
use analytics_db::{Connection, RawJson};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::as_of::{Numbered, numbered};
use crate::caller;
use crate::database::Database;
use crate::kept::{Answer, Cache, fresh};
use crate::page::Page;
use crate::problem::{Failures, NotFound, Problem, Unchanged};
use crate::query::Query;
use crate::settings::ApiSettings;

/// The maximum length of a metric type, in characters.
pub(crate) const LONGEST: usize = 100;
/// The maximum number of types in one request.
const MOST_TYPES: usize = 100;

/// A metric.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Metric)]
pub(crate) struct MetricBody {
    id: Uuid,
    /// The metric's type, such as `seller_revenue:v-1`.
    r#type: String,
    /// The metric's value; null for a rate whose denominator is 0, and for a sum past the range of 64 bits.
    value: Option<i64>,
    /// True if the sum is past the range of 64 bits; otherwise left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    overflow: bool,
    /// `views`, `users`, `orders`, `units`, `minor_units`, `basis_points` or `stars_x100`; null for
    /// a custom metric.
    unit: Option<&'static str>,
    /// The ISO 4217 code of the currency, if the unit is `minor_units`.
    currency: Option<&'static str>,
    /// For a rate, `numerator` and `denominator`; for an average, `count`, `sum` and `histogram`;
    /// otherwise the metadata that was set by hand.
    #[schema(value_type = Option<Object>)]
    metadata: Option<RawJson>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// An alias for the OpenAPI macro, which does not support generic types.
pub(crate) type NumberedMetric = Numbered<MetricBody>;

/// Get a metric
///
/// `daily_signups` without a day is that of today. Another seller's metric is the same 404 as a
/// metric that was never counted. A `/` in a type is written `%2F`.
#[utoipa::path(
    get, path = "/api/metrics/{type}", operation_id = "getMetric", tag = "metrics", security(("bearer" = [])),
    params(("type" = String, Path, description = "The metric's type, URL-encoded", example = "total_views")),
    responses((status = 200, description = "The metric", body = NumberedMetric), Unchanged, Failures, NotFound)
)]
pub(crate) async fn one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    Query::of(&request, &[], &[])?;
    let (metric, known) = readable(&path.into_inner(), &tenant, &settings)?;
    let metric = metric.ok_or_else(Problem::metric_not_found)?;
    let (found, as_of) = database.metric(metric).await?.ok_or_else(Problem::metric_not_found)?;
    Ok(numbered(HttpResponse::Ok(), as_of, body(found, known.as_ref(), &settings)))
}

/// An alias for the OpenAPI macro, which does not support generic types.
type MetricPage = Page<MetricBody>;

/// Get several metrics, or list all metrics of a name
///
/// With `type`, given up to 100 times, returns the metrics of these types on one page. With `name`,
/// returns all metrics of that name, page by page. Metrics that were never counted, or that the
/// caller may not read, are left out. Either `type` or `name` must be given, not both. With
/// `vendorId`, metrics of that seller alone are listed; of another seller there are none.
#[utoipa::path(
    get, path = "/api/metrics", operation_id = "listMetrics", tag = "metrics", security(("bearer" = [])),
    params(
        ("type" = Option<Vec<String>>, Query,
         description = "A metric's type; may be given up to 100 times", max_items = 100),
        ("name" = Option<String>, Query, description = "The name of metrics, such as `seller_revenue`"),
        ("vendorId" = Option<String>, Query, description = "With `name`: only metrics of this seller"),
        ("sort" = Option<String>, Query, description = "With `name`: `type` (the default), or `value`, which leaves out metrics without one, and is at most a minute old"),
        ("order" = Option<String>, Query, description = "With `name`: `asc` (the default) or `desc`; with `sort=value` the default is `desc`"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of metrics", body = MetricPage), Unchanged, Failures)
)]
pub(crate) async fn list(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
    lists: Data<Lists>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let query = Query::of(&request, &["name", "vendorId", "sort", "order", "limit", "cursor"], &["type"])?;
    let (limit, cursor, sort) = (query.limit()?, query.cursor()?, Sort::of(&query)?);
    let types: Vec<&str> = query.all("type").collect();
    let vendor = query.optional("vendorId", VendorId::parse)?;
    if vendor.is_some() && !types.is_empty() {
        return Err(Problem::invalid_parameter("vendorId", "must not be given together with type"));
    }
    let (found, as_of) = match (query.get("name"), types.as_slice()) {
        (None, []) => return Err(Problem::invalid_parameter("type", "must be given, unless name is given")),
        (Some(_), [_, ..]) => return Err(Problem::invalid_parameter("name", "must not be given together with type")),
        (None, types) if types.len() > MOST_TYPES => {
            return Err(Problem::invalid_parameter("type", format!("must be given at most {MOST_TYPES} times")));
        }
        (None, types) => {
            let mut wanted: Vec<ReadableMetric> = Vec::with_capacity(types.len());
            for text in types {
                wanted.extend(readable(text, &tenant, &settings)?.0);
            }
            database.read_as_of(move |connection| metrics::several(connection, &wanted)).await?
        }
        (Some(name), []) => {
            let metric = catalogue::Metric::named(name)
                .ok_or_else(|| Problem::invalid_parameter("name", "is not the name of a metric"))?;
            let ranges = tenant.metrics_named(metric, vendor.as_ref());
            let more = i64::from(limit) + 1;
            let after = cursor.as_deref().filter(|_| sort.is_by_value()).map(value_and_type).transpose()?;
            match sort {
                Sort::ByType { descending } => {
                    let by_type = move |connection: &mut Connection| {
                        metrics::by_type(connection, &ranges, cursor.as_deref(), descending, more)
                    };
                    database.read_as_of(by_type).await?
                }
                Sort::ByValue { descending } => {
                    let question = (ranges.clone(), after.clone(), descending, more);
                    let database = Database::clone(&database);
                    let read = || async move {
                        let by_value = move |connection: &mut Connection| {
                            metrics::by_value(connection, &ranges, after, descending, more)
                        };
                        Answer::read(database.read_expensive_as_of(by_value)).await
                    };
                    (*fresh(&lists.0, question, MOST_LISTS, read).await?).clone()
                }
            }
        }
    };
    let item = |metric| shown(metric, &settings);
    let page = match types.as_slice() {
        [] => Page::of(found, limit, |metric| sort.key(metric), item),
        // Metrics that were requested by type are on one page.
        [_, ..] => Page::only(found.into_iter().map(item).collect()),
    };
    Ok(page.answer(&request, as_of))
}

/// The most lists by value that are kept.
const MOST_LISTS: usize = 64;

/// Metrics, and the number of the last batch that they include.
type Listed = (Vec<Metric>, i64);

/// What is listed by value: the types, after which value and type, whether descending, and how many.
type ByValue = (Vec<MetricRange>, Option<(i64, String)>, bool, i64);

/// Lists by value, kept for some seconds: all metrics of the name have to be sorted. Clones share
/// them.
#[derive(Clone, Default)]
pub(crate) struct Lists(Arc<Mutex<Cache<ByValue, Listed>>>);

/// The order of a list by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    ByType { descending: bool },
    ByValue { descending: bool },
}

impl Sort {
    fn of(query: &Query) -> Result<Self, Problem> {
        let by_value = query.optional("sort", |sort| match sort {
            "type" => Ok(false),
            "value" => Ok(true),
            _ => Err("must be type or value"),
        })?;
        let descending = query.optional("order", |order| match order {
            "asc" => Ok(false),
            "desc" => Ok(true),
            _ => Err("must be asc or desc"),
        })?;
        Ok(match by_value {
            Some(true) => Self::ByValue { descending: descending.unwrap_or(true) },
            Some(false) | None => Self::ByType { descending: descending.unwrap_or(false) },
        })
    }

    const fn is_by_value(self) -> bool {
        matches!(self, Self::ByValue { .. })
    }

    /// What the next page begins after.
    fn key(self, metric: &Metric) -> String {
        match self {
            Self::ByType { .. } => metric.metric_type.clone(),
            Self::ByValue { .. } => format!("{} {}", metric.value.unwrap_or(0), metric.metric_type),
        }
    }
}

fn value_and_type(key: &str) -> Result<(i64, String), Problem> {
    let parts =
        key.split_once(' ').and_then(|(value, metric_type)| Some((value.parse().ok()?, metric_type.to_owned())));
    parts.ok_or_else(|| Problem::invalid_parameter("cursor", "must be a cursor from this route, of the same order"))
}

/// Returns the metric of a type, if the tenant may read it, and the parsed type, if the catalogue
/// has the metric. It does not have custom metrics, which only adjustments by hand create.
pub(crate) fn readable(
    text: &str,
    tenant: &Tenant,
    settings: &ApiSettings,
) -> Result<(Option<ReadableMetric>, Option<MetricType>), Problem> {
    match parse(text, settings)? {
        Some(known) => Ok((tenant.metric(&known), Some(known))),
        None => Ok((tenant.custom_metric(text), None)),
    }
}

/// Parses a metric type. Returns `None` if the catalogue does not have its name.
pub(crate) fn parse(text: &str, settings: &ApiSettings) -> Result<Option<MetricType>, Problem> {
    if text.is_empty() || text.chars().count() > LONGEST || text.contains('\0') {
        return Err(Problem::invalid_parameter("type", format!("must be text of 1 to {LONGEST} characters")));
    }
    let today = settings.business.calendar.day(Utc::now().into());
    match MetricType::parse(text, today, settings.business.base_currency) {
        Ok(metric_type) => Ok(Some(metric_type)),
        Err(InvalidType::UnknownMetric(_)) => Ok(None),
        Err(error) => Err(Problem::invalid_parameter("type", error)),
    }
}

/// Returns the JSON body for a stored metric.
pub(crate) fn shown(metric: Metric, settings: &ApiSettings) -> MetricBody {
    let known = parse(&metric.metric_type, settings).ok().flatten();
    body(metric, known.as_ref(), settings)
}

/// Returns the unit of a metric and, if it is an amount of money, its currency, according to the
/// catalogue.
pub(crate) fn unit_and_currency(
    known: Option<&MetricType>,
    settings: &ApiSettings,
) -> (Option<&'static str>, Option<&'static str>) {
    let unit = known.map(|known| known.metric.unit());
    let base = settings.business.base_currency;
    let currency =
        known.filter(|known| known.metric.has_currency()).map(|known| known.foreign_currency.unwrap_or(base));
    (unit.map(Unit::name), currency.map(Currency::code))
}

fn body(metric: Metric, known: Option<&MetricType>, settings: &ApiSettings) -> MetricBody {
    let (unit, currency) = unit_and_currency(known, settings);
    MetricBody {
        id: metric.id,
        r#type: metric.metric_type,
        value: metric.value.and_then(sums::known),
        overflow: metric.value.is_some_and(|value| sums::known(value).is_none()),
        unit,
        currency,
        metadata: metric.metadata,
        created_at: metric.created_at,
        updated_at: metric.updated_at,
    }
}
