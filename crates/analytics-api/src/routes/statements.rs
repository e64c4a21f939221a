//! `GET /api/sellers/{vendor}/statements`, `.../{month}` as JSON and as CSV, and `GET /api/statements/keys`: what months
//! came to for sellers.

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::{Data, Path, block};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use analytics_core::catalogue::Metric;
use analytics_core::ids::VendorId;
use analytics_core::metric_type::{MetricType, Subject};
use analytics_core::month::Month;
use analytics_core::statement::Checked;
use analytics_db::read::statements::{self, UsedKey};
use analytics_db::tables::statements::Stored;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;

use super::statement_body::{HeadBody, StatementBody, body, damaged_head, head};
use crate::as_of::{AS_OF, answer};
use crate::caller;
use crate::database::Database;
use crate::middleware::AsCsv;
use crate::page::Page;
use crate::problem::{Failures, NotFound, Problem, Unchanged};
use crate::query::Query;

/// The form of a statement.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used: the middleware reads the format")]
pub(crate) enum StatementFormat {
    Json,
    Csv,
}

type HeadPage = Page<HeadBody>;

/// List the statements of a seller
///
/// Those that were closed last first: the first is the head of the chain, in which each names the digest of the one
/// before.
#[utoipa::path(
    get, path = "/api/sellers/{vendor}/statements", operation_id = "listStatements", tag = "statements",
    security(("bearer" = [])),
    params(
        ("vendor" = String, Path, description = "The seller's id, URL-encoded"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of statements", body = HeadPage), Unchanged, Failures, NotFound)
)]
pub(crate) async fn list(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["limit", "cursor"], &[])?;
    let vendor = vendor_of(&principal, &path)?;
    let (limit, before) = (query.limit()?, query.cursor_key()?);
    let more = i64::from(limit) + 1;
    let (found, as_of) =
        database.read_as_of(move |connection| statements::of_vendor(connection, vendor.as_str(), before, more)).await?;
    // One that is damaged does not keep the others from being shown.
    let head_of = |stored: &Stored| match checked(stored) {
        Ok(checked) => head(&checked),
        Err(_) => Ok(damaged_head(stored)),
    };
    let heads = read(move || found.iter().map(|stored| Ok((stored.position, head_of(stored)?))).collect());
    let heads: Vec<(i32, HeadBody)> = heads.await?;
    Ok(Page::of(heads, limit, |(position, _)| position.to_string(), |(_, head)| head).answer(&request, as_of))
}

/// Get the statement of a seller's month
///
/// The latest version, unless one is given. As CSV, it is the text that is digested and signed: `analytics-jobs statements
/// check` checks it anywhere.
#[utoipa::path(
    get, path = "/api/sellers/{vendor}/statements/{month}", operation_id = "getStatement", tag = "statements",
    security(("bearer" = [])),
    params(
        ("vendor" = String, Path, description = "The seller's id, URL-encoded"),
        ("month" = String, Path, description = "Such as `2026-10`"),
        ("version" = Option<i32>, Query, description = "The version; default the latest", minimum = 1),
        ("format" = inline(Option<StatementFormat>), Query, description = "`json` (the default) or `csv`"),
    ),
    responses(
        (status = 200, description = "The statement", content((StatementBody = "application/json"), (String = "text/csv"))),
        Unchanged, Failures, NotFound
    )
)]
pub(crate) async fn one(
    principal: Principal,
    path: Path<(String, String)>,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let (stored, checked) = find(&principal, &path, &request, &database).await?;
    let as_of = checked.statement.as_of;
    if request.extensions().get::<AsCsv>().is_some() {
        let name = format!("attachment; filename=\"statement-{}-{}.csv\"", checked.statement.month, stored.version);
        return Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/csv; charset=utf-8; header=absent"))
            .insert_header((CONTENT_DISPOSITION, name))
            .insert_header((AS_OF, as_of.to_string()))
            .body(stored.csv));
    }
    Ok(answer(HttpResponse::Ok(), as_of, &body(checked)?))
}

/// A key that signs statements.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatementKey)]
pub(crate) struct KeyBody {
    /// The Ed25519 public key, in base64.
    key: String,
    /// When the first statement was signed with it.
    first_used_at: DateTime<Utc>,
    /// When the last one was.
    last_used_at: DateTime<Utc>,
}

type KeyPage = Page<KeyBody>;

/// List the keys that sign statements
///
/// The public keys, the one that was used last first: for `analytics-jobs statements check --public-key`.
#[utoipa::path(
    get, path = "/api/statements/keys", operation_id = "listStatementKeys", tag = "statements", security(("bearer" = [])),
    responses((status = 200, description = "The keys", body = KeyPage), Unchanged, Failures)
)]
pub(crate) async fn keys(request: HttpRequest, database: Data<Database>) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[], &[])?;
    let (found, as_of) = database.read_as_of(statements::keys).await?;
    let key = |used: UsedKey| KeyBody {
        key: used.key.to_string(),
        first_used_at: used.first_used_at,
        last_used_at: used.last_used_at,
    };
    Ok(Page::only(found.into_iter().map(key).collect()).answer(&request, as_of))
}

/// Finds the statement that a request is about.
pub(super) async fn find(
    principal: &Principal,
    path: &(String, String),
    request: &HttpRequest,
    database: &Database,
) -> Result<(Stored, Checked), Problem> {
    let query = Query::of(request, &["version"], &[])?;
    let (vendor, month) = path;
    let vendor = vendor_of(principal, vendor)?;
    let month: Month = month.parse().map_err(|error| Problem::invalid_parameter("month", error))?;
    let version = query.optional("version", |text| {
        text.parse().ok().filter(|version| *version > 0).ok_or("must be a number from 1")
    })?;
    let found = database.read(move |connection| statements::one(connection, vendor.as_str(), month, version)).await?;
    let stored = found.ok_or_else(Problem::statement_not_found)?;
    read(move || checked(&stored).map(|checked| (stored, checked))).await
}

/// Reads statements on a thread that may block: signatures of many are checked, and one may list many late events.
async fn read<T: Send + 'static>(read: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    block(read).await.map_err(|_| Problem::internal_error())?
}

/// Returns the seller, if the caller may read its numbers; another seller is the same 404 as none.
fn vendor_of(principal: &Principal, path: &str) -> Result<VendorId, Problem> {
    let tenant = caller::tenant(principal)?;
    let vendor = VendorId::parse(path).map_err(|why| Problem::invalid_parameter("vendor", why))?;
    let revenue =
        MetricType { metric: Metric::SellerRevenue, subject: Subject::Vendor(vendor.clone()), foreign_currency: None };
    tenant.metric(&revenue).map(|_| vendor).ok_or_else(Problem::seller_not_found)
}

/// Reads what is stored, and checks it: a statement that was damaged is not shown.
fn checked(stored: &Stored) -> Result<Checked, Problem> {
    stored.checked().map_err(|damaged| {
        log::error!(
            "the statement of {:?} of {}, version {}, is damaged: {damaged}; see verify --full",
            stored.vendor_id,
            stored.month,
            stored.version
        );
        Problem::internal_error()
    })
}
