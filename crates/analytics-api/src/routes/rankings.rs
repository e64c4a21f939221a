//! `GET /api/rankings/products` and `GET /api/rankings/sellers`.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::ids::{ProductId, VendorId};
use analytics_core::metric_type::{MetricType, Subject};
use analytics_core::period::Span;
use analytics_core::sums;
use analytics_db::read::directory::{self, ItemKind};
use analytics_db::read::rankings::{By, Rank, Ranked, Ranking};
use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared_auth::{Permission, Principal, Role};
use utoipa::ToSchema;

use crate::as_of;
use crate::change::change;
use crate::database::Database;
use crate::links::{events_link, product_events_link};
use crate::page::{encode, linked};
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;
use crate::range::{Finest, Range};
use crate::rankings::{Narrowed, RankingQuestion, Rankings};
use crate::settings::ApiSettings;

/// A page of a ranking.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RankingPage {
    /// What decides the rank.
    by: &'static str,
    /// The period by whose name the range was given.
    period: Option<&'static str>,
    from: DateTime<FixedOffset>,
    to: DateTime<FixedOffset>,
    timezone: &'static str,
    /// The currency of the values, if they are amounts of money.
    currency: Option<&'static str>,
    /// The number of the last batch that the ranking includes; it is at most a minute old.
    as_of: i64,
    items: Vec<RankBody>,
    /// Give it back as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// One rank.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Rank)]
pub(crate) struct RankBody {
    /// From 1; of equal values the lesser id comes first.
    rank: usize,
    /// The product's or the seller's id.
    pub(crate) id: String,
    /// Its name; null if it is not known.
    name: Option<String>,
    /// Its value; conversion is in basis points, a rating is an average times 100. Null past the range of 64
    /// bits.
    value: Option<i64>,
    /// Its rank in the range before; null if it had none.
    previous_rank: Option<usize>,
    /// Its value in the range before, all of which is over.
    previous_value: Option<i64>,
    /// From `previousValue` to `value` in basis points; null if it had none.
    change: Option<i64>,
    /// The events that the value is made of, for those who may read them.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<String>,
}

/// Rank products
///
/// By what was counted for them on the business days of a range; the present day is included as far
/// as it has come, and compared with a whole one. A rating is the Bayesian mean of all current
/// ratings, whatever the range: as if each product had ten more ratings of the average number of
/// stars. Products of which nothing was counted have no rank. Sellers see money only of their own
/// sales: they give their `vendorId`. With one, orders, units and revenue are what this vendor sold of each
/// product.
#[utoipa::path(
    get, path = "/api/rankings/products", operation_id = "rankProducts", tag = "rankings", security(("bearer" = [])),
    params(
        ("by" = Option<String>, Query, description = "`views` (the default), `orders`, `units`, `revenue`, `net_revenue` (revenue less refunds), `rating` or `conversion`"),
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d`, `30d` (the default), `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or the time at which a business day starts"),
        ("to" = Option<String>, Query, description = "A date, which is included; default today"),
        ("currency" = Option<String>, Query, description = "ISO 4217 code of the currency of `revenue` and `net_revenue`; default the base currency"),
        ("vendorId" = Option<String>, Query, description = "Only what this vendor sold; by views, conversion and rating, and for callers who may not read the vendor's numbers: only products that are known to belong to it, whoever sold them"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of the ranking", body = RankingPage), Unchanged, Failures)
)]
pub(crate) async fn products(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
    rankings: Data<Rankings>,
) -> Result<HttpResponse, Problem> {
    answer(Ranked::Products, &principal, &request, &database, &settings, &rankings).await
}

/// Rank sellers
///
/// By what was counted for them on the business days of a range, as for products.
#[utoipa::path(
    get, path = "/api/rankings/sellers", operation_id = "rankSellers", tag = "rankings", security(("bearer" = [])),
    params(
        ("by" = Option<String>, Query, description = "`views` (the default), `orders`, `units`, `revenue`, `net_revenue` (revenue less refunds), `rating` or `conversion`"),
        ("period" = Option<String>, Query, description = "`today`, `yesterday`, `7d`, `30d` (the default), `90d`, `this_month`, `last_month`, `this_year` or `all`: from the first day with events"),
        ("from" = Option<String>, Query, description = "A date, or the time at which a business day starts"),
        ("to" = Option<String>, Query, description = "A date, which is included; default today"),
        ("currency" = Option<String>, Query, description = "ISO 4217 code of the currency of `revenue` and `net_revenue`; default the base currency"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of the ranking", body = RankingPage), Unchanged, Failures)
)]
pub(crate) async fn sellers(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
    settings: Data<ApiSettings>,
    rankings: Data<Rankings>,
) -> Result<HttpResponse, Problem> {
    answer(Ranked::Sellers, &principal, &request, &database, &settings, &rankings).await
}

