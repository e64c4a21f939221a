//! `GET /api/metrics/{type}/events`: the events behind a metric, each with what it added.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::business::Business;
use analytics_core::ids::ProductId;
use analytics_core::period::Span;
use analytics_db::read::explain::{Explanation, Selection, explain};
use analytics_db::read::series::{of_all_days, series};
use analytics_db::read::{AsOf, NotAsOf, ReadableMetric, Tenant, metrics};
use analytics_db::tables::batches::number_at;
use analytics_db::{Connection, DbError};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_auth::Principal;
use utoipa::ToSchema;
use uuid::Uuid;

use super::contributions::{ContributionBody, body};
use super::metrics::{readable, unit_and_currency};
use super::series::{Components, finest, value};
use crate::as_of;
use crate::caller;
use crate::database::Database;
use crate::lines::{self, Lines, Source, Start, Streams, not_as_of};
use crate::page::{encode, linked};
use crate::problem::{Changed, Failures, NotFound, Problem, Unchanged};
use crate::query::Query;
use crate::range;
use crate::settings::ApiSettings;

/// A page of the events behind a metric, in descending order of event time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplanationPage {
    /// The metric's type.
    r#type: String,
    /// The metric's value as of `asOf`. Over all pages, the deltas sum to it, or to its components.
    value: Option<i64>,
    /// The unit of the value; null for a custom metric.
    unit: Option<&'static str>,
    /// The ISO 4217 code of the currency, if the unit is `minor_units`.
    currency: Option<&'static str>,
    /// The components of a rate or an average as of `asOf`.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// The number of the last batch that the value includes. All pages show the events up to it.
    as_of: i64,
    /// When the first page was read.
    as_of_time: DateTime<Utc>,
    items: Vec<ContributionBody>,
    /// Value of `cursor` for the next page; null on the last page.
    next_cursor: Option<String>,
}

/// The cursor of a later page, with what the first page showed.
#[derive(Serialize, Deserialize)]
struct Cursor {
    /// The full type of the metric: `daily_signups` without a day is a different metric tomorrow.
    r#type: String,
    /// The id of the event after which the page begins.
    before: Uuid,
    as_of: i64,
    as_of_time: DateTime<Utc>,
    value: Option<i64>,
    metadata: Option<Value>,
}

