//! `GET /api/overview`: the marketplace at a glance.

use std::collections::BTreeMap;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::catalogue::Metric;
use analytics_core::metric_type::{MetricType, Subject};
use analytics_core::money::Currency;
use analytics_db::read::{Tenant, sellers};
use chrono::{DateTime, FixedOffset};
use serde::Serialize;
use utoipa::ToSchema;

use crate::as_of::answer;
use crate::database::Database;
use crate::panel::{NumberBody, Panel};
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;
use crate::range::{self, Finest, Range};
use crate::settings::ApiSettings;

/// The marketplace at a glance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Overview)]
pub(crate) struct OverviewBody {
    /// The period by whose name the range was given.
    period: Option<&'static str>,
    from: DateTime<FixedOffset>,
    to: DateTime<FixedOffset>,
    timezone: &'static str,
    /// The currency of revenue.
    currency: &'static str,
    /// The number of the last batch that the values include.
    as_of: i64,
    /// The width of the buckets in `series`.
    interval: &'static str,
    metrics: OverviewMetrics,
    /// Revenue of the range in every currency, in minor units.
    revenue_by_currency: BTreeMap<&'static str, i64>,
}

/// The numbers of the marketplace.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverviewMetrics {
    views: NumberBody,
    signups: NumberBody,
    orders: NumberBody,
    units: NumberBody,
    /// Gross, in minor units of the currency.
    revenue: NumberBody,
    /// What cancellations and refunds of the range took back, whenever it was sold.
    refunds: NumberBody,
    /// Revenue less refunds.
    net_revenue: NumberBody,
    /// What of the revenue belongs to no known seller.
    unattributed_revenue: NumberBody,
    /// Orders divided by views, in basis points.
    conversion: NumberBody,
    /// Revenue in the currency divided by orders of any currency, in minor units.
    average_order: NumberBody,
}

/// Get the marketplace at a glance
///
/// The totals of a range with their changes, each with the values of its buckets and a link to its
/// events. Changes compare the range until the last full hour with an earlier range until the same
/// time of the local clock.
#[utoipa::path(
    get, path = "/api/overview", operation_id = "getOverview", tag = "metrics", security(("bearer" = [])),
    params(
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d`, `30d` (the default), `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or a time at a full hour"),
        ("to" = Option<String>, Query, description = "A date, which is included, or a time, which is not; default today"),
        ("compare" = Option<String>, Query, description = "`previous` (the default), `previous_week`, `previous_year` or `none`"),
        ("currency" = Option<String>, Query, description = "ISO 4217 code of the currency of revenue; default the base currency"),
    ),
    responses((status = 200, description = "The totals", body = OverviewBody), Unchanged, Failures)
)]
pub(crate) async fn show(
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let names = [&range::PARAMETERS[..], &["currency"]].concat();
    let query = Query::of(&request, &names, &[])?;
    let foreign_currency = query.foreign_currency(settings.business.base_currency)?;
    let (calendar, now) = (settings.business.calendar, database.now());
    let range = Range::of(&query, &database, &settings, Finest::Hour).await?;
    let panel = Panel::of(range, None, now, &settings)?;
    let mut others = database.read(|connection| sellers::foreign_currencies(connection, None)).await?;
    others.retain(|currency| Some(*currency) != foreign_currency);
    let others: Vec<Option<Currency>> =
        foreign_currency.map(|_| None).into_iter().chain(others.into_iter().map(Some)).collect();
    let of = |metric, foreign_currency| {
        let wanted = MetricType { metric, subject: Subject::Marketplace, foreign_currency };
        Tenant::Marketplace.metric(&wanted).ok_or_else(Problem::internal_error)
    };
    let mut metrics = Vec::new();
    for (metric, currency) in [
        (Metric::TotalViews, None),
        (Metric::TotalSignups, None),
        (Metric::TotalOrders, None),
        (Metric::TotalUnits, None),
        (Metric::TotalRevenue, foreign_currency),
        (Metric::UnattributedRevenue, foreign_currency),
        (Metric::TotalRefunds, foreign_currency),
        (Metric::TotalNetRevenue, foreign_currency),
    ] {
        metrics.push(of(metric, currency)?);
    }
    for currency in &others {
        metrics.push(of(Metric::TotalRevenue, *currency)?);
    }
    let (courses, as_of) = panel.read(&database, &settings, metrics).await?;
    let [views, signups, orders, units, revenue, unattributed, refunds, net, rest @ ..] = courses.as_slice() else {
        return Err(Problem::internal_error());
    };
    let base = settings.business.base_currency;
    let mut revenue_by_currency = BTreeMap::new();
    for (currency, course) in std::iter::once((&foreign_currency, revenue)).chain(others.iter().zip(rest)) {
        revenue_by_currency.insert(currency.unwrap_or(base).code(), course.values().0.unwrap_or(0));
    }
    let number = |course| panel.number(course, as_of, &settings);
    let (from, to) = panel.ends(&settings);
    let body = OverviewBody {
        period: range.period,
        from,
        to,
        timezone: calendar.name(),
        currency: foreign_currency.unwrap_or(base).code(),
        as_of,
        interval: panel.interval.name(),
        metrics: OverviewMetrics {
            conversion: panel.quotient(orders, views, 10_000, "basis_points"),
            average_order: panel.quotient(revenue, orders, 1, "minor_units"),
            views: number(views),
            signups: number(signups),
            orders: number(orders),
            units: number(units),
            revenue: number(revenue),
            refunds: number(refunds),
            net_revenue: number(net),
            unattributed_revenue: number(unattributed),
        },
        revenue_by_currency,
    };
    Ok(answer(HttpResponse::Ok(), as_of, &body))
}
