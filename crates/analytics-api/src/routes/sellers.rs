//! `GET /api/sellers`, `GET /api/sellers/{vendor}/summary` and `.../orders/stats`: the panels of
//! sellers.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::catalogue::Metric;
use analytics_core::ids::VendorId;
use analytics_core::metric_type::{MetricType, Subject};
use analytics_core::money::Currency;
use analytics_core::name::MAX_NAME_CHARS;
use analytics_core::sums;
use analytics_db::read::directory::{self, ItemKind};
use analytics_db::read::rankings::{self, By, Ranked};
use analytics_db::read::sellers::{self, Seller};
use analytics_db::read::{ReadableMetric, Tenant};
use chrono::{DateTime, FixedOffset};
use futures_util::future::try_join;
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;

use super::rankings::{Events, RankBody};
use super::series::Components;
use crate::as_of::answer;
use crate::caller;
use crate::database::Database;
use crate::links::SEGMENT;
use crate::page::Page;
use crate::panel::{NumberBody, Panel};
use crate::problem::{Failures, NotFound, Problem, Unchanged};
use crate::query::Query;
use crate::range::{self, Finest, Range, fitting};
use crate::rankings::{Narrowed, RankingQuestion, Rankings};
use crate::settings::ApiSettings;

/// How many products a summary lists.
const TOP: usize = 5;

/// A seller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Seller)]
pub(crate) struct SellerBody {
    vendor_id: String,
    /// Its name; null if it is not known.
    name: Option<String>,
    /// Page views of its products, over all time.
    views: i64,
    orders: i64,
    units: i64,
    /// In minor units of the base currency; null if it exceeds 2^63.
    revenue: Option<i64>,
    /// Where its panel is.
    summary: String,
}

type SellerPage = Page<SellerBody>;

/// List sellers
///
/// In the order of their ids: those of which something was counted, with their sums over all time,
/// and those that have a name.
#[utoipa::path(
    get, path = "/api/sellers", operation_id = "listSellers", tag = "sellers", security(("bearer" = [])),
    params(
        ("prefix" = Option<String>, Query, description = "Only sellers whose ids, or names in any case, begin with this; at most 255 characters"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of sellers", body = SellerPage), Unchanged, Failures)
)]
pub(crate) async fn list(
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["prefix", "limit", "cursor"], &[])?;
    let prefix = query.text("prefix", MAX_NAME_CHARS)?.unwrap_or_default();
    let (limit, after) = (query.limit()?, query.cursor()?);
    let more = i64::from(limit) + 1;
    let (found, as_of) =
        database.read_as_of(move |connection| sellers::list(connection, &prefix, after.as_deref(), more)).await?;
    let item = |seller: Seller| {
        let Seller { vendor, name, views, orders, units, revenue } = seller;
        let segment = percent_encoding::utf8_percent_encode(&vendor, SEGMENT);
        let summary = format!("{}/api/sellers/{segment}/summary", settings.base_path);
        SellerBody { vendor_id: vendor, name, views, orders, units, revenue, summary }
    };
    Ok(Page::of(found, limit, |seller| seller.vendor.clone(), item).answer(&request, as_of))
}

/// The panel of a seller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SellerSummary)]
pub(crate) struct SummaryBody {
    vendor_id: String,
    /// The seller's name; null if it is not known.
    name: Option<String>,
    /// The period by whose name the range was given.
    period: Option<&'static str>,
    from: DateTime<FixedOffset>,
    to: DateTime<FixedOffset>,
    timezone: &'static str,
    /// The currency of revenue and of the average order.
    currency: &'static str,
    /// The number of the last batch that the values include.
    as_of: i64,
    /// The width of the buckets in `series`.
    interval: &'static str,
    metrics: SummaryMetrics,
    /// Revenue of the range in every currency that the seller had any in, in minor units; null if it exceeds 2^63.
    revenue_by_currency: BTreeMap<&'static str, Option<i64>>,
    /// Products with most revenue in the currency. For the seller, `events` is missing where lines of
    /// other sellers are a part of the value.
    top_products: Vec<TopProduct>,
    /// The number of the last batch that `topProducts` includes; they are at most a minute old.
    top_products_as_of: i64,
}

/// A product in a seller's panel.
#[derive(Serialize, ToSchema)]
pub(crate) struct TopProduct {
    #[serde(flatten)]
    rank: RankBody,
    /// The revenue of this seller with it in each day, in longer intervals if the range is long, and in the buckets
    /// of the panel if it does not consist of whole days. They are those of now, and `value` is at most a minute older.
    series: Vec<Option<i64>>,
}

/// The numbers of a seller's panel.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SummaryMetrics {
    /// Gross, in minor units of the currency.
    revenue: NumberBody,
    /// What cancellations and refunds of the range took back, whenever it was sold.
    refunds: NumberBody,
    /// Revenue less refunds.
    net_revenue: NumberBody,
    orders: NumberBody,
    units: NumberBody,
    views: NumberBody,
    /// Orders divided by views, in basis points.
    conversion: NumberBody,
    /// Revenue in the currency divided by orders of any currency, in minor units.
    average_order: NumberBody,
    /// The average of the ratings received, times 100.
    rating: NumberBody,
    /// The ratings received.
    ratings: Components,
}