/// List the events behind a metric
///
/// Every event that contributes to the metric, in descending order of event time, each with what it
/// added. Over all pages, the deltas sum to `value` or, for a rate or an average, to the components
/// in `metadata`. All pages show the data as of the first page. If that data cannot be read, a
/// later page is 409 `number_changed`: request the first page again. This happens if logged events
/// were given vendors since, if too many batches were counted since, or on a replica that is
/// behind. As NDJSON, for admins, all events are streamed, one per line, as of the number in the
/// header `As-Of`; a response that is cut off continues with the id of its last whole line as
/// `cursor`, and that number as `asOf`. Sellers see their own metrics, and their own lines of orders; sellers and support see
/// neither buyers nor payloads. A `/` in a type is written `%2F`.
#[utoipa::path(
    get, path = "/api/metrics/{type}/events", operation_id = "explainMetric", tag = "metrics", security(("bearer" = [])),
    params(
        ("type" = String, Path, description = "The metric's type, URL-encoded", example = "total_views"),
        ("from" = Option<String>, Query, description = "Only events of this date or later, or of a time at a full hour"),
        ("to" = Option<String>, Query, description = "Only events up to this date, or before this time"),
        ("productId" = Option<String>, Query, description = "Of a seller's views, orders, units or revenue: only what was counted for this product; `value` is null then"),
        ("asOf" = Option<i64>, Query, description = "`asOf` of an answer: only events that it includes", minimum = 0),
        ("countedAfter" = Option<String>, Query, description = "Only events that were counted after this number or time"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query,
         description = "`nextCursor` of the previous page; for NDJSON the id of the last line"),
    ),
    responses(
        (status = 200, description = "A page of events", content((ExplanationPage = "application/json"), (String = "application/x-ndjson"))),
        Unchanged, Failures, NotFound, Changed
    )
)]
pub(crate) async fn list(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
    streams: Data<Streams>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let query = Query::of(&request, &["from", "to", "productId", "asOf", "countedAfter", "limit", "cursor"], &[])?;
    if lines::asked(&request) {
        let source = Events::of(&query, &path, tenant, database, settings)?;
        return streams.answer(&request, Start::of(&query)?, source).await;
    }
    let (limit, cursor) = (query.limit()?, query.cursor()?.map(|text| Cursor::parse(&text)).transpose()?);
    let mut named = path.into_inner();
    if let Some(cursor) = &cursor
        && cursor.r#type.split(':').next() == Some(named.as_str())
    {
        named.clone_from(&cursor.r#type);
    }
    let (metric, known) = readable(&named, &tenant, &settings)?;
    let metric = metric.ok_or_else(Problem::metric_not_found)?;
    if cursor.as_ref().is_some_and(|cursor| cursor.r#type != metric.as_str()) {
        return Err(Problem::invalid_parameter("cursor", "must be a cursor for this metric"));
    }
    let asked = Asked::of(&query, &metric, &database, &settings, limit.into())?;
    let (r#type, business) = (metric.as_str().to_owned(), settings.business);
    let found = database.read_expensive(move |connection| asked.read(connection, &metric, business, cursor)).await?;
    let (explanation, First { as_of, as_of_time, value, metadata }) = found.page()?;
    let next_cursor = explanation.next.map(|before| {
        let metadata = metadata.clone();
        let cursor = Cursor { r#type: r#type.clone(), before, as_of, as_of_time, value, metadata };
        encode(&json!(cursor).to_string())
    });
    let response = linked(&request, next_cursor.as_deref());
    let (unit, currency) = unit_and_currency(known.as_ref(), &settings);
    let page = ExplanationPage {
        r#type,
        value,
        unit,
        currency,
        metadata,
        as_of,
        as_of_time,
        items: explanation.contributions.into_iter().map(|contribution| body(contribution, &tenant)).collect(),
        next_cursor,
    };
    Ok(as_of::answer(response, page.as_of, &page))
}

/// The events behind a metric as a list to stream.
struct Events {
    metric: ReadableMetric,
    asked: Asked,
    tenant: Tenant,
    business: Business,
    database: Data<Database>,
}

impl Events {
    fn of(
        query: &Query,
        named: &str,
        tenant: Tenant,
        database: Data<Database>,
        settings: Data<ApiSettings>,
    ) -> Result<Self, Problem> {
        if tenant.event_log().is_none() {
            return Err(Problem::forbidden());
        }
        let metric = readable(named, &tenant, &settings)?.0.ok_or_else(Problem::metric_not_found)?;
        if named.split(':').next() == Some(named) && metric.as_str() != named {
            // Continued tomorrow, it would be another metric.
            let why = format!("must name its day for NDJSON, such as {}", metric.as_str());
            return Err(Problem::invalid_parameter("type", why));
        }
        let asked = Asked::of(query, &metric, &database, &settings, 0)?;
        Ok(Self { metric, asked, tenant, business: settings.business, database })
    }
}

impl Source for Events {
    async fn page(&self, start: Start, limit: usize) -> Result<(i64, Lines), Problem> {
        let (metric, business) = (self.metric.clone(), self.business);
        let asked = Asked { limit, ..self.asked.clone() };
        let cursor = start.after.zip(start.as_of).map(|(before, as_of)| Cursor {
            r#type: metric.as_str().to_owned(),
            before,
            as_of,
            as_of_time: self.database.now(),
            value: None,
            metadata: None,
        });
        let read = move |connection: &mut Connection| asked.read(connection, &metric, business, cursor);
        let (explanation, first) = self.database.read_expensive(read).await?.page()?;
        let items = explanation.contributions.into_iter().map(|contribution| body(contribution, &self.tenant));
        Ok((first.as_of, Lines::of(items, explanation.next)?))
    }
}

/// Which events somebody asks for.
#[derive(Clone)]
struct Asked {
    span: Option<Span>,
    product: Option<ProductId>,
    as_of: Option<i64>,
    counted_after: Option<CountedAfter>,
    limit: usize,
}

/// After what events were counted.
#[derive(Clone, Copy)]
enum CountedAfter {
    Number(i64),
    Time(DateTime<Utc>),
}

impl Asked {
    fn of(
        query: &Query,
        metric: &ReadableMetric,
        database: &Database,
        settings: &ApiSettings,
        limit: usize,
    ) -> Result<Self, Problem> {
        let product = query.optional("productId", ProductId::parse)?;
        if product.is_some()
            && !metric.known().is_some_and(|known| known.vendor().is_some() && known.metric.is_counter())
        {
            let why = "must not be given unless the metric is the views, orders, units or revenue of a seller";
            return Err(Problem::invalid_parameter("productId", why));
        }
        Ok(Self {
            product,
            span: range::span(query, settings.business.calendar, database.now(), finest(metric))?,
            as_of: query.optional("asOf", lines::number)?,
            counted_after: query.optional("countedAfter", moment)?,
            limit,
        })
    }

    fn read(
        &self,
        connection: &mut Connection,
        metric: &ReadableMetric,
        business: Business,
        cursor: Option<Cursor>,
    ) -> Result<Read, DbError> {
        let known_before = cursor.as_ref().map(|cursor| cursor.as_of).or(self.as_of);
        // An average is made of current ratings: it is explained as it is.
        let is_average = self.span.is_none() && metric.known().is_some_and(|known| known.metric.is_average());
        let as_of = match known_before.filter(|_| cursor.is_some() || !is_average) {
            Some(number) => AsOf::at(connection, number)?,
            None => Ok(AsOf::latest(connection)?),
        };
        let mut as_of = match as_of {
            Ok(as_of) => as_of,
            Err(why) => return Ok(Read::NotAsOf(why)),
        };
        let of_range = if self.span.is_some() { of_all_days(metric) } else { metric.clone() };
        let (before, first) = match cursor {
            Some(cursor) => (Some(cursor.before), First::of(cursor)),
            None => match self.first(connection, &of_range, business, &as_of)? {
                Some(first) => (None, first),
                None => return Ok(Read::Nothing),
            },
        };
        if let Some(counted_after) = &self.counted_after {
            let number = match counted_after {
                CountedAfter::Number(number) => *number,
                CountedAfter::Time(time) => number_at(connection, *time)?,
            };
            as_of = match as_of.since(connection, number)? {
                Ok(as_of) => as_of,
                Err(why) => return Ok(Read::NotAsOf(why)),
            };
        }
        let product = self.product.as_ref();
        let selection = Selection { as_of: &as_of, span: self.span, product, before, limit: self.limit };
        let page = explain(connection, &of_range, business, &selection)?;
        Ok(Read::Page(Box::new((page, first))))
    }

    /// Reads what the number is. Only the present one is stored: as of an earlier batch, of what was
    /// counted after one, and of a product of a seller, the events themselves have to be summed.
    fn first(
        &self,
        connection: &mut Connection,
        metric: &ReadableMetric,
        business: Business,
        as_of: &AsOf,
    ) -> Result<Option<First>, DbError> {
        let mut first = First { as_of: as_of.number, as_of_time: as_of.time, value: None, metadata: None };
        let is_whole = self.counted_after.is_none() && self.product.is_none();
        let is_present = is_whole && as_of.number == AsOf::latest(connection)?.number;
        if let Some(span) = self.span {
            if is_present {
                let amounts = series(connection, metric, as_of, business.calendar, &[span])?;
                first.value = amounts.first().and_then(|amount| value(*amount, metric.known()));
                first.metadata = amounts.first().and_then(|amount| serde_json::to_value(Components::of(*amount)).ok());
            }
            return Ok(Some(first));
        }
        let Some(found) = metrics::one(connection, metric)? else { return Ok(None) };
        if is_present {
            // A sum has no components: its metadata is that of an adjustment.
            let derived = metric.known().is_some_and(|known| !known.metric.is_counter());
            first.value = found.value;
            first.metadata = found.metadata.filter(|_| derived).map(|metadata| metadata.to_value());
        }
        Ok(Some(first))
    }
}

fn moment(text: &str) -> Result<CountedAfter, &'static str> {
    let time = || DateTime::parse_from_rfc3339(text).ok().map(|time| CountedAfter::Time(time.to_utc()));
    let moment = lines::number(text).ok().map(CountedAfter::Number).or_else(time);
    moment.ok_or("must be a number, 0 or more, or an RFC 3339 time such as 2026-11-01T00:00:00Z")
}

/// What the first page said of the number; every page says the same.
struct First {
    as_of: i64,
    as_of_time: DateTime<Utc>,
    value: Option<i64>,
    metadata: Option<Value>,
}

impl First {
    fn of(cursor: Cursor) -> Self {
        let Cursor { as_of, as_of_time, value, metadata, .. } = cursor;
        Self { as_of, as_of_time, value, metadata }
    }
}

/// The result of reading a page.
enum Read {
    Page(Box<(Explanation, First)>),
    /// The metric was never counted.
    Nothing,
    /// The events cannot be read as of the first page.
    NotAsOf(NotAsOf),
}

impl Read {
    fn page(self) -> Result<(Explanation, First), Problem> {
        match self {
            Self::Page(page) => Ok(*page),
            Self::Nothing => Err(Problem::metric_not_found()),
            Self::NotAsOf(why) => Err(not_as_of(why)),
        }
    }
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, Problem> {
        serde_json::from_str(text).map_err(|_| Problem::invalid_parameter("cursor", "must be a cursor from this route"))
    }
}
