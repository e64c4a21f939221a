//! What anomalies are looked for in: the measures of the marketplace, and of sellers and products that
//! have enough, in consecutive hours or days.

use analytics_core::catalogue::{Measure, ScopeKind};
use analytics_core::rollup::Granularity;
use chrono::{DateTime, NaiveDate, Utc};

use crate::sql::{row, statement};
use crate::tables::rollups::{granularity, scope};
use crate::{Connection, DbError};

row! {
    /// The measures of one subject in one bucket.
    #[derive(Debug, Clone)]
    pub struct Sums {
        /// The position of the bucket's start among those that were asked for, from 1.
        pub place: i64,
        /// The encoded id; empty for the marketplace.
        pub subject: String,
        /// The currency of the revenue; empty for the base currency.
        pub currency: String,
        /// Page views.
        pub views: Option<i64>,
        /// New accounts.
        pub signups: Option<i64>,
        /// Orders.
        pub orders: Option<i64>,
        /// Units ordered.
        pub units: Option<i64>,
        /// Revenue in minor units.
        pub revenue: Option<i64>,
    }
}

impl Sums {
    /// Returns a measure, if it was counted in the bucket. No anomalies are looked for in reversals.
    #[must_use]
    pub const fn get(&self, measure: Measure) -> Option<i64> {
        match measure {
            Measure::Views => self.views,
            Measure::Signups => self.signups,
            Measure::Orders => self.orders,
            Measure::Units => self.units,
            Measure::Revenue => self.revenue,
            Measure::Refunds | Measure::RefundedUnits | Measure::CancelledOrders | Measure::ExcessRefunds => None,
        }
    }
}

const COLUMNS: &str = "r.subject, r.currency, r.views, r.signups, r.orders, r.units, r.revenue";

/// Returns the sums of the marketplace in the buckets with these starts, in every currency.
///
/// # Errors
/// [`DbError`].
pub fn totals(connection: &mut Connection, of: Granularity, starts: &[DateTime<Utc>]) -> Result<Vec<Sums>, DbError> {
    // OFFSET keeps the planner from turning the subquery into a join, which reads the whole table.
    let sql = format!(
        "SELECT d.place, {COLUMNS} FROM unnest($1) WITH ORDINALITY AS d (start, place) \
         CROSS JOIN LATERAL (SELECT * FROM rollups r WHERE r.bucket_start = d.start \
             AND r.granularity = $2::\"char\" AND r.scope = 't' OFFSET 0) AS r"
    );
    Ok(statement(sql).column(starts.iter().copied()).value(granularity(of)).load(connection)?)
}

/// Returns the ids of the sellers or products that have at least `at_least` of a measure in the given
/// days together, at most `at_most`, those with the most first.
///
/// # Errors
/// [`DbError`].
pub fn busiest(
    connection: &mut Connection,
    of: ScopeKind,
    measure: Measure,
    days: &[DateTime<Utc>],
    at_least: i64,
    at_most: i64,
) -> Result<Vec<String>, DbError> {
    row! {
        struct Row {
            subject: String,
        }
    }
    let sql = format!(
        "SELECT r.subject FROM unnest($1) AS d (start) \
         CROSS JOIN LATERAL (SELECT r.subject, r.{column} AS amount FROM rollups r WHERE r.bucket_start = d.start \
             AND r.granularity = 'd' AND r.scope = $2::\"char\" AND r.currency = '' OFFSET 0) AS r \
         GROUP BY r.subject HAVING sum(r.amount) >= $3 ORDER BY sum(r.amount) DESC, r.subject LIMIT $4",
        column = measure.column()
    );
    let query = statement(sql).column(days.iter().copied()).value(scope(of)).value(at_least).value(at_most);
    let rows: Vec<Row> = query.load(connection)?;
    Ok(rows.into_iter().map(|row| row.subject).collect())
}

/// Returns the sums of sellers or products in the buckets with these starts, in the base currency, in the
/// order of subjects.
///
/// # Errors
/// [`DbError`].
pub fn of_subjects(
    connection: &mut Connection,
    of: ScopeKind,
    width: Granularity,
    subjects: &[String],
    starts: &[DateTime<Utc>],
) -> Result<Vec<Sums>, DbError> {
    // Each row is looked up by its key, whatever the planner estimates for a join.
    let sql = format!(
        "SELECT d.place, {COLUMNS} FROM unnest($1) AS s (subject) \
         CROSS JOIN unnest($2) WITH ORDINALITY AS d (start, place) \
         CROSS JOIN LATERAL (SELECT * FROM rollups r WHERE r.bucket_start = d.start AND r.granularity = $3::\"char\" \
             AND r.scope = $4::\"char\" AND r.subject = s.subject AND r.currency = '' LIMIT 1) AS r \
         ORDER BY r.subject, d.place"
    );
    let query = statement(sql).column(subjects.iter().map(String::as_str)).column(starts.iter().copied());
    Ok(query.value(granularity(width)).value(scope(of)).load(connection)?)
}

row! {
    /// How many events of a type happened on a day.
    #[derive(Debug, Clone)]
    pub struct DayOfEvents {
        /// The business day.
        pub day: NaiveDate,
        /// The type of the events.
        pub event_type: String,
        /// Their number.
        pub events: i64,
    }
}

/// Returns how many events of each type happened on each day since one.
///
/// # Errors
/// [`DbError`].
pub fn events_by_day(connection: &mut Connection, since: NaiveDate) -> Result<Vec<DayOfEvents>, DbError> {
    let sql = "SELECT day, event_type, events FROM event_days WHERE day >= $1 ORDER BY event_type, day";
    Ok(statement(sql).value(since).load(connection)?)
}

row! {
    /// The vendor to which a product is known to belong.
    #[derive(Debug, Clone)]
    pub struct Owner {
        /// The encoded id of the product.
        pub subject: String,
        /// The vendor's id.
        pub vendor_id: String,
    }
}

/// Returns the vendors of products, which are given by their ids.
///
/// # Errors
/// [`DbError`].
pub fn owners(connection: &mut Connection, products: &[String]) -> Result<Vec<Owner>, DbError> {
    let sql = "SELECT replace(replace(v.product_id, '%', '%25'), ':', '%3A') AS subject, v.vendor_id \
               FROM product_vendors v WHERE v.product_id = ANY ($1)";
    Ok(statement(sql).column(products.iter().map(String::as_str)).load(connection)?)
}
