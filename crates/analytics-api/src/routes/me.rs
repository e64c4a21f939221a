//! `GET /api/me`: who the caller is, as the token says.

use actix_web::HttpRequest;
use actix_web::web::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::{Principal, Role};
use utoipa::ToSchema;

use crate::access;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;

/// The latest time with a year of four digits, in seconds since the Unix epoch.
const LATEST: i64 = 253_402_300_799;

/// The caller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Me)]
pub(crate) struct MeBody {
    /// `admin`, `support`, `seller`, `buyer`, or `embed` for a page in another site.
    role: &'static str,
    /// The vendors whose numbers the caller may read; empty for roles that read all or none.
    vendor_ids: Vec<String>,
    /// The user's id, if the token has one.
    subject: Option<String>,
    /// When the token expires.
    expires_at: DateTime<Utc>,
}

/// Get the caller
///
/// Its role, its vendors and the expiry of its token.
#[utoipa::path(
    get, path = "/api/me", operation_id = "getMe", tag = "access", security(("bearer" = [])),
    responses((status = 200, description = "The caller", body = MeBody), Unchanged, Failures)
)]
pub(crate) async fn show(principal: Principal, request: HttpRequest) -> Result<Json<MeBody>, Problem> {
    Query::of(&request, &[], &[])?;
    let Principal { user, role, expires_at } = principal;
    Ok(Json(MeBody {
        role: access::name(&role),
        vendor_ids: vendor_ids(&role),
        subject: user,
        expires_at: time(expires_at),
    }))
}

fn vendor_ids(role: &Role) -> Vec<String> {
    match role {
        Role::Vendor(vendors) => vendors.iter().map(str::to_owned).collect(),
        Role::Embed(vendor) => vec![vendor.clone()],
        Role::Admin | Role::Support | Role::Buyer => Vec::new(),
    }
}

/// Returns a time in seconds since the Unix epoch, or the latest one that can be written.
pub(super) fn time(seconds: u64) -> DateTime<Utc> {
    let seconds = i64::try_from(seconds).unwrap_or(LATEST).min(LATEST);
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