/// Get the panel of a seller
///
/// The numbers of a range with their changes, each with the values of its buckets and a link to its
/// events. Changes compare the range until the last full hour with an earlier range until the same
/// time of the local clock.
#[utoipa::path(
    get, path = "/api/sellers/{vendor}/summary", operation_id = "getSellerSummary", tag = "sellers", security(("bearer" = [])),
    params(
        ("vendor" = String, Path, description = "The seller's id, URL-encoded"),
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d`, `30d` (the default), `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or a time at a full hour"),
        ("to" = Option<String>, Query, description = "A date, which is included, or a time, which is not; default today"),
        ("compare" = Option<String>, Query, description = "`previous` (the default), `previous_week`, `previous_year` or `none`"),
        ("currency" = Option<String>, Query, description = "ISO 4217 code of the currency of revenue; default the base currency"),
    ),
    responses((status = 200, description = "The panel", body = SummaryBody), Unchanged, Failures, NotFound)
)]
pub(crate) async fn summary(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
    rankings: Data<Rankings>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let names = [&range::PARAMETERS[..], &["currency"]].concat();
    let query = Query::of(&request, &names, &[])?;
    let vendor = vendor(&path)?;
    let foreign_currency = query.foreign_currency(settings.business.base_currency)?;
    let (calendar, now) = (settings.business.calendar, database.now());
    let range = Range::of(&query, &database, &settings, Finest::Hour).await?;
    let panel = Panel::of(range, None, now, &settings)?;
    let other = vendor.clone();
    let (mut currencies, mut names) = database
        .read(move |connection| {
            let names = directory::names(connection, ItemKind::Vendor, [other.as_str()])?;
            Ok((sellers::foreign_currencies(connection, Some(&other))?, names))
        })
        .await?;
    currencies.retain(|currency| Some(*currency) != foreign_currency);
    let of = |metric, foreign_currency| metric_of(&tenant, metric, &vendor, foreign_currency);
    let mut metrics = Vec::new();
    for (metric, currency) in [
        (Metric::SellerRevenue, foreign_currency),
        (Metric::SellerOrders, None),
        (Metric::SellerUnits, None),
        (Metric::SellerViews, None),
        (Metric::ConversionRate, None),
        (Metric::SellerRating, None),
        (Metric::SellerRefunds, foreign_currency),
        (Metric::SellerNetRevenue, foreign_currency),
    ] {
        metrics.push(of(metric, currency)?);
    }
    let others = foreign_currency.map(|_| None).into_iter().chain(currencies.into_iter().map(Some));
    let others: Vec<Option<Currency>> = others.collect();
    for currency in &others {
        metrics.push(of(Metric::SellerRevenue, *currency)?);
    }
    let of = range.question(Ranked::Products, foreign_currency, calendar);
    let question = RankingQuestion::new(of, By::Revenue, Some(Narrowed { vendor: vendor.clone(), own_sales: true }));
    let is_of_days = range.span.is_of_days(calendar);
    let events = Events::of(&principal, Some(&vendor), range.span);
    let numbers = panel.read(&database, &settings, metrics);
    let products = question.top(&rankings, &database, &settings, events, TOP);
    let ((courses, as_of), (ranks, top_products_as_of)) = try_join(numbers, products).await?;
    let [revenue, orders, units, views, conversion, rating, refunds, net, rest @ ..] = courses.as_slice() else {
        return Err(Problem::internal_error());
    };
    let base = settings.business.base_currency;
    let of_currency = |currency: Option<Currency>| currency.unwrap_or(base).code();
    let mut revenue_by_currency: BTreeMap<&'static str, Option<i64>> = BTreeMap::new();
    for (currency, course) in std::iter::once((&foreign_currency, revenue)).chain(others.iter().zip(rest)) {
        revenue_by_currency.insert(of_currency(*currency), course.values().0);
    }
    let number = |course| panel.number(course, as_of, &settings);
    let metrics = SummaryMetrics {
        average_order: panel.quotient(revenue, orders, 1, "minor_units"),
        revenue: number(revenue),
        refunds: number(refunds),
        net_revenue: number(net),
        orders: number(orders),
        units: number(units),
        views: number(views),
        conversion: number(conversion),
        rating: number(rating),
        ratings: Components::of(rating.whole()),
    };
    let by_day = if is_of_days {
        Panel::of(range, Some(fitting(range.span, Finest::Day)), now, &settings)?.buckets
    } else {
        panel.buckets.clone()
    };
    let ids: Vec<String> = ranks.iter().map(|rank| rank.id.clone()).collect();
    let seller = vendor.clone();
    let read =
        move |connection: &mut _| rankings::revenue_of_products(connection, &seller, foreign_currency, &ids, &by_day);
    let series = database.read(read).await?;
    let known = |values: Vec<i64>| values.into_iter().map(sums::known).collect();
    let top_products = ranks.into_iter().zip(series).map(|(rank, series)| TopProduct { rank, series: known(series) });
    let top_products = top_products.collect();
    let (from, to) = panel.ends(&settings);
    let body = SummaryBody {
        vendor_id: vendor.as_str().to_owned(),
        name: names.remove(vendor.as_str()),
        period: range.period,
        from,
        to,
        timezone: calendar.name(),
        currency: of_currency(foreign_currency),
        as_of,
        interval: panel.interval.name(),
        metrics,
        revenue_by_currency,
        top_products,
        top_products_as_of,
    };
    Ok(answer(HttpResponse::Ok(), as_of, &body))
}

