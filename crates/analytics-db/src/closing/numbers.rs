//! What the metrics say of sellers' months: the rollups of their days.

use analytics_core::business::Business;
use analytics_core::ids::{Encoded, decode_encoded};
use analytics_core::maps::HashMap;
use analytics_core::money::Currency;
use analytics_core::month::Month;
use analytics_core::statement::Comparable;
use chrono::{DateTime, NaiveDate, Utc};

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Returns the sellers of which something is counted in a month that a statement tells, also if it is 0.
pub(super) fn vendors(connection: &mut Connection, business: Business, month: Month) -> Result<Vec<String>, DbError> {
    row! {
        struct Row {
            subject: String,
        }
    }
    // Each day is a part of the primary key; the month as one range would also have its hours and its products.
    let rows: Vec<Row> = statement(
        "SELECT DISTINCT r.subject FROM unnest($1) AS d (start) CROSS JOIN LATERAL ( \
             SELECT r.subject FROM rollups r WHERE r.bucket_start = d.start AND r.granularity = 'd' AND r.scope = 's' \
                 AND num_nonnulls(r.orders, r.units, r.revenue, r.refunds) > 0) AS r",
    )
    .column(month.days().map(|day| business.calendar.day_start(day)))
    .load(connection)?;
    let vendor = |row: Row| {
        let unusable = || DbError::Unusable(format!("a rollup has the seller {:?}", row.subject));
        decode_encoded(&row.subject).ok_or_else(unusable)
    };
    rows.into_iter().map(vendor).collect()
}

/// Returns the numbers of sellers' months, by the sellers' encoded ids. Zeros are left out, and sellers without numbers.
pub(super) fn of_vendors<'a>(
    connection: &mut Connection,
    business: Business,
    month: Month,
    vendors: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, Comparable>, DbError> {
    row! {
        struct Row {
            subject: String,
            start: DateTime<Utc>,
            currency: String,
            orders: i64,
            units: i64,
            revenue: i64,
            refunds: i64,
        }
    }
    let days: HashMap<DateTime<Utc>, NaiveDate> =
        month.days().map(|day| (business.calendar.day_start(day), day)).collect();
    // Each row is looked up by its key, whatever the planner estimates for a join.
    let rows: Vec<Row> = statement(
        "SELECT s.subject, d.start, r.currency, coalesce(r.orders, 0) AS orders, coalesce(r.units, 0) AS units, \
             coalesce(r.revenue, 0) AS revenue, coalesce(r.refunds, 0) AS refunds \
         FROM unnest($1) AS d (start) CROSS JOIN unnest($2) AS s (subject) \
         CROSS JOIN LATERAL (SELECT * FROM rollups r WHERE r.bucket_start = d.start AND r.granularity = 'd' \
             AND r.scope = 's' AND r.subject = s.subject OFFSET 0) AS r",
    )
    .column(days.keys().copied())
    .column(vendors.map(|vendor| Encoded(vendor).to_string()))
    .load(connection)?;
    let mut numbers: HashMap<String, Comparable> = HashMap::default();
    for row in rows {
        let Some(day) = days.get(&row.start).copied() else { continue };
        let currency = match row.currency.as_str() {
            "" => business.base_currency,
            code => {
                Currency::parse(code).ok_or_else(|| DbError::Unusable(format!("a rollup has the currency {code:?}")))?
            }
        };
        let own = numbers.entry(row.subject).or_default();
        if currency == business.base_currency {
            own.orders.insert(day, row.orders);
            own.units.insert(day, row.units);
        }
        own.revenue.insert((currency, day), row.revenue);
        own.refunds.insert((currency, day), row.refunds);
    }
    numbers.values_mut().for_each(Comparable::forget_zeros);
    Ok(numbers)
}
