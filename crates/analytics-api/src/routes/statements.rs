//! `GET /api/sellers/{vendor}/statements`, `.../{month}` as JSON and as CSV, and `GET /api/statements/keys`: what months
//! came to for sellers.

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::{Data, Path};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use analytics_core::catalogue::Metric;
use analytics_core::ids::VendorId;
use analytics_core::metric_type::{MetricType, Subject};
use analytics_core::money::Currency;
use analytics_core::month::Month;
use analytics_core::statement::{Checked, Days, Figures, PastRange, check};
use analytics_db::read::statements::{self, UsedKey};
use analytics_db::tables::statements::Stored;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::as_of::{AS_OF, answer};
use crate::caller;
use crate::database::Database;
use crate::middleware::AsCsv;
use crate::page::Page;
use crate::problem::{Failures, NotFound, Problem, Unchanged};
use crate::query::Query;

/// The numbers of a seller in one currency, in minor units.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatementSums)]
pub(crate) struct SumsBody {
    /// ISO 4217 code.
    currency: &'static str,
    /// What was sold, before refunds.
    gross: i64,
    /// What cancellations and refunds of the month took back, of orders of any month.
    refunds: i64,
    /// What was changed by hand.
    adjustments: i64,
    /// `gross - refunds + adjustments`. Not a payout: commission, tax and shipping are not in it.
    net: i64,
    /// Orders with something in the currency.
    orders: i64,
    units: i64,
}

/// A statement in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatementHead)]
pub(crate) struct HeadBody {
    /// Such as `2026-10`.
    month: String,
    /// From 1. A later version restates the month.
    version: u32,
    closed_at: DateTime<Utc>,
    currencies: Vec<SumsBody>,
    /// SHA-256 of the lines of the CSV, in hexadecimal.
    digest: String,
    /// The digest of the seller's statement that was closed before.
    previous_digest: Option<String>,
    /// The Ed25519 signature of the digest, in base64.
    signature: Option<String>,
    /// The public key that verifies it, in base64.
    key: Option<String>,
}

/// What a month came to for a seller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Statement)]
pub(crate) struct StatementBody {
    vendor_id: String,
    /// Such as `2026-10`.
    month: String,
    /// From 1. A later version restates the month.
    version: u32,
    /// The IANA timezone of the days.
    timezone: String,
    closed_at: DateTime<Utc>,
    /// The number of the last batch that it includes.
    as_of: i64,
    /// The version of the rules of counting.
    rules_version: i16,
    /// The number of the last batch that the proof includes on which it relies.
    proved_as_of: Option<i64>,
    /// How many dead letters of the month were open.
    open_dead_letters: i64,
    /// Why the month was not proved when it was closed, or which records are missing.
    gaps: Vec<String>,
    /// In the order of their codes.
    currencies: Vec<CurrencyBody>,
    /// What arrived since the version before; null for version 1.
    restatement: Option<RestatementBody>,
    /// The digest of the ids and amounts of the events that it is made of.
    events_digest: String,
    /// SHA-256 of the lines of the CSV, in hexadecimal.
    digest: String,
    /// The digest of the seller's statement that was closed before.
    previous_digest: Option<String>,
    /// The Ed25519 signature of the digest, in base64.
    signature: Option<String>,
    /// The public key that verifies it, in base64.
    key: Option<String>,
}

/// A currency of a statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementCurrency)]
pub(crate) struct CurrencyBody {
    #[serde(flatten)]
    sums: SumsBody,
    /// The days on which something was counted.
    lines: Vec<LineBody>,
}

/// A day of a statement, in minor units.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatementLine)]
pub(crate) struct LineBody {
    day: NaiveDate,
    orders: i64,
    units: i64,
    gross: i64,
    refunds: i64,
    adjustments: i64,
    net: i64,
}

/// What a later version restates.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Restatement)]
pub(crate) struct RestatementBody {
    /// The version before.
    of: u32,
    /// Their deltas are the difference between the versions.
    events: Vec<LateBody>,
}

