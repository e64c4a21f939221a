//! `GET /api/months`: what months came to for the marketplace.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::month::Month;
use analytics_db::read::statements::{self, StoredMonth};
use analytics_db::tables::months::{Money, Numbers};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::database::Database;
use crate::page::Page;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;

/// What a month came to for the marketplace.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Month)]
pub(crate) struct MonthBody {
    /// Such as `2026-10`, in the timezone of the business.
    month: String,
    state: MonthState,
    /// When every seller had a statement of it; null unless it is closed.
    closed_at: Option<DateTime<Utc>>,
    /// When the numbers were calculated.
    calculated_at: DateTime<Utc>,
    /// The number of the last batch that the numbers include.
    as_of: i64,
    views: i64,
    signups: i64,
    orders: i64,
    units: i64,
    cancelled_orders: i64,
    /// In the order of their codes.
    currencies: Vec<MoneyBody>,
}

/// How final the numbers of a month are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MonthState {
    /// It is not over, or not everything of it is counted.
    Open,
    /// It is over, and everything of it is counted.
    Complete,
    /// Every seller has a statement of it.
    Closed,
}

/// Money of a month, in minor units.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MonthMoney)]
pub(crate) struct MoneyBody {
    /// ISO 4217 code.
    currency: String,
    /// What was sold, before refunds.
    gross: i64,
    /// What cancellations and refunds of the month took back.
    refunds: i64,
    /// Gross less refunds.
    net: i64,
}

type MonthPage = Page<MonthBody>;

/// List months
///
/// The last one first: sums of the marketplace's days, as `analytics-jobs months` calculated them last.
#[utoipa::path(
    get, path = "/api/months", operation_id = "listMonths", tag = "statements", security(("bearer" = [])),
    params(
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of months", body = MonthPage), Unchanged, Failures)
)]
pub(crate) async fn list(request: HttpRequest, database: Data<Database>) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["limit", "cursor"], &[])?;
    let (limit, before) = (query.limit()?, query.cursor_key()?);
    let more = i64::from(limit) + 1;
    let (found, as_of) = database.read_as_of(move |connection| statements::months(connection, before, more)).await?;
    let read: Option<Vec<_>> = found.into_iter().map(|stored| Some((stored.month, body(stored)?))).collect();
    let read = read.ok_or_else(Problem::internal_error)?;
    Ok(Page::of(read, limit, |(month, _)| month.to_string(), |(_, body)| body).answer(&request, as_of))
}

fn body(stored: StoredMonth) -> Option<MonthBody> {
    let numbers: Numbers = serde_json::from_value(stored.numbers).ok()?;
    let money = |(currency, money): (String, Money)| MoneyBody {
        currency,
        gross: money.gross,
        refunds: money.refunds,
        net: money.net,
    };
    Some(MonthBody {
        month: Month::of(stored.month)?.to_string(),
        state: match (stored.closed_at, stored.complete) {
            (Some(_), _) => MonthState::Closed,
            (None, true) => MonthState::Complete,
            (None, false) => MonthState::Open,
        },
        closed_at: stored.closed_at,
        calculated_at: stored.calculated_at,
        as_of: stored.as_of,
        views: numbers.views,
        signups: numbers.signups,
        orders: numbers.orders,
        units: numbers.units,
        cancelled_orders: numbers.cancelled_orders,
        currencies: numbers.currencies.into_iter().map(money).collect(),
    })
}
