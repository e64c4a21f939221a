//! `GET /api/metrics/{type}`: one metric.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Path};
use analytics_core::metric_type::{InvalidType, MetricType, Unit};
use analytics_core::money::Currency;
use analytics_db::read::RawJson;
use analytics_db::read::metrics::{self, Metric};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::{Principal, Role};
use uuid::Uuid;

use crate::database::Database;
use crate::problem::Problem;
use crate::query::Query;
use crate::settings::ApiSettings;

/// The longest metric type.
const LONGEST: usize = 100;

/// A metric as clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricBody {
    id: Uuid,
    r#type: String,
    /// Null is a rate without a denominator.
    value: Option<i64>,
    unit: Option<&'static str>,
    currency: Option<&'static str>,
    metadata: Option<RawJson>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

pub(crate) async fn one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<Json<MetricBody>, Problem> {
    Query::parse(request.query_string(), &[])?;
    let text = path.into_inner();
    let known = parse(&text, &settings)?;
    if !may_read(&principal, known.as_ref())? {
        return Err(Problem::metric_not_found());
    }
    let stored = known.as_ref().map_or(text, ToString::to_string);
    let found = database.read(move |connection| metrics::by_type(connection, &stored)).await?;
    let metric = found.ok_or_else(Problem::metric_not_found)?;
    Ok(Json(body(metric, known.as_ref(), settings.business.base_currency)))
}

/// The type as the catalogue has it; `None` for a name that it does not have, which an adjustment
/// by hand may have made.
fn parse(text: &str, settings: &ApiSettings) -> Result<Option<MetricType>, Problem> {
    if text.chars().count() > LONGEST {
        return Err(Problem::invalid_parameter("type", format!("it has more than {LONGEST} characters")));
    }
    if text.contains('\0') {
        return Err(Problem::invalid_parameter("type", "it holds U+0000"));
    }
    let today = settings.business.calendar.day(Utc::now().into());
    match MetricType::parse(text, today, settings.business.base_currency) {
        Ok(metric_type) => Ok(Some(metric_type)),
        Err(InvalidType::UnknownMetric(_)) => Ok(None),
        Err(error) => Err(Problem::invalid_parameter("type", error)),
    }
}

/// Admins read everything, sellers what is about them. A seller learns nothing of whether
/// another's number exists.
fn may_read(principal: &Principal, metric_type: Option<&MetricType>) -> Result<bool, Problem> {
    match &principal.role {
        Role::Admin => Ok(true),
        Role::Vendor(own) => Ok(metric_type.and_then(MetricType::vendor).is_some_and(|vendor| vendor.as_str() == own)),
        Role::Buyer => Err(Problem::forbidden()),
    }
}

fn body(metric: Metric, known: Option<&MetricType>, base: Currency) -> MetricBody {
    let unit = known.map(|known| known.metric.unit());
    let currency = known.filter(|_| unit == Some(Unit::MinorUnits)).map(|known| known.foreign_currency.unwrap_or(base));
    MetricBody {
        id: metric.id,
        r#type: metric.metric_type,
        value: metric.value,
        unit: unit.map(Unit::name),
        currency: currency.map(Currency::code),
        metadata: metric.metadata,
        created_at: metric.created_at,
        updated_at: metric.updated_at,
    }
}
