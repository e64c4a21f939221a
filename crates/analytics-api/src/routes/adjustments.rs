//! `POST /api/metrics/upsert`: a metric set by hand, in read-write mode.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json};
use analytics_core::storable_object;
use analytics_db::DbError;
use analytics_db::RawJson;
use analytics_db::error::WriteError;
use analytics_db::read::{Tenant, metrics};
use analytics_db::transactions::adjust::{Adjustment, adjust};
use serde::Deserialize;
use serde_json::value::RawValue;
use shared_auth::Principal;
use utoipa::ToSchema;

use super::metrics::{MetricBody, parse, shown};
use crate::caller;
use crate::connections::Failed;
use crate::database::Database;
use crate::problem::{Failures, Problem, TooLarge};
use crate::query::Query;
use crate::settings::ApiSettings;

/// The largest value, either way: what is counted on top of it still fits.
const LARGEST_VALUE: u64 = 1_000_000_000_000_000_000;
/// The longest reason.
const LONGEST_REASON: usize = 1000;

/// What a metric is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upsert {
    /// The metric's type: of the catalogue, or a name of your own.
    #[schema(min_length = 1, max_length = 100, example = "seller_revenue:v-1")]
    r#type: String,
    /// The value that it is to have; left as it is if not given.
    value: Option<i64>,
    /// The metadata that it is to have; left as it is if not given.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
    /// Why.
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// Set a metric by hand
///
/// The difference to the current value is logged as a `metric.adjusted` event with who did it and
/// why, so that recomputing gives the same. Rates, averages and totals over sellers follow from
/// other metrics and cannot be set.
#[utoipa::path(
    post, path = "/api/metrics/upsert", operation_id = "upsertMetric", tag = "metrics", security(("bearer" = [])),
    request_body = Upsert,
    responses((status = 200, description = "The metric as it is now", body = MetricBody), Failures, TooLarge)
)]
pub(crate) async fn upsert(
    principal: Principal,
    request: HttpRequest,
    body: Json<Upsert>,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<Json<MetricBody>, Problem> {
    Query::of(&request, &[], &[])?;
    let adjustment = adjustment(body.into_inner(), &principal, &settings)?;
    let business = settings.business;
    let metric = Tenant::Marketplace.custom_metric(&adjustment.metric_type);
    let (adjusted, found) = database
        .write(move |connection| {
            let adjusted = match adjust(connection, &adjustment, business) {
                Ok(event) => Ok(event),
                Err(WriteError::Refused) => Err(()),
                Err(error) => return Err(error.into()),
            };
            let found = metric.map(|metric| metrics::one(connection, &metric)).transpose()?;
            Ok::<_, DbError>((adjusted, found.flatten()))
        })
        .await?;
    let event = adjusted
        .map_err(|()| Problem::invalid_body("value: the difference to the current value is past the limits"))?;
    log::info!("{event}: {} adjusted a metric", principal.user.as_deref().unwrap_or("somebody"));
    let gone = || {
        let failed = Failed::Unexpected("a metric that was set is not there".into());
        failed.log();
        Problem::of_failure(&failed)
    };
    Ok(Json(shown(found.ok_or_else(gone)?, &settings)))
}

fn adjustment(body: Upsert, principal: &Principal, settings: &ApiSettings) -> Result<Adjustment, Problem> {
    let known = parse(&body.r#type, settings)?;
    if let Some(derived) = known.as_ref().filter(|known| known.metric.is_derived()) {
        let detail = format!("{} follows from other metrics and cannot be set", derived.metric.name());
        return Err(Problem::invalid_parameter("type", detail));
    }
    if body.value.is_none() && body.metadata.is_none() {
        return Err(Problem::invalid_body("give a value, metadata, or both"));
    }
    if body.value.is_some_and(|value| value.unsigned_abs() > LARGEST_VALUE) {
        return Err(Problem::invalid_body(format!("value: must be between -{LARGEST_VALUE} and {LARGEST_VALUE}")));
    }
    if let Some(metadata) = &body.metadata {
        storable_object(metadata.get()).map_err(|why| Problem::invalid_body(format!("metadata: {why}")))?;
    }
    let text = body.reason.as_deref().unwrap_or_default();
    if text.chars().count() > LONGEST_REASON {
        return Err(Problem::invalid_body(format!("reason: must have at most {LONGEST_REASON} characters")));
    }
    if text.contains('\0') {
        return Err(Problem::invalid_body("reason: must not hold the character U+0000"));
    }
    Ok(Adjustment {
        metric_type: known.map_or(body.r#type, |known| known.to_string()),
        value: body.value,
        metadata: body.metadata.map(RawJson::from),
        reason: body.reason,
        actor: caller::actor(principal),
    })
}
