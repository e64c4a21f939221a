//! Reads from the event log what each event adds to a seller's statement.

use analytics_core::business::Business;
use analytics_core::catalogue::Measure;
use analytics_core::identity::EventId;
use analytics_core::metric_type::MetricType;
use analytics_core::money::Currency;
use analytics_core::rollup::Scope;
use analytics_core::statement::Column;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::{Accounts, CloseError};
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Number of lines that are in memory at once.
const PIECE: i64 = 20_000;

/// What an event adds to the statement of a seller.
#[derive(Debug)]
pub(super) struct Contribution {
    pub(super) vendor: String,
    pub(super) event: Uuid,
    /// The batch that counted it.
    pub(super) batch: i64,
    pub(super) currency: Currency,
    day: NaiveDate,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Sold { line: i32, units: i64, amount: i64 },
    Refunded { line: i32, amount: i64 },
    Adjusted { column: Column, delta: i64 },
}

impl Contribution {
    /// Adds it to the account of its seller.
    pub(super) fn add_to(&self, accounts: &mut Accounts) -> Result<(), CloseError> {
        let Self { vendor, event, currency, day, what, .. } = self;
        if !accounts.contains_key(vendor) {
            accounts.insert(vendor.clone(), Default::default());
        }
        let Some(account) = accounts.get_mut(vendor) else { return Ok(()) };
        match *what {
            What::Sold { line, units, amount } => account.sold(*day, (*event, line), *currency, units, amount),
            What::Refunded { line, amount } => account.refunded(*day, (*event, line), *currency, amount),
            What::Adjusted { column, delta } => account.adjusted(*day, *event, column, *currency, delta),
        }?;
        Ok(())
    }

    /// Returns what it adds to net, in minor units.
    pub(super) const fn net(&self) -> i64 {
        match self.what {
            What::Sold { amount, .. } => amount,
            What::Refunded { amount, .. } => amount.saturating_neg(),
            What::Adjusted { column: Column::Revenue, delta } => delta,
            What::Adjusted { column: Column::Refunds, delta } => delta.saturating_neg(),
            What::Adjusted { column: Column::Orders | Column::Units, .. } => 0,
        }
    }
}

/// Calls `each` with what the events of a day add, of all sellers or of some, in the order that
/// [`Account`](analytics_core::statement::Account) expects.
pub(super) fn of_day(
    connection: &mut Connection,
    business: Business,
    day: NaiveDate,
    vendors: Option<&[String]>,
    each: &mut dyn FnMut(Contribution) -> Result<(), CloseError>,
) -> Result<(), CloseError> {
    let lowest = |time: DateTime<Utc>| EventId::lowest_at(time.into()).0;
    let ranges = business.calendar.day_ranges(day);
    let ranges: Vec<(Uuid, Uuid)> = ranges.iter().map(|range| (lowest(range.start), lowest(range.end))).collect();
    for range in &ranges {
        sold(connection, *range, day, vendors, each)?;
    }
    for range in &ranges {
        refunded(connection, *range, day, vendors, each)?;
    }
    for range in &ranges {
        adjusted(connection, business, *range, day, vendors, each)?;
    }
    Ok(())
}

fn sold(
    connection: &mut Connection,
    (from, to): (Uuid, Uuid),
    day: NaiveDate,
    vendors: Option<&[String]>,
    each: &mut dyn FnMut(Contribution) -> Result<(), CloseError>,
) -> Result<(), CloseError> {
    row! {
        struct Row {
            event_id: Uuid,
            line: i32,
            vendor_id: String,
            currency: String,
            quantity: i32,
            amount: i64,
            batch_id: i64,
        }
    }
    let sql = format!(
        "SELECT l.event_id, l.line, l.vendor_id, l.currency, l.quantity, l.amount, \
             coalesce(u.paid_batch, e.batch_id) AS batch_id \
         FROM order_lines l JOIN event_logs e ON e.id = l.event_id \
         LEFT JOIN unpaid_orders u ON u.event_id = l.event_id AND u.event_id >= $1 AND u.event_id < $2 \
         WHERE l.event_id >= $1 AND l.event_id < $2 AND e.id >= $1 AND e.id < $2 AND (l.event_id, l.line) > ($1, $3) \
         AND (u.event_id IS NULL OR u.paid_batch IS NOT NULL) AND l.vendor_id IS NOT NULL {} ORDER BY l.event_id, l.line LIMIT $4",
        if vendors.is_some() { "AND l.vendor_id = ANY ($5)" } else { "" }
    );
    let (mut from, mut line) = (from, -1);
    loop {
        let query = statement(&sql).value(from).value(to).value(line).value(PIECE);
        let query = match vendors {
            Some(vendors) => query.column(vendors.iter().map(String::as_str)),
            None => query,
        };
        let rows: Vec<Row> = query.load(connection)?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|length| length < PIECE);
        for row in rows {
            (from, line) = (row.event_id, row.line);
            let what = What::Sold { line, units: row.quantity.into(), amount: row.amount };
            let (vendor, batch, currency) = (row.vendor_id, row.batch_id, currency(row.event_id, &row.currency)?);
            each(Contribution { vendor, event: row.event_id, batch, currency, day, what })?;
        }
        if is_last {
            return Ok(());
        }
    }
}

