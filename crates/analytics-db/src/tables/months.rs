//! `months`: what months came to for the marketplace.

use std::collections::BTreeMap;

use analytics_core::business::Business;
use analytics_core::catalogue::Measure;
use analytics_core::completeness::Completeness;
use analytics_core::events::Decoder;
use analytics_core::family::Family;
use analytics_core::month::Month;
use analytics_core::sums;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::batches::watermark;
use crate::read::freshness;
use crate::sql::{row, statement};
use crate::transactions::run;
use crate::{Connection, DbError};

/// What a month came to for the marketplace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// Page views.
    pub views: i64,
    /// New accounts.
    pub signups: i64,
    /// Orders.
    pub orders: i64,
    /// Units sold.
    pub units: i64,
    /// Orders that were cancelled as a whole.
    pub cancelled_orders: i64,
    /// Money, by currency.
    pub currencies: BTreeMap<String, Money>,
}

/// Money of a month, in minor units of its currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// What was sold, before refunds.
    pub gross: i64,
    /// What cancellations and refunds of the month took back.
    pub refunds: i64,
    /// Gross less refunds.
    pub net: i64,
}

/// What every month waits for, and statements as well: what was sold, and what of it came back.
pub(crate) const SOLD: [Measure; 4] = [Measure::Orders, Measure::Units, Measure::Revenue, Measure::Refunds];

/// Calculates every month that has numbers, up to the present one. Returns how many, and how many of them are complete. A
/// month that was complete once stays so: ingest may be away when this runs again, and what arrives later is late.
///
/// # Errors
/// [`DbError`].
pub fn calculate(connection: &mut Connection, decoder: &Decoder) -> Result<(usize, usize), DbError> {
    let business = decoder.business;
    run(connection, "months", |connection| {
        // Before the numbers, which may include later batches as well.
        let (as_of, _) = watermark(connection)?;
        let (reports, now) = freshness::reports(connection)?;
        // As for statements: a marketplace need not have views, ratings or signups.
        let sold = Completeness::of_measures(&SOLD, decoder, &reports);
        let others = [Family::UserRegistered, Family::ProductViewed, Family::RatingUpdated]
            .map(|family| Completeness::of_events(family.name(), &decoder.topics, &reports));
        let is_complete = |month: &Month| {
            let end = month.end(business.calendar);
            sold.is_complete(end, now) && others.iter().all(|other| other.is_absent() || other.is_complete(end, now))
        };
        let days = days(connection, business)?;
        let mut months: BTreeMap<Month, Numbers> = BTreeMap::new();
        for day in days {
            let Some(month) = Month::of(day.day(business)) else { continue };
            day.add_to(months.entry(month).or_default(), business);
        }
        let numbers: Result<Vec<_>, _> = months.values().map(serde_json::to_value).collect();
        row! {
            struct Row {
                complete: bool,
            }
        }
        let stored: Vec<Row> = statement(
            "INSERT INTO months (month, as_of, complete, numbers) \
             SELECT m.month, $4, m.complete, m.numbers FROM unnest($1, $2, $3) AS m (month, complete, numbers) \
             ON CONFLICT (month) DO UPDATE SET as_of = excluded.as_of, numbers = excluded.numbers, \
                 complete = months.complete OR excluded.complete, calculated_at = now() \
             WHERE months.as_of <= excluded.as_of RETURNING complete",
        )
        .column(months.keys().map(|month| month.first()))
        .column(months.keys().map(is_complete))
        .column(numbers.map_err(|error| DbError::Unusable(error.to_string()))?)
        .value(as_of)
        .load(connection)?;
        Ok((months.len(), stored.iter().filter(|month| month.complete).count()))
    })
}

row! {
    /// The rollup of a day of the marketplace, in one currency.
    struct DayRow {
        bucket_start: DateTime<Utc>,
        currency: String,
        views: i64,
        signups: i64,
        orders: i64,
        units: i64,
        cancelled_orders: i64,
        revenue: i64,
        refunds: i64,
    }
}

/// Returns the rollups of all days, each looked up by its key.
fn days(connection: &mut Connection, business: Business) -> Result<Vec<DayRow>, DbError> {
    row! {
        struct Ends {
            first: Option<DateTime<Utc>>,
            last: Option<DateTime<Utc>>,
        }
    }
    let ends: Ends = statement("SELECT min(bucket_start) AS first, max(bucket_start) AS last FROM rollups")
        .get_result(connection)?;
    let (Some(first), Some(last)) = (ends.first, ends.last) else { return Ok(Vec::new()) };
    let day = |time: DateTime<Utc>| business.calendar.day(time.into());
    let last = day(last);
    let starts = day(first).iter_days().take_while(|day| *day <= last).map(|day| business.calendar.day_start(day));
    let measures = ["views", "signups", "orders", "units", "cancelled_orders", "revenue", "refunds"];
    let columns = measures.map(|column| format!("coalesce(r.{column}, 0) AS {column}")).join(", ");
    Ok(statement(format!(
        "SELECT r.bucket_start, r.currency, {columns} FROM unnest($1) AS d (start) \
         CROSS JOIN LATERAL (SELECT * FROM rollups r WHERE r.bucket_start = d.start AND r.granularity = 'd' \
             AND r.scope = 't' AND r.subject = '' OFFSET 0) AS r"
    ))
    .column(starts)
    .load(connection)?)
}

impl DayRow {
    fn day(&self, business: Business) -> NaiveDate {
        business.calendar.day(self.bucket_start.into())
    }

    fn add_to(&self, numbers: &mut Numbers, business: Business) {
        let base = business.base_currency.code();
        let add = |sum: &mut i64, amount: i64| *sum = sums::add(*sum, amount);
        add(&mut numbers.views, self.views);
        add(&mut numbers.signups, self.signups);
        add(&mut numbers.orders, self.orders);
        add(&mut numbers.units, self.units);
        add(&mut numbers.cancelled_orders, self.cancelled_orders);
        let currency = if self.currency.is_empty() { base } else { &self.currency };
        let money = numbers.currencies.entry(currency.to_owned()).or_default();
        add(&mut money.gross, self.revenue);
        add(&mut money.refunds, self.refunds);
        money.net = sums::difference(money.gross, money.refunds);
    }
}