/// An event that arrived after the version before was closed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LateEvent)]
pub(crate) struct LateBody {
    /// Null for what no event explains, such as a vendor that was attributed afterwards.
    id: Option<Uuid>,
    /// The type of the event, or `correction`.
    r#type: String,
    occurred_at: DateTime<Utc>,
    /// What it changes of net, in minor units.
    delta: i64,
    currency: &'static str,
}

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
    let read: Result<Vec<_>, Problem> =
        found.into_iter().map(|stored| Ok((stored.position, head(&checked(&stored)?)?))).collect();
    Ok(Page::of(read?, limit, |(position, _)| position.to_string(), |(_, head)| head).answer(&request, as_of))
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
    let checked = checked(&stored)?;
    Ok((stored, checked))
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
    check(&stored.csv).map_err(|wrong| {
        log::error!(
            "the statement of {:?} of {}, version {}, is damaged: {wrong}",
            stored.vendor_id,
            stored.month,
            stored.version
        );
        Problem::internal_error()
    })
}

fn past_range(_: PastRange) -> Problem {
    Problem::internal_error()
}

fn sums(currency: &'static str, figures: Figures) -> Result<SumsBody, Problem> {
    let net = figures.net().map_err(past_range)?;
    let Figures { orders, units, gross, refunds, adjustments } = figures;
    Ok(SumsBody { currency, gross, refunds, adjustments, net, orders, units })
}

fn signature(checked: &Checked) -> Option<String> {
    checked.signature.map(|bytes| BASE64_STANDARD.encode(bytes))
}

fn head(checked: &Checked) -> Result<HeadBody, Problem> {
    let own = &checked.statement;
    let sum =
        |(currency, days): (&Currency, &Days)| sums(currency.code(), Figures::sum(days.values()).map_err(past_range)?);
    Ok(HeadBody {
        month: own.month.to_string(),
        version: own.version,
        closed_at: own.closed_at,
        currencies: own.currencies.iter().map(sum).collect::<Result<_, _>>()?,
        digest: checked.digest.to_string(),
        previous_digest: own.previous.map(|digest| digest.to_string()),
        signature: signature(checked),
        key: own.key.map(|key| key.to_string()),
    })
}

fn body(checked: Checked) -> Result<StatementBody, Problem> {
    let HeadBody { month, version, closed_at, currencies, digest, previous_digest, signature, key } = head(&checked)?;
    let own = checked.statement;
    let line = |(day, figures): (&NaiveDate, &Figures)| {
        let net = figures.net().map_err(past_range)?;
        let Figures { orders, units, gross, refunds, adjustments } = *figures;
        Ok(LineBody { day: *day, orders, units, gross, refunds, adjustments, net })
    };
    let lines = own.currencies.values().map(|days| days.iter().map(line).collect::<Result<_, Problem>>());
    let currency = |(sums, lines): (SumsBody, Result<_, Problem>)| Ok(CurrencyBody { sums, lines: lines? });
    let restatement = own.restatement.map(|restatement| RestatementBody {
        of: restatement.of,
        events: restatement
            .late
            .into_iter()
            .map(|late| LateBody {
                id: late.event,
                r#type: late.event_type,
                occurred_at: late.occurred_at,
                delta: late.delta,
                currency: late.currency.code(),
            })
            .collect(),
    });
    Ok(StatementBody {
        vendor_id: own.vendor.as_str().to_owned(),
        month,
        version,
        timezone: own.timezone,
        closed_at,
        as_of: own.as_of,
        rules_version: own.rules_version,
        proved_as_of: own.proved_as_of,
        open_dead_letters: own.open_dead_letters,
        gaps: own.gaps,
        currencies: currencies.into_iter().zip(lines).map(currency).collect::<Result<_, Problem>>()?,
        restatement,
        events_digest: own.events.to_string(),
        digest,
        previous_digest,
        signature,
        key,
    })
}
