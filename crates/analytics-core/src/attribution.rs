//! Whose is a part of an event that names no vendor? It takes the one that is known for its product.

use crate::event::{Event, Vendor};
use crate::identity::EventId;
use crate::ids::{ProductId, VendorId};
use crate::maps::{HashMap, HashSet};
use crate::time::EventTime;

/// Whose a product is, as some event said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductVendor {
    /// The vendor.
    pub vendor: VendorId,
    /// The time of the event that named it.
    pub time: EventTime,
    /// That event.
    pub event: EventId,
}

/// The vendors known for products: those of the batch's products from the database, and what the
/// batch adds to them.
#[derive(Debug, Default)]
pub struct ProductVendors {
    known: HashMap<ProductId, ProductVendor>,
    changed: HashSet<ProductId>,
}

impl ProductVendors {
    /// Starts from what was committed before.
    #[must_use]
    pub fn new(known: HashMap<ProductId, ProductVendor>) -> Self {
        Self { known, changed: HashSet::default() }
    }

    /// Decides the vendor of every part of the event that names none, then learns from the parts that
    /// do: no record decides about itself. Events must come in the order of the batch, without the
    /// rejected and the duplicate ones.
    pub fn attribute(&mut self, event: &mut Event) {
        let (time, id) = (event.time, event.id);
        for part in event.content.parts_mut() {
            // A decision of an attempt that did not commit is made anew.
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

    /// Gives a logged event's parts without a vendor the vendors that are known now, whatever was known
    /// when it was counted. Tells whether that changed anything.
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

    /// All that is known now.
    #[must_use]
    pub fn into_known(self) -> HashMap<ProductId, ProductVendor> {
        self.known
    }

    /// What the batch added to what was known.
    pub fn learned(&self) -> impl Iterator<Item = (&ProductId, &ProductVendor)> {
        self.changed.iter().filter_map(|product| self.known.get_key_value(product))
    }

    fn vendor_of(&self, product: &ProductId) -> Option<VendorId> {
        self.known.get(product).map(|known| known.vendor.clone())
    }

    /// The vendor of the latest event time stands; of equal times the one of the greater event id, so that
    /// the order of arrival does not matter.
    fn learn(&mut self, product: &ProductId, named: ProductVendor) {
        let newer = self.known.get(product).is_none_or(|known| (named.time, named.event) > (known.time, known.event));
        if newer {
            self.known.insert(product.clone(), named);
            self.changed.insert(product.clone());
        }
    }
}