async fn answer(
    ranked: Ranked,
    principal: &Principal,
    request: &HttpRequest,
    database: &Database,
    settings: &ApiSettings,
    rankings: &Rankings,
) -> Result<HttpResponse, Problem> {
    let mut names = vec!["by", "period", "from", "to", "currency", "limit", "cursor"];
    if ranked == Ranked::Products {
        names.push("vendorId");
    }
    let query = Query::of(request, &names, &[])?;
    let (name, by) = by(&query)?;
    let vendor = query.optional("vendorId", VendorId::parse)?;
    may_see(principal, by, vendor.as_ref())?;
    let own_sales = is_own(principal, vendor.as_ref()) || principal.role.may(Permission::ReadOthers);
    let vendor = vendor.map(|vendor| Narrowed { vendor, own_sales });
    let foreign_currency = query.foreign_currency(settings.business.base_currency)?;
    if !by.is_money() && query.get("currency").is_some() {
        let why = format!("must not be given unless by is {}", listed(By::is_money));
        return Err(Problem::invalid_parameter("currency", why));
    }
    let calendar = settings.business.calendar;
    let range = Range::of(&query, database, settings, Finest::Day).await?;
    let question = RankingQuestion::new(range.question(ranked, foreign_currency, calendar), by, vendor);
    let cursor = query.cursor()?.map(|text| Cursor::parse(&text)).transpose()?;
    let kept = cursor.as_ref().and_then(|cursor| rankings.as_of(&question, cursor.as_of));
    let is_first = kept.is_some();
    let ranking = match kept {
        Some(ranking) => ranking,
        None => rankings.fresh(&question, database, calendar).await?,
    };
    let first = cursor.map_or(0, |cursor| cursor.position(&ranking, is_first));
    let limit = usize::from(query.limit()?);
    let events = Events::of(principal, question.vendor.as_ref().map(|narrowed| &narrowed.vendor), range.span);
    let mut items: Vec<RankBody> = ranking
        .ranks
        .iter()
        .enumerate()
        .skip(first)
        .take(limit)
        .map(|(index, rank)| question.body(index, rank, &ranking, events, settings))
        .collect();
    question.name(&mut items, database).await?;
    let end = first + items.len();
    let next_cursor = ranking.ranks.get(end.saturating_sub(1)).filter(|_| end < ranking.ranks.len()).map(|last| {
        let cursor = Cursor { as_of: ranking.as_of, next: end, value: last.value, id: last.id.clone() };
        encode(&json!(cursor).to_string())
    });
    if next_cursor.is_some() {
        rankings.keep_paged(&question, &ranking);
    }
    let base = settings.business.base_currency;
    let response = linked(request, next_cursor.as_deref());
    let page = RankingPage {
        by: name,
        period: range.period,
        from: calendar.shown(range.span.from),
        to: calendar.shown(range.span.to),
        timezone: calendar.name(),
        currency: by.is_money().then(|| foreign_currency.unwrap_or(base).code()),
        as_of: ranking.as_of,
        items,
        next_cursor,
    };
    Ok(as_of::answer(response, page.as_of, &page))
}

fn by(query: &Query) -> Result<(&'static str, By), Problem> {
    let named = |name: &str| {
        let known = By::ALL.into_iter().find(|(own, _)| *own == name);
        known.ok_or_else(|| format!("must be {}", listed(|_| true)))
    };
    Ok(query.optional("by", named)?.unwrap_or(("views", By::Views)))
}

/// The names of some of what decides ranks, as in "views, orders or units".
fn listed(wanted: impl Fn(By) -> bool) -> String {
    let names: Vec<&str> = By::ALL.into_iter().filter(|(_, by)| wanted(*by)).map(|(name, _)| name).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}

/// Everybody sees how popular products are; money only admins, and sellers for their own products. A
/// page in another site sees its vendor's products only.
fn may_see(principal: &Principal, by: By, vendor: Option<&VendorId>) -> Result<(), Problem> {
    if let (Role::Embed(_), false) = (&principal.role, is_own(principal, vendor)) {
        return Err(Problem::forbidden());
    }
    if !by.is_money() || is_own(principal, vendor) || principal.role.may(Permission::ReadOthers) {
        Ok(())
    } else {
        Err(Problem::forbidden())
    }
}

/// Whether the principal is the vendor.
fn is_own(principal: &Principal, vendor: Option<&VendorId>) -> bool {
    match &principal.role {
        Role::Vendor(own) => vendor.is_some_and(|vendor| own.iter().any(|id| id == vendor.as_str())),
        Role::Embed(own) => vendor.is_some_and(|vendor| vendor.as_str() == own),
        Role::Admin | Role::Support | Role::Buyer => false,
    }
}