/// The orders of a seller over time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderStats)]
pub(crate) struct OrderStatsBody {
    vendor_id: String,
    interval: &'static str,
    timezone: &'static str,
    currency: &'static str,
    /// The number of the last batch that the values include.
    as_of: i64,
    buckets: Vec<OrderBucket>,
}

/// The orders of a seller in one bucket.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderBucket {
    start: DateTime<FixedOffset>,
    end: DateTime<FixedOffset>,
    orders: i64,
    units: i64,
    /// In minor units of the currency; null if it exceeds 2^63.
    revenue: Option<i64>,
    /// Revenue in the currency divided by orders of any currency; null without orders.
    average_order: Option<i64>,
}

/// Get the orders of a seller over time
///
/// Orders, units, revenue and the average order in each bucket.
#[utoipa::path(
    get, path = "/api/sellers/{vendor}/orders/stats", operation_id = "getOrderStats", tag = "sellers", security(("bearer" = [])),
    params(
        ("vendor" = String, Path, description = "The seller's id, URL-encoded"),
        ("interval" = Option<String>, Query, description = "`hour`, `day` (the default), `week`, `month` or `year`"),
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d`, `30d` (the default), `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or a time at a full hour"),
        ("to" = Option<String>, Query, description = "A date, which is included, or a time, which is not; default today"),
        ("currency" = Option<String>, Query, description = "ISO 4217 code of the currency of revenue; default the base currency"),
    ),
    responses((status = 200, description = "The orders", body = OrderStatsBody), Unchanged, Failures, NotFound)
)]
pub(crate) async fn order_stats(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let query = Query::of(&request, &["interval", "period", "from", "to", "currency"], &[])?;
    let vendor = vendor(&path)?;
    let foreign_currency = query.foreign_currency(settings.business.base_currency)?;
    let (calendar, now) = (settings.business.calendar, database.now());
    let range = Range::of(&query, &database, &settings, Finest::Hour).await?;
    let panel = Panel::of(range, Some(range.interval(&query)?), now, &settings)?;
    let metrics = vec![
        metric_of(&tenant, Metric::SellerOrders, &vendor, None)?,
        metric_of(&tenant, Metric::SellerUnits, &vendor, None)?,
        metric_of(&tenant, Metric::SellerRevenue, &vendor, foreign_currency)?,
    ];
    let (courses, as_of) = panel.read(&database, &settings, metrics).await?;
    let [orders, units, revenue] = courses.as_slice() else { return Err(Problem::internal_error()) };
    let averages = panel.quotient(revenue, orders, 1, "minor_units").values();
    let columns = [orders, units, revenue].map(|course| course.values().1);
    let at = |column: &[Option<i64>], index: usize| column.get(index).copied().flatten();
    let bucket = |(index, span): (usize, &analytics_core::period::Span)| {
        let [orders, units, revenue] = columns.each_ref().map(|column| at(column, index));
        let (orders, units) = (orders.unwrap_or(0), units.unwrap_or(0));
        let (start, end) = (calendar.shown(span.from), calendar.shown(span.to));
        OrderBucket { start, end, orders, units, revenue, average_order: at(&averages, index) }
    };
    let body = OrderStatsBody {
        vendor_id: vendor.as_str().to_owned(),
        interval: panel.interval.name(),
        timezone: calendar.name(),
        currency: foreign_currency.unwrap_or(settings.business.base_currency).code(),
        as_of,
        buckets: panel.buckets.iter().enumerate().map(bucket).collect(),
    };
    Ok(answer(HttpResponse::Ok(), as_of, &body))
}

fn vendor(path: &str) -> Result<VendorId, Problem> {
    VendorId::parse(path).map_err(|why| Problem::invalid_parameter("vendor", why))
}

/// A metric of a seller, if the caller may read it; another seller is the same 404 as none.
fn metric_of(
    tenant: &Tenant,
    metric: Metric,
    vendor: &VendorId,
    foreign_currency: Option<Currency>,
) -> Result<ReadableMetric, Problem> {
    let wanted = MetricType { metric, subject: Subject::Vendor(vendor.clone()), foreign_currency };
    tenant.metric(&wanted).ok_or_else(Problem::seller_not_found)
}
