//! `GET /api/metrics/{type}/series` and `GET /api/metrics/series`: metrics over time.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::catalogue::{Definition, ScopeKind};
use analytics_core::completeness::Completeness;
use analytics_core::freshness::TopicReport;
use analytics_core::metric_type::MetricType;
use analytics_core::period::{Interval, Span};
use analytics_core::ratios::{Fraction, Histogram};
use analytics_core::rollup::Granularity;
use analytics_core::sums;
use analytics_db::DbError;
use analytics_db::read::explain::Delta;
use analytics_db::read::series::{of_all_days, series};
use analytics_db::read::{AsOf, ReadableMetric};
use chrono::{DateTime, FixedOffset, Utc};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;

use super::contributions::HistogramBody;
use super::metrics::{readable, unit_and_currency};
use crate::as_of;
use crate::caller;
use crate::change::{NO_EARLIER_RANGE, change};
use crate::database::Database;
use crate::links::events_link;
use crate::page::Page;
use crate::problem::{Failures, NotFound, Problem, Unchanged};
use crate::query::Query;
use crate::range::{self, Compared, Finest, Origin, Range};
use crate::settings::ApiSettings;

/// The most metrics in one request.
const MOST_TYPES: usize = 20;

/// A metric over time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Series)]
pub(crate) struct SeriesBody {
    /// The metric's type.
    r#type: String,
    /// `hour`, `day`, `week`, `month` or `year`.
    interval: &'static str,
    /// The IANA timezone of the buckets.
    timezone: &'static str,
    /// The unit of the values.
    unit: Option<&'static str>,
    /// The ISO 4217 code of the currency, if the unit is `minor_units`.
    currency: Option<&'static str>,
    /// The number of the last batch that the values include.
    as_of: i64,
    /// Every bucket of the range, whether or not anything was counted in it.
    buckets: Vec<BucketBody>,
    /// What the range is compared with; null without `compare`, and for `all`.
    comparison: Option<ComparisonBody>,
    /// The value over all buckets: for a counter their sum.
    total: Option<i64>,
    #[serde(flatten)]
    components: Components,
    /// The change of the compared total in basis points (2500 is +25 %); null without `compare`, and
    /// if there is nothing to compare with.
    change: Option<i64>,
    /// Why there is no change: `no_base` if the earlier value is 0 or there is none, `no_value` if only
    /// the present one is missing, `overflow` if the change is past the range of 64 bits, and
    /// `no_earlier_range` for `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// One bucket of a series.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Bucket)]
pub(crate) struct BucketBody {
    /// Its start, with the offset of the business's clock.
    start: DateTime<FixedOffset>,
    /// Its end, which is the start of the next one.
    end: DateTime<FixedOffset>,
    /// What was counted in it; null for a rate or an average without a denominator.
    value: Option<i64>,
    #[serde(flatten)]
    components: Components,
    /// It is not over yet.
    partial: bool,
    /// Everything that was published until its end is counted.
    complete: bool,
    /// The events that the value is made of.
    events: String,
}

/// The components of rates and averages.
#[derive(Serialize, ToSchema, Default)]
pub(crate) struct Components {
    /// Of a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    numerator: Option<i64>,
    /// Of a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    denominator: Option<i64>,
    /// Of an average: how many ratings were received.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
    /// Of an average: the sum of their stars.
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<i64>,
    /// Of an average: how many ratings of each number of stars were received.
    #[serde(skip_serializing_if = "Option::is_none")]
    histogram: Option<HistogramBody>,
}

/// The range that a series is compared with.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Comparison)]
pub(crate) struct ComparisonBody {
    /// The end of the part of the range that is compared: the last full hour, or for metrics of
    /// products the last full day, if the range is not over.
    until: DateTime<FixedOffset>,
    /// The value of the range until then.
    current: Option<i64>,
    /// The value of the earlier range, which ends at the same time of the local clock.
    previous: Option<i64>,
    /// The buckets of the earlier range.
    buckets: Vec<BucketBody>,
}

/// Get a metric over time
///
/// Buckets are cut by the business's clock: days may have 23 or 25 hours. Every bucket is there,
/// whether or not anything was counted. The range is a `period`, or `from` and `to`: dates (`to` is
/// included) or times at full hours (`to` is not included). Metrics of products are kept by day.
/// A series of `daily_signups` shows the signups of all days; that of a rating the ratings received,
/// also those that were replaced later. A range has at most 1000 buckets and ten years.
#[utoipa::path(
    get, path = "/api/metrics/{type}/series", operation_id = "getSeries", tag = "metrics", security(("bearer" = [])),
    params(
        ("type" = String, Path, description = "The metric's type, URL-encoded", example = "total_views"),
        ("interval" = Option<String>, Query, description = "`hour`, `day` (the default), `week`, `month` or `year`"),
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d`, `30d` (the default), `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or a time at a full hour"),
        ("to" = Option<String>, Query, description = "A date, which is included, or a time, which is not; default today"),
        ("compare" = Option<String>, Query, description = "`none` (the default), `previous`, `previous_week` or `previous_year`"),
    ),
    responses((status = 200, description = "The series", body = SeriesBody), Unchanged, Failures, NotFound)
)]
pub(crate) async fn one(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let names = [&range::PARAMETERS[..], &["interval"]].concat();
    let query = Query::of(&request, &names, &[])?;
    let text = path.into_inner();
    let (metric, _) = readable(&text, &tenant, &settings)?;
    let wanted = metric.filter(|metric| metric.known().is_some()).ok_or_else(Problem::metric_not_found)?;
    let origin = Origin::of(&query, &database, settings.business.calendar).await?;
    let asked = vec![Asked::of(&query, &text, &wanted, origin, &database, &settings)?];
    let (series, as_of) = Asked::read(asked, &database, &settings).await?;
    let body = series.into_iter().next().ok_or_else(Problem::internal_error)?;
    Ok(as_of::answer(HttpResponse::Ok(), as_of, &body))
}

