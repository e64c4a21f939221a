//! What products and vendors are called, and products found by id or name.

use std::collections::HashMap;

use super::tenant::ReadableProducts;
use crate::sql::{row, statement};
pub use crate::tables::directory::ItemKind;
use crate::tables::directory::folded;
use crate::{Connection, DbError};

/// The names of some products or vendors, by their ids.
pub type Names = HashMap<String, String>;

/// Returns the names of these products or vendors, as far as the directory has them. Whoever may
/// read an id may read its name.
///
/// # Errors
/// [`DbError`].
pub fn names<'a>(
    connection: &mut Connection,
    kind: ItemKind,
    ids: impl IntoIterator<Item = &'a str>,
) -> Result<Names, DbError> {
    row! {
        struct Row {
            id: String,
            name: String,
        }
    }
    let ids: Vec<&str> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(Names::new());
    }
    let rows: Vec<Row> = statement("SELECT d.id, d.name FROM directory d WHERE d.kind = $1 AND d.id = ANY($2)")
        .value(kind.column())
        .column(ids)
        .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

row! {
    /// A product that has a name, or whose vendor is known.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Product {
        /// Its id.
        pub id: String,
        /// Its name.
        pub name: Option<String>,
        /// The vendor that it is known to belong to, or else the one that the directory has.
        pub vendor_id: Option<String>,
        /// The vendor's name.
        pub vendor_name: Option<String>,
    }
}

/// Returns products in the order of their ids: at most `limit`, whose ids or names begin with
/// `prefix`, after the product `after`. Names match in any case.
///
/// # Errors
/// [`DbError`].
pub fn products(
    connection: &mut Connection,
    readable: &ReadableProducts,
    prefix: &str,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Product>, DbError> {
    let found = match &readable.vendors {
        Some(_) => of_vendors(!prefix.is_empty()),
        None => of_all(!prefix.is_empty()),
    };
    let rows = statement(format!(
        "SELECT f.id, d.name, coalesce(p.vendor_id, d.vendor_id) AS vendor_id, v.name AS vendor_name \
         FROM (SELECT u.id FROM ({found}) AS u (id) ORDER BY u.id LIMIT $3) AS f \
         LEFT JOIN directory d ON d.kind = 'product' AND d.id = f.id \
         LEFT JOIN product_vendors p ON p.product_id = f.id \
         LEFT JOIN directory v ON v.kind = 'vendor' AND v.id = coalesce(p.vendor_id, d.vendor_id) ORDER BY f.id"
    ))
    .value(prefix)
    .value(after.unwrap_or_default())
    .value(limit)
    .value(folded(prefix))
    .column(readable.vendors.iter().flatten())
    .load(connection)?;
    Ok(rows)
}

/// Returns the condition that a column begins with a parameter.
fn begins(column: &str, parameter: &str) -> String {
    format!("{column} >= {parameter} AND {column} < {parameter} || chr(1114111)")
}

/// SQL for the ids of products. Each part reads a range of an index. $1 is the prefix, $2 the id
/// after which the page begins, $3 the limit, $4 the prefix as names are stored for searches, and
/// $5 the vendors.
fn of_all(by_name: bool) -> String {
    let (by_id, by_key) = (begins("d.id", "$1"), begins("p.product_id", "$1"));
    let mut parts = vec![
        format!(
            "(SELECT d.id FROM directory d WHERE d.kind = 'product' AND d.id > $2 AND {by_id} ORDER BY 1 LIMIT $3)"
        ),
        format!(
            "(SELECT p.product_id FROM product_vendors p WHERE p.product_id > $2 AND {by_key} ORDER BY 1 LIMIT $3)"
        ),
    ];
    if by_name {
        let by_name = begins("d.folded", "$4");
        parts.push(format!(
            "(SELECT d.id FROM directory d WHERE d.kind = 'product' AND {by_name} AND d.id > $2 ORDER BY 1 LIMIT $3)"
        ));
    }
    parts.join(" UNION ")
}

/// The same for products of the vendors $5.
fn of_vendors(by_name: bool) -> String {
    let matching = |id: &str| match by_name {
        true => format!("({} OR {})", begins(id, "$1"), begins("d.folded", "$4")),
        false => "true".to_owned(),
    };
    format!(
        "(SELECT p.product_id FROM product_vendors p LEFT JOIN directory d ON d.kind = 'product' AND d.id = p.product_id \
         WHERE p.vendor_id = ANY($5) AND p.product_id > $2 AND {} ORDER BY 1 LIMIT $3) UNION \
         (SELECT d.id FROM directory d WHERE d.kind = 'product' AND d.vendor_id = ANY($5) AND d.id > $2 AND {} \
         AND NOT EXISTS (SELECT FROM product_vendors p WHERE p.product_id = d.id) ORDER BY 1 LIMIT $3)",
        matching("p.product_id"),
        matching("d.id")
    )
}
