//! The sellers of the marketplace.

use analytics_core::catalogue::{Measure, ScopeKind};
use analytics_core::ids::{Encoded, VendorId, decode_encoded};
use analytics_core::money::Currency;

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// A seller, with its sums over all time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seller {
    /// Its id.
    pub vendor: String,
    /// Page views of its products.
    pub views: i64,
    /// Its orders.
    pub orders: i64,
    /// Units that it sold.
    pub units: i64,
    /// Its revenue in the base currency, in minor units.
    pub revenue: i64,
}

row! {
    struct Row {
        subject: String,
        views: Option<i64>,
        orders: Option<i64>,
        units: Option<i64>,
        revenue: Option<i64>,
    }
}

/// Returns sellers in the order of their ids as metric types write them: at most `limit`, whose ids
/// begin with `prefix`, after the seller `after`.
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
    // Whoever has units or revenue has orders. Each arm reads a part of the index on types.
    let arm = |name: &str| {
        format!(
            "(SELECT substr(m.type, {length}) AS subject FROM metrics m \
              WHERE m.type > '{name}:' || $2 AND m.type >= '{name}:' || $1 AND m.type < '{name}:' || $1 || chr(1114111) \
              ORDER BY m.type LIMIT $3)",
            length = name.len() + 2,
        )
    };
    let value = |name: &str| format!("(SELECT m.value FROM metrics m WHERE m.type = '{name}:' || s.subject)");
    let sql = format!(
        "SELECT s.subject, {} AS views, {} AS orders, {} AS units, {} AS revenue \
         FROM (SELECT u.subject FROM ({} UNION {}) AS u ORDER BY u.subject COLLATE \"C\" LIMIT $3) AS s \
         ORDER BY s.subject COLLATE \"C\"",
        value(views),
        value(orders),
        value(units),
        value(revenue),
        arm(views),
        arm(orders)
    );
    let rows: Vec<Row> = statement(sql)
        .value(Encoded(prefix).to_string())
        .value(after.map_or_else(String::new, |after| Encoded(after).to_string()))
        .value(limit)
        .load(connection)?;
    let seller = |row: Row| {
        let zero = |value: Option<i64>| value.unwrap_or(0);
        Some(Seller {
            vendor: decode_encoded(&row.subject)?,
            views: zero(row.views),
            orders: zero(row.orders),
            units: zero(row.units),
            revenue: zero(row.revenue),
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