type SeriesPage = Page<SeriesBody>;

/// Get several metrics over time
///
/// The same as for one metric, for up to 20 types. Metrics that the caller may not read are left out.
#[utoipa::path(
    get, path = "/api/metrics/series", operation_id = "listSeries", tag = "metrics", security(("bearer" = [])),
    params(
        ("type" = Vec<String>, Query, description = "A metric's type; may be given up to 20 times", max_items = 20),
        ("interval" = Option<String>, Query, description = "`hour`, `day` (the default), `week`, `month` or `year`"),
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d`, `30d` (the default), `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or a time at a full hour"),
        ("to" = Option<String>, Query, description = "A date, which is included, or a time, which is not; default today"),
        ("compare" = Option<String>, Query, description = "`none` (the default), `previous`, `previous_week` or `previous_year`"),
    ),
    responses((status = 200, description = "The series, in the order of the types", body = SeriesPage), Unchanged, Failures)
)]
pub(crate) async fn several(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let names = [&range::PARAMETERS[..], &["interval"]].concat();
    let query = Query::of(&request, &names, &["type"])?;
    let types: Vec<&str> = query.all("type").collect();
    if types.is_empty() || types.len() > MOST_TYPES {
        return Err(Problem::invalid_parameter("type", format!("must be given 1 to {MOST_TYPES} times")));
    }
    let origin = Origin::of(&query, &database, settings.business.calendar).await?;
    let mut asked = Vec::new();
    for text in types {
        let (metric, _) = readable(text, &tenant, &settings)?;
        if let Some(metric) = metric.filter(|metric| metric.known().is_some()) {
            asked.push(Asked::of(&query, text, &metric, origin, &database, &settings)?);
        }
    }
    let (items, as_of) = Asked::read(asked, &database, &settings).await?;
    Ok(Page::only(items).answer(&request, as_of))
}

/// A series that somebody asks for.
struct Asked {
    /// The type in the answer. A series of `daily_signups` is that of another metric.
    name: String,
    metric: ReadableMetric,
    interval: Interval,
    buckets: Vec<Span>,
    compared: Option<(Compared, Vec<Span>)>,
    lacks_comparison: bool,
    now: DateTime<Utc>,
}

impl Asked {
    fn of(
        query: &Query,
        text: &str,
        metric: &ReadableMetric,
        origin: Origin,
        database: &Database,
        settings: &ApiSettings,
    ) -> Result<Self, Problem> {
        let (calendar, now) = (settings.business.calendar, database.now());
        let finest = finest(metric);
        let range = Range::since(origin, query, calendar, now, finest)?;
        let interval = range.interval(query)?;
        if finest == Finest::Day && interval == Interval::Hour {
            let why = "must be day or longer for metrics of products, which are kept by day";
            return Err(Problem::invalid_parameter("interval", why));
        }
        let buckets = range.buckets(calendar, settings.week_start, interval)?;
        let earlier = |span| interval.buckets(calendar, settings.week_start, span);
        let compared = range.compared(calendar, now, finest).map(|both| (both, earlier(both.previous)));
        let lacks_comparison = range.lacks_comparison();
        let read = of_all_days(metric);
        let name = if read == *metric { metric.as_str() } else { text }.to_owned();
        Ok(Self { name, metric: read, interval, buckets, compared, lacks_comparison, now })
    }

    /// Reads series as of one batch, whose number is returned too: all buckets in one statement for each
    /// measure.
    async fn read(
        asked: Vec<Self>,
        database: &Database,
        settings: &ApiSettings,
    ) -> Result<(Vec<SeriesBody>, i64), Problem> {
        let calendar = settings.business.calendar;
        let wanted: Vec<(ReadableMetric, Vec<Span>)> =
            asked.iter().map(|asked| (asked.metric.clone(), asked.ranges())).collect();
        // Before the values, which may include more than what is known to be counted, and never less.
        let reports = database.reports();
        let (read, as_of) = database
            .read(move |connection| {
                let as_of = AsOf::latest(connection)?;
                let mut read = Vec::with_capacity(wanted.len());
                for (metric, ranges) in &wanted {
                    read.push(series(connection, metric, &as_of, calendar, ranges)?);
                }
                Ok::<_, DbError>((read, as_of.number))
            })
            .await?;
        let body = |(asked, amounts): (Self, Vec<Delta>)| asked.body(&amounts, as_of, &reports, settings);
        Ok((asked.into_iter().zip(read).map(body).collect(), as_of))
    }

