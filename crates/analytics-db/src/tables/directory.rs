//! `directory`: what products and vendors are called.

use analytics_core::directory::{Directory, Entry};
use analytics_core::ids::VendorId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::Connection;
use crate::error::WriteError;
use crate::sql::statement;

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A product.
    Product,
    /// A vendor.
    Vendor,
}

impl ItemKind {
    /// Returns its value in the column `kind`.
    pub(crate) const fn column(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Vendor => "vendor",
        }
    }
}

/// Stores the entries of a batch, in the order of their keys. Another batch may have stored a later
/// one: the entry with the later event time is kept, whoever writes last.
pub(crate) fn store(connection: &mut Connection, directory: &Directory) -> Result<(), WriteError> {
    let mut columns = Columns::default();
    directory.products().for_each(|(id, entry)| columns.add(ItemKind::Product, id.as_str(), entry));
    directory.vendors().for_each(|(id, entry)| columns.add(ItemKind::Vendor, id.as_str(), entry));
    if columns.ids.is_empty() {
        return Ok(());
    }
    statement(
        "INSERT INTO directory AS d (kind, id, name, folded, vendor_id, named_at, event_id) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kind, id) DO UPDATE \
         SET name = excluded.name, folded = excluded.folded, vendor_id = excluded.vendor_id, \
             named_at = excluded.named_at, event_id = excluded.event_id \
         WHERE (d.named_at, d.event_id) < (excluded.named_at, excluded.event_id)",
    )
    .column(columns.kinds)
    .column(columns.ids)
    .column(columns.names)
    .column(columns.folded)
    .column(columns.vendors)
    .column(columns.times)
    .column(columns.events)
    .execute(connection)?;
    Ok(())
}

/// The entries by column, in the order of the key.
#[derive(Default)]
struct Columns<'a> {
    kinds: Vec<&'static str>,
    ids: Vec<&'a str>,
    names: Vec<&'a str>,
    folded: Vec<String>,
    vendors: Vec<Option<&'a str>>,
    times: Vec<DateTime<Utc>>,
    events: Vec<Uuid>,
}

impl<'a> Columns<'a> {
    fn add(&mut self, kind: ItemKind, id: &'a str, entry: &'a Entry) {
        self.kinds.push(kind.column());
        self.ids.push(id);
        self.names.push(entry.name.as_str());
        self.folded.push(folded(entry.name.as_str()));
        self.vendors.push(entry.vendor.as_ref().map(VendorId::as_str));
        self.times.push(entry.time.utc());
        self.events.push(entry.event.0);
    }
}

/// Returns a name, or the beginning of one, as it is searched for.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}
