//! `POST /api/embed-tokens`: tokens for pages of one vendor that are embedded in another site.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::ids::VendorId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared_auth::Principal;
use utoipa::ToSchema;

use super::me;
use crate::caller;
use crate::problem::{Disabled, Failures, Problem, TooLarge};
use crate::query::Query;
use crate::settings::ApiSettings;

/// How long a token may be valid, in seconds.
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=3600;
/// How long it is valid if the request does not say.
const LIFETIME: u64 = 900;

/// For whom a token is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EmbedTokenRequest {
    /// The vendor whose panel the token may read.
    #[schema(min_length = 1, max_length = 64, example = "v-1")]
    vendor_id: String,
    /// How many seconds the token is valid; default 900.
    #[schema(minimum = 60, maximum = 3600)]
    ttl_seconds: Option<u64>,
}

/// A token of one vendor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EmbedToken)]
pub(crate) struct EmbedTokenBody {
    /// A bearer token that may read this vendor's panel, and nothing else.
    token: String,
    expires_at: DateTime<Utc>,
    vendor_id: String,
}

/// Create a token for an embedded page
///
/// The server of a vendor portal gets one for each visitor, and again before it expires. It may read
/// the panel of the vendor; no other service accepts it. Nothing is written, so this works in
/// read-only mode, too. The vendor need not have been counted yet.
#[utoipa::path(
    post, path = "/api/embed-tokens", operation_id = "createEmbedToken", tag = "access", security(("bearer" = [])),
    request_body = EmbedTokenRequest,
    responses((status = 201, description = "The token", body = EmbedTokenBody), Failures, Disabled, TooLarge)
)]
pub(crate) async fn create(
    principal: Principal,
    request: HttpRequest,
    body: Json<EmbedTokenRequest>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[], &[])?;
    let key = settings.dashboard.embed_key.as_ref().ok_or_else(Problem::embedding_disabled)?;
    let EmbedTokenRequest { vendor_id, ttl_seconds } = body.into_inner();
    let vendor = VendorId::parse(&vendor_id).map_err(|why| Problem::invalid_body(format!("vendorId: {why}")))?;
    let seconds = ttl_seconds.unwrap_or(LIFETIME);
    if !LIFETIMES.contains(&seconds) {
        let (least, most) = (LIFETIMES.start(), LIFETIMES.end());
        return Err(Problem::invalid_body(format!("ttlSeconds: must be a number from {least} to {most}")));
    }
    let (token, expires_at) = key.mint(vendor.as_str(), seconds);
    log::info!("{:?} created an embed token of vendor {:?}", caller::actor(&principal), vendor.as_str());
    let body = EmbedTokenBody { token, expires_at: me::time(expires_at), vendor_id: vendor.as_str().to_owned() };
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(body))
}
