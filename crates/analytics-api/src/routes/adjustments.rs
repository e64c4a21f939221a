//! `POST /api/metrics/upsert`: sets a metric by hand, in read-write mode.

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
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

use super::metrics::{NumberedMetric, parse, shown};
use crate::as_of::numbered;
use crate::caller;
use crate::connections::Failed;
use crate::database::Database;
use crate::problem::{Failures, Problem, TooLarge};
use crate::query::Query;
use crate::settings::ApiSettings;

/// The largest absolute value. It leaves room in a bigint for what is counted afterwards.
const LARGEST_VALUE: u64 = 1_000_000_000_000_000_000;
/// The maximum length of a reason, in characters.
const LONGEST_REASON: usize = 1000;

/// The new value or metadata of a metric, or both.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upsert {
    /// The metric's type: one of the catalogue, or a custom name.
    #[schema(min_length = 1, max_length = 100, example = "seller_revenue:v-1")]
    r#type: String,
    /// The new value, from -10^18 to 10^18; if it is not given, the value is kept.
    value: Option<i64>,
    /// The new metadata; if it is not given, the metadata is kept.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
    /// Why the metric is set.
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// Set a metric by hand
///
/// The difference to the current value is logged as a `metric.adjusted` event with the actor and
/// the reason, so that recounting from the event log yields the same value. Rates, averages and
/// totals over sellers are derived from other metrics and cannot be set.
#[utoipa::path(
    post, path = "/api/metrics/upsert", operation_id = "upsertMetric", tag = "metrics", security(("bearer" = [])),
    request_body = Upsert,
    responses((status = 200, description = "The metric after the change", body = NumberedMetric), Failures, TooLarge)
)]
pub(crate) async fn upsert(
    principal: Principal,
    request: HttpRequest,
    body: Json<Upsert>,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
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
            let found = metrics::several_as_of(connection, metric.as_slice())?;
            Ok::<_, DbError>((adjusted, found))
        })
        .await?;
    let event =
        adjusted.map_err(|()| Problem::invalid_body("value: the difference to the current value is out of range"))?;
    log::info!("{} adjusted a metric, event {event}", principal.user.as_deref().unwrap_or("an admin"));
    let gone = || {
        let failed = Failed::Unexpected("a metric is missing after it was set".into());
        failed.log();
        Problem::of_failure(&failed)
    };
    let (found, as_of) = found.ok_or_else(gone)?;
    let metric = found.into_iter().next().ok_or_else(gone)?;
    Ok(numbered(HttpResponse::Ok(), as_of, shown(metric, &settings)))
}

fn adjustment(body: Upsert, principal: &Principal, settings: &ApiSettings) -> Result<Adjustment, Problem> {
    let known = parse(&body.r#type, settings)?;
    if let Some(derived) = known.as_ref().filter(|known| known.metric.is_derived()) {
        let detail = format!("{} is derived from other metrics and cannot be set", derived.metric.name());
        return Err(Problem::invalid_parameter("type", detail));
    }
    if body.value.is_none() && body.metadata.is_none() {
        return Err(Problem::invalid_body("must have value, metadata, or both"));
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
        return Err(Problem::invalid_body("reason: must not contain the character U+0000"));
    }
    Ok(Adjustment {
        metric_type: known.map_or(body.r#type, |known| known.to_string()),
        value: body.value,
        metadata: body.metadata.map(RawJson::from),
        reason: body.reason,
        actor: caller::actor(principal),
    })
}
