//! `POST /api/sellers/{vendor}/reconcile`: compares a list of orders with what was counted.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use analytics_core::family::Family;
use analytics_core::ids::VendorId;
use analytics_core::reconciliation::list::Listed;
use analytics_core::reconciliation::sums::{MOST_DAYS, Period};
use chrono::NaiveDate;
use shared_auth::Principal;
use tokio::sync::oneshot;

use crate::as_of::AS_OF;
use crate::caller;
use crate::database::Database;
use crate::problem::{Failures, NotFound, Problem, TooLarge};
use crate::query::Query;
use crate::reconciliation::{self, AT_MOST, Question, Reconciliations};
use crate::settings::ApiSettings;

pub(crate) use crate::reconciliation::LARGEST as LARGEST_LIST;

/// Compare a list of orders with what was counted for a seller
///
/// The list is CSV in UTF-8 with a header, at most 100,000 lines and 16 MiB. Columns are found by their names, in any
/// case, and whatever stands between the words: the order id (`orderId`, `order_id`, `Order`, `Order number`), the amount
/// in units of its currency, such as `12.50` (`amount`, `total`, `gross`), and, if there are any, the currency (`currency`;
/// or else the base currency) and the date (`date`, `day`, `createdAt`, `orderDate`): a business day, or an RFC 3339 time.
/// Other columns are ignored.
///
/// The answer has a row for each line (`record` is `line`) with a `verdict`: `counted`, `refunded`, `cancelled`,
/// `other_day`, `other_amount`, `other_currency`, `awaiting_payment`, `dead_letter`, `duplicate` or `never_seen`, and for admins `other_seller`
/// or `unattributed`; then one for each amount that is counted in the period and stands in no line (`order`, `not_listed`);
/// then, for each currency, the sums by verdict (`sum`), what was compared with a line and is counted outside the period
/// (`outside_period`), and the `total`, whose `counted` is what is counted in the period. Its `difference`, `listed`
/// minus `counted`, is the sum of the differences above it. Amounts are gross; `refunded` and `cancelled` are what was
/// taken back of them, whenever that was. `number` is the batch that counted the order.
///
/// The period is that of the dates in the list; without any, that of the days on which its orders are counted. Nothing is
/// stored. An answer that could not be finished ends without the end of its HTTP response.
#[utoipa::path(
    post, path = "/api/sellers/{vendor}/reconcile", operation_id = "reconcileSeller", tag = "sellers", security(("bearer" = [])),
    params(
        ("vendor" = String, Path, description = "The seller's id, URL-encoded"),
        ("from" = Option<String>, Query, description = "The first day of the period, such as 2026-11-01; needs `to`"),
        ("to" = Option<String>, Query, description = "The last day of the period; at most 400 days"),
    ),
    request_body(content = String, content_type = "text/csv", description = "The list"),
    responses(
        (status = 200, description = "The comparison", content_type = "text/csv", body = String,
         headers(("As-Of" = i64, description = "The number of the last batch that the answer includes."))),
        Failures, NotFound, TooLarge
    )
)]
pub(crate) async fn seller(
    principal: Principal,
    path: Path<String>,
    request: HttpRequest,
    body: Payload,
    database: Data<Database>,
    settings: Data<ApiSettings>,
    reconciliations: Data<Reconciliations>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let query = Query::of(&request, &["from", "to"], &[])?;
    let vendor = VendorId::parse(&path).map_err(|why| Problem::invalid_parameter("vendor", why))?;
    let orders = tenant.orders(&vendor).ok_or_else(Problem::seller_not_found)?;
    let asked = asked(&query)?;
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Problem::invalid_body("the list must not be compressed"));
    }
    let place = reconciliations.place().await?;
    let list = reconciliation::read(body, settings.business).await?;
    let period = match asked {
        Some(period) => Some(period),
        None => dated(&list)?,
    };
    let topics = &settings.decoder.topics;
    let namespaces = topics.names().map(|topic| topics.namespace(topic).map(str::to_owned)).collect();
    let other_topics = topics.not_of(Family::OrderCreated).map(str::to_owned).collect();
    let question = Question { orders, list, period, namespaces, other_topics, business: settings.business };
    let slot = database.slot().await?;
    let (outlet, answer) = reconciliations.stream()?;
    let (begun, number) = oneshot::channel();
    let reading = rt::spawn(async move {
        let work = move |connection: &mut _| question.answer(connection, begun, outlet);
        let read = database.read_long(slot, AT_MOST, work).await;
        drop(place);
        read
    });
    let Ok(number) = number.await else {
        let failed = reading.await.ok().and_then(Result::err);
        return Err(failed.unwrap_or_else(Problem::internal_error));
    };
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8; header=present")
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"reconciliation.csv\""))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((AS_OF, number))
        .body(answer))
}

/// Returns the period that the parameters give.
fn asked(query: &Query) -> Result<Option<Period>, Problem> {
    let day = |text: &str| {
        let years = NaiveDate::from_ymd_opt(2000, 1, 1)..NaiveDate::from_ymd_opt(2100, 1, 1);
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| years.contains(&Some(*day)));
        day.ok_or("must be a date such as 2026-11-01")
    };
    match (query.optional("from", day)?, query.optional("to", day)?) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Problem::invalid_parameter("from", "must be given with to")),
        (Some(_), None) => Err(Problem::invalid_parameter("to", "must be given with from")),
        (Some(from), Some(to)) if to < from => Err(Problem::invalid_parameter("to", "must not be before from")),
        (Some(from), Some(to)) if Period { from, to }.is_too_long() => {
            Err(Problem::invalid_parameter("to", format!("must be at most {MOST_DAYS} days after from")))
        }
        (Some(from), Some(to)) => Ok(Some(Period { from, to })),
    }
}

/// Returns the period of the dates in a list, if it has any.
fn dated(list: &[Listed]) -> Result<Option<Period>, Problem> {
    let days = || list.iter().filter_map(|listed| Some((listed.day?, listed.line)));
    let (Some((from, first)), Some((to, last))) = (days().min(), days().max()) else { return Ok(None) };
    let period = Period { from, to };
    if period.is_too_long() {
        return Err(Problem::invalid_body(format!(
            "the dates of line {first} and line {last} are more than {MOST_DAYS} days apart: divide the list, or give from and to"
        )));
    }
    Ok(Some(period))
}