fn refunded(
    connection: &mut Connection,
    (from, to): (Uuid, Uuid),
    day: NaiveDate,
    vendors: Option<&[String]>,
    each: &mut dyn FnMut(Contribution) -> Result<(), CloseError>,
) -> Result<(), CloseError> {
    row! {
        struct Row {
            event_id: Uuid,
            line: i32,
            currency: String,
            batch_id: i64,
            amount: i64,
            vendor_id: String,
        }
    }
    let sql = format!(
        "SELECT n.event_id, n.line, n.currency, n.batch_id, n.amount, l.vendor_id \
         FROM reversal_entries n JOIN reversals r ON r.event_id = n.event_id \
         CROSS JOIN LATERAL ( \
             SELECT l.vendor_id FROM order_lines l WHERE l.event_id = r.order_id AND l.line = n.line LIMIT 1) AS l \
         WHERE n.event_id >= $1 AND n.event_id < $2 AND n.line > 0 AND n.currency <> '' \
         AND (n.event_id, n.line, n.currency, n.batch_id) > ($1, $3, $4, $5) AND l.vendor_id IS NOT NULL {} \
         ORDER BY n.event_id, n.line, n.currency, n.batch_id LIMIT $6",
        if vendors.is_some() { "AND l.vendor_id = ANY ($7)" } else { "" }
    );
    let mut after = (from, -1, String::new(), 0);
    loop {
        let query = statement(&sql).value(after.0).value(to).value(after.1).value(after.2.clone()).value(after.3);
        let query = match vendors {
            Some(vendors) => query.value(PIECE).column(vendors.iter().map(String::as_str)),
            None => query.value(PIECE),
        };
        let rows: Vec<Row> = query.load(connection)?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|length| length < PIECE);
        for row in rows {
            let what = What::Refunded { line: row.line, amount: row.amount };
            let (event, batch, own) = (row.event_id, row.batch_id, currency(row.event_id, &row.currency)?);
            after = (event, row.line, row.currency, batch);
            each(Contribution { vendor: row.vendor_id, event, batch, currency: own, day, what })?;
        }
        if is_last {
            return Ok(());
        }
    }
}

fn adjusted(
    connection: &mut Connection,
    business: Business,
    (from, to): (Uuid, Uuid),
    day: NaiveDate,
    vendors: Option<&[String]>,
    each: &mut dyn FnMut(Contribution) -> Result<(), CloseError>,
) -> Result<(), CloseError> {
    row! {
        struct Row {
            id: Uuid,
            batch_id: i64,
            metric_type: Option<String>,
            delta: Option<i64>,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT e.id, e.batch_id, e.metadata ->> 'type' AS metric_type, \
             CASE WHEN jsonb_typeof(e.metadata -> 'delta') = 'number' THEN (e.metadata -> 'delta')::bigint END AS delta \
         FROM event_logs e WHERE e.event_type = 'metric.adjusted' AND e.id >= $1 AND e.id < $2 ORDER BY e.id",
    )
    .value(from)
    .value(to)
    .load(connection)?;
    for row in rows {
        let (Some(metric_type), Some(delta)) = (row.metric_type, row.delta) else { continue };
        let Ok(metric) = MetricType::parse(&metric_type, day, business.base_currency) else { continue };
        let Some((measure, Scope::Seller(vendor))) = metric.counts() else { continue };
        let column = match measure {
            Measure::Orders => Column::Orders,
            Measure::Units => Column::Units,
            Measure::Revenue => Column::Revenue,
            Measure::Refunds => Column::Refunds,
            _ => continue,
        };
        let vendor = vendor.as_str().to_owned();
        if vendors.is_none_or(|vendors| vendors.contains(&vendor)) {
            let currency = metric.foreign_currency.unwrap_or(business.base_currency);
            let what = What::Adjusted { column, delta };
            each(Contribution { vendor, event: row.id, batch: row.batch_id, currency, day, what })?;
        }
    }
    Ok(())
}

fn currency(event: Uuid, code: &str) -> Result<Currency, DbError> {
    Currency::parse(code)
        .ok_or_else(|| DbError::Unusable(format!("the event {event} in the log has the currency {code:?}")))
}