    /// Returns the buckets, those of the earlier range, and what is compared as a whole.
    fn ranges(&self) -> Vec<Span> {
        let mut ranges = self.buckets.clone();
        if let Some((both, earlier)) = &self.compared {
            ranges.extend(earlier);
            ranges.extend([both.current, both.previous]);
        }
        ranges
    }

    fn body(self, amounts: &[Delta], as_of: i64, reports: &[TopicReport], settings: &ApiSettings) -> SeriesBody {
        let calendar = settings.business.calendar;
        let known = self.metric.known();
        let completeness = Completeness::of(known, &settings.decoder, reports);
        let bucket = |(span, amount): (&Span, &Delta)| BucketBody {
            start: calendar.shown(span.from),
            end: calendar.shown(span.to),
            value: value(*amount, known),
            components: Components::of(*amount),
            partial: span.to > self.now,
            complete: completeness.is_complete(span.to, self.now),
            events: events_link(settings, self.metric.as_str(), Some(*span), as_of),
        };
        let (own, rest) = amounts.split_at(self.buckets.len().min(amounts.len()));
        let buckets = self.buckets.iter().zip(own).map(bucket).collect();
        let comparison = self.compared.as_ref().and_then(|(both, earlier)| {
            let (before, sums) = rest.split_at(earlier.len().min(rest.len()));
            let [current, previous] = sums else { return None };
            Some(ComparisonBody {
                until: calendar.shown(both.current.to),
                current: value(*current, known),
                previous: value(*previous, known),
                buckets: earlier.iter().zip(before).map(bucket).collect(),
            })
        });
        let (change, reason) = match &comparison {
            Some(ComparisonBody { current, previous, .. }) => change(*current, *previous),
            None => (None, self.lacks_comparison.then_some(NO_EARLIER_RANGE)),
        };
        let sum = own.iter().copied().reduce(add).unwrap_or(Delta::Counter(0));
        let (unit, currency) = unit_and_currency(known, settings);
        SeriesBody {
            r#type: self.name,
            interval: self.interval.name(),
            timezone: calendar.name(),
            unit,
            currency,
            as_of,
            buckets,
            comparison,
            total: value(sum, known),
            components: Components::of(sum),
            change,
            reason,
        }
    }
}

/// Returns the finest division of time that a metric is kept by.
pub(crate) fn finest(metric: &ReadableMetric) -> Finest {
    let of_scope = |scope: ScopeKind| {
        if Granularity::Hour.is_kept_for(scope) { Finest::Hour } else { Finest::Day }
    };
    match metric.known().map(|known| known.metric.definition()) {
        Some(
            Definition::Counter { scope, .. } | Definition::Ratio { scope, .. } | Definition::Difference { scope, .. },
        ) => of_scope(scope),
        // Ratings are read from the log itself.
        Some(Definition::AverageRating { .. } | Definition::Daily { .. }) | None => Finest::Hour,
    }
}

/// Returns the value that the components of a metric come to.
pub(crate) fn value(amount: Delta, known: Option<&MetricType>) -> Option<i64> {
    match amount {
        Delta::Counter(sum) => sums::known(sum),
        Delta::Average(histogram) => histogram.average(),
        Delta::Ratio(fraction) => match known.map(|known| known.metric.definition()) {
            Some(Definition::Ratio { scale, .. }) => fraction.value(scale),
            _ => None,
        },
    }
}

/// Adds two amounts of one metric.
fn add(a: Delta, b: Delta) -> Delta {
    match (a, b) {
        (Delta::Counter(a), Delta::Counter(b)) => Delta::Counter(sums::add(a, b)),
        (Delta::Ratio(a), Delta::Ratio(b)) => Delta::Ratio(Fraction {
            numerator: sums::add(a.numerator, b.numerator),
            denominator: sums::add(a.denominator, b.denominator),
        }),
        (Delta::Average(Histogram(a)), Delta::Average(Histogram(b))) => {
            let mut sums = a;
            sums.iter_mut().zip(b).for_each(|(sum, more)| *sum += more);
            Delta::Average(Histogram(sums))
        }
        (a, Delta::Counter(_) | Delta::Ratio(_) | Delta::Average(_)) => a,
    }
}

impl Components {
    pub(crate) fn of(amount: Delta) -> Self {
        match amount {
            Delta::Counter(_) => Self::default(),
            Delta::Ratio(Fraction { numerator, denominator }) => {
                Self { numerator: Some(numerator), denominator: Some(denominator), ..Self::default() }
            }
            Delta::Average(histogram) => Self {
                count: Some(histogram.count()),
                sum: Some(histogram.sum()),
                histogram: Some(histogram.into()),
                ..Self::default()
            },
        }
    }
}
