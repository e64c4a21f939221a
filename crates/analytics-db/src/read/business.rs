//! The numbers of the marketplace for Prometheus.

use crate::sql::{row, statement};
use crate::tables::{payments, reversals};
use crate::{Connection, DbError};

row! {
    /// The value of a metric of the marketplace.
    #[derive(Debug, Clone)]
    pub struct Total {
        /// The type, with the currency at the end unless it is the base currency.
        pub metric_type: String,
        /// The value.
        pub value: Option<i64>,
    }
}

/// Returns the totals of the marketplace, in every currency.
///
/// # Errors
/// [`DbError`].
pub fn totals(connection: &mut Connection) -> Result<Vec<Total>, DbError> {
    // Prefixes of an index, not of all metrics.
    let sql = "SELECT m.type AS metric_type, m.value \
               FROM unnest(ARRAY['total_views', 'total_signups', 'total_orders', 'total_units', 'total_revenue', \
                   'unattributed_revenue', 'total_refunds', 'total_net_revenue', 'excess_refunds', 'refunded_units', \
                   'cancelled_orders']) AS t (name) \
               JOIN metrics m ON m.type = t.name OR (m.type > t.name || ':' AND m.type < t.name || ';') ORDER BY m.type";
    Ok(statement(sql).load(connection)?)
}

row! {
    /// How many events of a type were counted.
    #[derive(Debug, Clone)]
    pub struct Events {
        /// The type.
        pub event_type: String,
        /// The number of events.
        pub events: i64,
    }
}

/// Returns how many events of each type were counted.
///
/// # Errors
/// [`DbError`].
pub fn events(connection: &mut Connection) -> Result<Vec<Events>, DbError> {
    let sql =
        "SELECT event_type, stored_sum(sum(events)) AS events FROM event_days GROUP BY event_type ORDER BY event_type";
    Ok(statement(sql).load(connection)?)
}

row! {
    /// What was logged and is not counted yet.
    #[derive(Debug, Clone, Copy)]
    pub struct WaitingBatches {
        /// The number of batches.
        pub batches: i64,
        /// The number of their records.
        pub records: i64,
        /// The age of the oldest, in seconds.
        pub oldest_seconds: f64,
    }
}

/// What is logged and counts only with something else.
#[derive(Debug, Clone, Copy)]
pub struct Undecided {
    /// The number of cancellations and refunds whose orders are not known, or do not count yet.
    pub reversals: i64,
    /// The number of orders that count once they are paid.
    pub orders: i64,
}

/// Returns how much counts only with something else.
///
/// # Errors
/// [`DbError`].
pub fn undecided(connection: &mut Connection) -> Result<Undecided, DbError> {
    Ok(Undecided { reversals: reversals::waiting(connection)?, orders: payments::waiting(connection)? })
}

/// Returns what was logged and is not counted yet.
///
/// # Errors
/// [`DbError`].
pub fn waiting(connection: &mut Connection) -> Result<WaitingBatches, DbError> {
    let sql = "SELECT count(*) AS batches, coalesce(sum(records), 0)::bigint AS records, \
                   coalesce(extract(epoch FROM now() - min(logged_at)), 0)::float8 AS oldest_seconds \
               FROM batches WHERE number IS NULL";
    Ok(statement(sql).get_result(connection)?)
}

row! {
    /// The ratings of all products and sellers.
    #[derive(Debug, Clone, Copy)]
    pub struct Ratings {
        /// How many there are; one of a product and its seller counts for each.
        pub ratings: i64,
        /// The sum of their stars.
        pub stars: i64,
    }
}

/// Returns the current ratings of products.
///
/// # Errors
/// [`DbError`].
pub fn ratings(connection: &mut Connection) -> Result<Ratings, DbError> {
    let sql = "SELECT coalesce(sum(denominator), 0)::bigint AS ratings, coalesce(sum(numerator), 0)::bigint AS stars \
               FROM metrics WHERE type > 'product_rating:' AND type < 'product_rating;'";
    Ok(statement(sql).get_result(connection)?)
}
