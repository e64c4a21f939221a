//! Attribution: a part of an event that names no vendor gets the vendor that is known for its
//! product.

use crate::event::{Event, Vendor};
use crate::identity::EventId;
use crate::ids::{ProductId, VendorId};
use crate::maps::{HashMap, HashSet};
use crate::time::EventTime;

/// The vendor of a product, and the event that named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductVendor {
    /// The vendor.
    pub vendor: VendorId,
    /// The time of the event that named the vendor.
    pub time: EventTime,
    /// The id of that event.
    pub event: EventId,
}

/// The product vendors: those that the database has for the products of a batch, and those that the
/// batch adds.
#[derive(Debug, Default)]
pub struct ProductVendors {
    known: HashMap<ProductId, ProductVendor>,
    changed: HashSet<ProductId>,
}

impl ProductVendors {
    /// Starts with the product vendors that are stored in the database.
    #[must_use]
    pub fn new(known: HashMap<ProductId, ProductVendor>) -> Self {
        Self { known, changed: HashSet::default() }
    }

    /// Decides the vendor of every part of the event that names none, then records the vendors that
    /// the other parts name. In this order, so that an event does not affect its own attribution.
    /// Must be called for the events in the order of the batch, without those rejected or
    /// duplicate.
    pub fn attribute(&mut self, event: &mut Event) {
        let (time, id) = (event.time, event.id);
        for part in event.content.parts_mut() {
            // A decision from an earlier attempt that was not committed is replaced.
            if let (Some(product), Vendor::Unknown | Vendor::Learned(_)) = (&part.product, &part.vendor) {
                part.vendor = self.vendor_of(product).map_or(Vendor::Unknown, Vendor::Learned);
            }
        }
        for (part, _) in event.content.parts() {
            if let (Some(product), Vendor::Named(vendor)) = (&part.product, &part.vendor) {
                self.learn(product, ProductVendor { vendor: vendor.clone(), time, event: id });
            }
        }
    }

    /// Gives the parts of a logged event that have no vendor the vendors that are known now.
    /// Returns whether that changed anything.
    pub fn reattribute(&self, event: &mut Event) -> bool {
        let mut changed = false;
        for part in event.content.parts_mut() {
            if let (Some(product), Vendor::Unknown) = (&part.product, &part.vendor)
                && let Some(vendor) = self.vendor_of(product)
            {
                part.vendor = Vendor::Learned(vendor);
                changed = true;
            }
        }
        changed
    }

    /// Returns all known product vendors.
    #[must_use]
    pub fn into_known(self) -> HashMap<ProductId, ProductVendor> {
        self.known
    }

    /// Returns the product vendors that the batch added or changed.
    pub fn learned(&self) -> impl Iterator<Item = (&ProductId, &ProductVendor)> {
        self.changed.iter().filter_map(|product| self.known.get_key_value(product))
    }

    fn vendor_of(&self, product: &ProductId) -> Option<VendorId> {
        self.known.get(product).map(|known| known.vendor.clone())
    }

    /// Records that an event names the vendor of a product.
    pub fn learn(&mut self, product: &ProductId, named: ProductVendor) {
        if Self::keep_latest(&mut self.known, product.clone(), named) {
            self.changed.insert(product.clone());
        }
    }

    /// Keeps the vendor named at the latest event time, or by the greater event id if the times are
    /// equal, so that the order of arrival does not matter. Returns whether it is the given one.
    pub fn keep_latest(
        known: &mut HashMap<ProductId, ProductVendor>,
        product: ProductId,
        named: ProductVendor,
    ) -> bool {
        let is_latest = known.get(&product).is_none_or(|known| (named.time, named.event) > (known.time, known.event));
        if is_latest {
            known.insert(product, named);
        }
        is_latest
    }
}
