//! The weeks of sellers: what each counted on the days of a week and of the week before.

use chrono::{DateTime, Utc};

use crate::sql::{row, statement};
use crate::{Connection, DbError};

row! {
    /// The sums of one seller in one of two weeks, in one currency.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct WeekSums {
        /// The encoded id of the seller.
        pub subject: String,
        /// Whether it is the earlier week.
        pub is_earlier: bool,
        /// The currency of the revenue; empty for the base currency, whose row also has the other measures.
        pub currency: String,
        /// Page views.
        pub views: Option<i64>,
        /// Orders.
        pub orders: Option<i64>,
        /// Units ordered.
        pub units: Option<i64>,
        /// Revenue in minor units.
        pub revenue: Option<i64>,
    }
}

/// Two weeks: the starts of their days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weeks {
    /// The days of the earlier one.
    pub earlier: Vec<DateTime<Utc>>,
    /// The days of the week itself.
    pub days: Vec<DateTime<Utc>>,
}

impl Weeks {
    fn starts(&self) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        self.earlier.iter().chain(&self.days).copied()
    }

    fn are_earlier(&self) -> impl Iterator<Item = bool> + '_ {
        self.earlier.iter().map(|_| true).chain(self.days.iter().map(|_| false))
    }
}

/// Returns the encoded ids of the sellers that counted anything in the two weeks, at most `limit`, in their
/// order, behind `after`.
///
/// # Errors
/// [`DbError`].
pub fn sellers(connection: &mut Connection, weeks: &Weeks, after: &str, limit: i64) -> Result<Vec<String>, DbError> {
    row! {
        struct Row {
            subject: String,
        }
    }
    let sql = "SELECT r.subject FROM unnest($1) AS d (start) \
               CROSS JOIN LATERAL (SELECT r.subject FROM rollups r WHERE r.bucket_start = d.start \
                   AND r.granularity = 'd' AND r.scope = 's' AND r.subject > $2 ORDER BY r.subject OFFSET 0) AS r \
               GROUP BY r.subject ORDER BY r.subject COLLATE \"C\" LIMIT $3";
    let rows: Vec<Row> = statement(sql).column(weeks.starts()).value(after).value(limit).load(connection)?;
    Ok(rows.into_iter().map(|row| row.subject).collect())
}

/// Returns the sums of sellers, which are given by their encoded ids, in the order of these.
///
/// # Errors
/// [`DbError`].
pub fn sums(connection: &mut Connection, weeks: &Weeks, sellers: &[String]) -> Result<Vec<WeekSums>, DbError> {
    let sql = "SELECT s.subject, d.is_earlier, r.currency, stored_sum(sum(r.views)) AS views, \
                   stored_sum(sum(r.orders)) AS orders, stored_sum(sum(r.units)) AS units, \
                   stored_sum(sum(r.revenue)) AS revenue \
               FROM unnest($1) AS s (subject) CROSS JOIN unnest($2, $3) AS d (start, is_earlier) \
               CROSS JOIN LATERAL (SELECT * FROM rollups r WHERE r.bucket_start = d.start AND r.granularity = 'd' \
                   AND r.scope = 's' AND r.subject = s.subject OFFSET 0) AS r \
               GROUP BY s.subject, d.is_earlier, r.currency ORDER BY s.subject COLLATE \"C\", r.currency COLLATE \"C\"";
    let query = statement(sql).column(sellers.iter().map(String::as_str)).column(weeks.starts());
    Ok(query.column(weeks.are_earlier()).load(connection)?)
}

row! {
    /// The current rating of a seller.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SellerRating {
        /// The encoded id of the seller.
        pub subject: String,
        /// The average of the stars times 100.
        pub average: Option<i64>,
        /// The number of ratings.
        pub ratings: i64,
    }
}

/// Returns the current ratings of sellers, which are given by their encoded ids.
///
/// # Errors
/// [`DbError`].
pub fn ratings(connection: &mut Connection, sellers: &[String]) -> Result<Vec<SellerRating>, DbError> {
    let sql = "SELECT s.subject, m.value AS average, coalesce(m.denominator, 0) AS ratings \
               FROM unnest($1) AS s (subject) JOIN metrics m ON m.type = 'seller_rating:' || s.subject";
    Ok(statement(sql).column(sellers.iter().map(String::as_str)).load(connection)?)
}

row! {
    /// The name of a seller.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SellerName {
        /// The encoded id of the seller.
        pub subject: String,
        /// What events call it.
        pub name: String,
    }
}

/// Returns the names of sellers, which are given by their encoded ids.
///
/// # Errors
/// [`DbError`].
pub fn names(connection: &mut Connection, sellers: &[String]) -> Result<Vec<SellerName>, DbError> {
    let sql = "SELECT s.subject, d.name FROM unnest($1) AS s (subject) \
               JOIN directory d ON d.kind = 'vendor' AND d.subject = s.subject";
    Ok(statement(sql).column(sellers.iter().map(String::as_str)).load(connection)?)
}