/// Which events of a range somebody may read.
#[derive(Clone, Copy)]
pub(crate) enum Events {
    /// Those of every product and seller.
    All(Span),
    /// Those of its own sales.
    Own(Span),
    None,
}

impl Events {
    pub(crate) fn of(principal: &Principal, vendor: Option<&VendorId>, span: Span) -> Self {
        match () {
            () if principal.role.may(Permission::ReadOthers) => Self::All(span),
            () if is_own(principal, vendor) => Self::Own(span),
            () => Self::None,
        }
    }
}

impl RankingQuestion {
    /// The first ranks, and the number of the last batch that they include.
    pub(crate) async fn top(
        &self,
        rankings: &Rankings,
        database: &Database,
        settings: &ApiSettings,
        events: Events,
        count: usize,
    ) -> Result<(Vec<RankBody>, i64), Problem> {
        let ranking: Arc<Ranking> = rankings.fresh(self, database, settings.business.calendar).await?;
        let first = ranking.ranks.iter().enumerate().take(count);
        let mut first: Vec<RankBody> =
            first.map(|(index, rank)| self.body(index, rank, &ranking, events, settings)).collect();
        self.name(&mut first, database).await?;
        Ok((first, ranking.as_of))
    }

    /// Adds the names, which a ranking that is kept does not have: they may change meanwhile.
    async fn name(&self, ranks: &mut [RankBody], database: &Database) -> Result<(), Problem> {
        let kind = match self.of.ranked {
            Ranked::Products => ItemKind::Product,
            Ranked::Sellers => ItemKind::Vendor,
        };
        if ranks.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = ranks.iter().map(|rank| rank.id.clone()).collect();
        let read = move |connection: &mut _| directory::names(connection, kind, ids.iter().map(String::as_str));
        let mut names = database.read(read).await?;
        ranks.iter_mut().for_each(|rank| rank.name = names.remove(&rank.id));
        Ok(())
    }

    fn body(&self, index: usize, rank: &Rank, ranking: &Ranking, events: Events, settings: &ApiSettings) -> RankBody {
        let events = self.events(rank, ranking.as_of, events, settings);
        let previous_value = rank.previous.and_then(|(_, value)| sums::known(value));
        RankBody {
            rank: index + 1,
            id: rank.id.clone(),
            name: None,
            value: sums::known(rank.value),
            previous_rank: rank.previous.map(|(rank, _)| rank),
            previous_value,
            change: change(sums::known(rank.value), previous_value).0,
            events,
        }
    }

    /// Where the events are that a value is made of.
    fn events(&self, rank: &Rank, as_of: i64, events: Events, settings: &ApiSettings) -> Option<String> {
        match (events, self.vendor.as_ref().filter(|_| self.by.is_sold())) {
            (Events::All(span) | Events::Own(span), Some(Narrowed { vendor, .. })) => {
                let metric = Ranked::Sellers.metric(self.by).filter(|metric| metric.is_counter())?;
                let subject = Subject::Vendor(vendor.clone());
                let own = MetricType { metric, subject, foreign_currency: self.of.foreign_currency };
                Some(product_events_link(settings, &own.to_string(), &rank.id, span, as_of))
            }
            (Events::All(span), None) => {
                // The events of a rating are all of them.
                let span = Some(span).filter(|_| self.by != By::Rating);
                Some(events_link(settings, &self.metric_type(&rank.id)?.to_string(), span, as_of))
            }
            (Events::Own(_), None) | (Events::None, _) => None,
        }
    }

    /// The metric of a product or a seller whose value is ranked.
    fn metric_type(&self, id: &str) -> Option<MetricType> {
        let metric = self.of.ranked.metric(self.by)?;
        let subject = match self.of.ranked {
            Ranked::Products => Subject::Product(ProductId::parse(id).ok()?),
            Ranked::Sellers => Subject::Vendor(VendorId::parse(id).ok()?),
        };
        Some(MetricType { metric, subject, foreign_currency: self.of.foreign_currency })
    }
}

/// Where a page begins: at a place of the ranking as of a batch, or, where that is not kept any more,
/// after this value and id.
#[derive(Serialize, Deserialize)]
struct Cursor {
    as_of: i64,
    next: usize,
    value: i64,
    id: String,
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, Problem> {
        serde_json::from_str(text).map_err(|_| Problem::invalid_parameter("cursor", "must be a cursor from this route"))
    }

    fn position(&self, ranking: &Ranking, is_same: bool) -> usize {
        if is_same {
            return self.next.min(ranking.ranks.len());
        }
        ranking
            .ranks
            .partition_point(|rank| rank.value > self.value || (rank.value == self.value && rank.id <= self.id))
    }
}
