//! `product_vendors`: which vendor each product is known to belong to.

use std::collections::BTreeSet;

use analytics_core::attribution::{ProductVendor, ProductVendors};
use analytics_core::event::{Event, Part, Vendor};
use analytics_core::identity::EventId;
use analytics_core::ids::{ProductId, VendorId};
use analytics_core::maps::{HashMap, HashSet};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::waiting;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

row! {
    struct Row {
        product_id: String,
        vendor_id: String,
        named_at: DateTime<Utc>,
        event_id: Uuid,
    }
}

/// Loads the known vendors of the products for which these events name none: those that are stored, and
/// those that batches name which wait to be counted.
pub(crate) fn load(connection: &mut Connection, events: &[&mut Event]) -> Result<ProductVendors, WriteError> {
    let products: BTreeSet<&str> = events.iter().flat_map(|event| products(event)).map(ProductId::as_str).collect();
    if products.is_empty() {
        return Ok(ProductVendors::default());
    }
    let waiting = waiting::learned(connection, |product| products.contains(product))?;
    let rows: Vec<Row> =
        statement("SELECT product_id, vendor_id, named_at, event_id FROM product_vendors WHERE product_id = ANY($1)")
            .column(products)
            .load(connection)?;
    // Stored ids were valid when they were stored. One that is not valid any more counts as
    // unknown.
    let known = rows.into_iter().filter_map(|row| {
        let vendor = ProductVendor {
            vendor: VendorId::parse(&row.vendor_id).ok()?,
            time: row.named_at.into(),
            event: EventId(row.event_id),
        };
        Some((ProductId::parse(&row.product_id).ok()?, vendor))
    });
    let mut known: HashMap<_, _> = known.collect();
    for (product, vendor) in waiting {
        ProductVendors::keep_latest(&mut known, product, vendor);
    }
    Ok(ProductVendors::new(known))
}

/// Returns the products that are known to belong to a vendor.
pub(crate) fn products_of(connection: &mut Connection, vendor: &str) -> Result<HashSet<String>, DbError> {
    row! {
        struct Row {
            product_id: String,
        }
    }
    let rows: Vec<Row> =
        statement("SELECT product_id FROM product_vendors WHERE vendor_id = $1").value(vendor).load(connection)?;
    Ok(rows.into_iter().map(|row| row.product_id).collect())
}

fn products(event: &Event) -> impl Iterator<Item = &ProductId> {
    let unnamed = |part: &&Part| !matches!(part.vendor, Vendor::Named(_));
    event.content.parts().map(|(part, _)| part).filter(unnamed).filter_map(|part| part.product.as_ref())
}

/// Stores the vendors that events name. The one with the later event time is kept, whoever writes
/// last.
pub(crate) fn store(connection: &mut Connection, _: &CountingLock, vendors: &ProductVendors) -> Result<(), WriteError> {
    let mut learned: Vec<_> = vendors.learned().collect();
    if learned.is_empty() {
        return Ok(());
    }
    learned.sort_unstable_by_key(|(product, _)| *product);
    let products: Vec<&str> = learned.iter().map(|(product, _)| product.as_str()).collect();
    let vendors: Vec<&str> = learned.iter().map(|(_, known)| known.vendor.as_str()).collect();
    let times: Vec<_> = learned.iter().map(|(_, known)| known.time.utc()).collect();
    let events: Vec<Uuid> = learned.iter().map(|(_, known)| known.event.0).collect();
    statement(
        "INSERT INTO product_vendors AS p (product_id, vendor_id, named_at, event_id) \
         SELECT * FROM unnest($1, $2, $3, $4) ON CONFLICT (product_id) DO UPDATE \
         SET vendor_id = excluded.vendor_id, named_at = excluded.named_at, event_id = excluded.event_id \
         WHERE (p.named_at, p.event_id) < (excluded.named_at, excluded.event_id)",
    )
    .column(products)
    .column(vendors)
    .column(times)
    .column(events)
    .execute(connection)?;
    Ok(())
}
