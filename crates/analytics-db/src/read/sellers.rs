//! The sellers of the marketplace.

use analytics_core::catalogue::{Measure, ScopeKind};
use analytics_core::ids::{Encoded, VendorId, decode_encoded};
use analytics_core::money::Currency;
use analytics_core::sums;

use super::rankings::{By, Ranked};
use crate::sql::{row, statement};
use crate::tables::directory::folded;
use crate::{Connection, DbError};

/// A seller, with its sums over all time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seller {
    /// Its id.
    pub vendor: String,
    /// Its name, if the directory has it.
    pub name: Option<String>,
    /// Page views of its products.
    pub views: i64,
    /// Its orders.
    pub orders: i64,
    /// Units that it sold.
    pub units: i64,
    /// Its revenue in the base currency, in minor units; `None` if it exceeds the range of `bigint`.
    pub revenue: Option<i64>,
}

row! {
    struct Row {
        subject: String,
        name: Option<String>,
        views: Option<i64>,
        orders: Option<i64>,
        units: Option<i64>,
        revenue: Option<i64>,
    }
}

/// Returns sellers that were counted or named, in the order of their ids as metric types write
/// them: at most `limit`, whose ids or names begin with `prefix`, after the seller `after`. Names
/// match in any case.
///
/// # Errors
/// [`DbError`].
pub fn list(
    connection: &mut Connection,
    prefix: &str,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Seller>, DbError> {
    let counted = |measure: Measure| measure.counter(ScopeKind::Seller).map_or("", |metric| metric.name());
    let [views, orders, units, revenue] =
        [Measure::Views, Measure::Orders, Measure::Units, Measure::Revenue].map(counted);
    // Units and revenue may be without orders where they were set by hand. Each arm reads a part of the index
    // on types; those of other currencies have a second colon.
    let arm = |name: &str| {
        format!(
            "(SELECT substr(m.type, {length}) AS subject FROM metrics m \
              WHERE m.type > '{name}:' || $2 AND m.type >= '{name}:' || $1 AND m.type < '{name}:' || $1 || chr(1114111) \
              AND strpos(substr(m.type, {length}), ':') = 0 \
              ORDER BY m.type LIMIT $3)",
            length = name.len() + 2,
        )
    };
    let in_directory = |condition: &str| {
        format!(
            "(SELECT d.subject FROM directory d WHERE d.kind = 'vendor' AND {condition} AND d.subject > $2 \
              ORDER BY d.subject LIMIT $3)"
        )
    };
    let rating = Ranked::Sellers.metric(By::Rating).map_or("", |metric| metric.name());
    let mut arms = vec![
        arm(views),
        arm(orders),
        arm(units),
        arm(revenue),
        arm(rating),
        in_directory("d.subject >= $1 AND d.subject < $1 || chr(1114111)"),
    ];
    if !prefix.is_empty() {
        arms.push(in_directory("d.folded >= $4 AND d.folded < $4 || chr(1114111)"));
    }
    let value = |name: &str| format!("(SELECT m.value FROM metrics m WHERE m.type = '{name}:' || s.subject)");
    let sql = format!(
        "SELECT s.subject, (SELECT d.name FROM directory d WHERE d.kind = 'vendor' AND d.subject = s.subject) AS name, \
         {} AS views, {} AS orders, {} AS units, {} AS revenue \
         FROM (SELECT u.subject FROM ({}) AS u (subject) ORDER BY u.subject COLLATE \"C\" LIMIT $3) AS s \
         ORDER BY s.subject COLLATE \"C\"",
        value(views),
        value(orders),
        value(units),
        value(revenue),
        arms.join(" UNION ")
    );
    let rows: Vec<Row> = statement(sql)
        .value(Encoded(prefix).to_string())
        .value(after.map_or_else(String::new, |after| Encoded(after).to_string()))
        .value(limit)
        .value(folded(prefix))
        .load(connection)?;
    let seller = |row: Row| {
        let zero = |value: Option<i64>| value.unwrap_or(0);
        Some(Seller {
            vendor: decode_encoded(&row.subject)?,
            name: row.name,
            views: zero(row.views),
            orders: zero(row.orders),
            units: zero(row.units),
            revenue: sums::known(zero(row.revenue)),
        })
    };
    Ok(rows.into_iter().filter_map(seller).collect())
}

/// Returns the currencies in which a seller, or the marketplace without one, ever had revenue,
/// besides the base currency.
///
/// # Errors
/// [`DbError`].
pub fn foreign_currencies(connection: &mut Connection, vendor: Option<&VendorId>) -> Result<Vec<Currency>, DbError> {
    row! {
        struct Code {
            code: String,
        }
    }
    let scope = if vendor.is_some() { ScopeKind::Seller } else { ScopeKind::Total };
    let name = Measure::Revenue.counter(scope).map_or("", |metric| metric.name());
    let prefix = match vendor {
        Some(vendor) => format!("{name}:{}:", Encoded(vendor.as_str())),
        None => format!("{name}:"),
    };
    let rows: Vec<Code> = statement(
        "SELECT substr(m.type, length($1) + 1) AS code FROM metrics m \
         WHERE m.type >= $1 AND m.type < $1 || chr(1114111) ORDER BY m.type",
    )
    .value(prefix)
    .load(connection)?;
    Ok(rows.iter().filter_map(|row| Currency::parse(&row.code)).collect())
}
