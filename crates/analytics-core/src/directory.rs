//! The directory: the latest name of each product and vendor, for those who read numbers. Nothing
//! that is counted depends on it.

use std::collections::BTreeMap;

use crate::event::{Content, Event, Named};
use crate::identity::EventId;
use crate::ids::{ProductId, VendorId};
use crate::name::Name;
use crate::time::EventTime;

/// What an event calls a product or a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Name,
    /// The vendor that the event names for the product; `None` for a vendor.
    pub vendor: Option<VendorId>,
    /// The time of the event.
    pub time: EventTime,
    /// The id of the event.
    pub event: EventId,
}

/// The entries that a batch adds.
#[derive(Debug, Default)]
pub struct Directory {
    products: BTreeMap<ProductId, Entry>,
    vendors: BTreeMap<VendorId, Entry>,
}

impl Directory {
    /// Notes what the event names, if it names something. The entry of the latest event time is
    /// kept, or that of the greater event id if the times are equal, so that the order of arrival
    /// does not matter.
    pub fn note(&mut self, event: &Event) {
        let Content::Naming(naming) = &event.content else { return };
        let Some(name) = naming.name.clone() else { return };
        let entry =
            |vendor: Option<&VendorId>| Entry { name, vendor: vendor.cloned(), time: event.time, event: event.id };
        match &naming.subject {
            Named::Product { product, vendor } => keep(&mut self.products, product, entry(vendor.as_ref())),
            Named::Vendor(vendor) => keep(&mut self.vendors, vendor, entry(None)),
        }
    }

    /// Returns the entries of products, in the order of their ids.
    pub fn products(&self) -> impl ExactSizeIterator<Item = (&ProductId, &Entry)> {
        self.products.iter()
    }

    /// Returns the entries of vendors, in the order of their ids.
    pub fn vendors(&self) -> impl ExactSizeIterator<Item = (&VendorId, &Entry)> {
        self.vendors.iter()
    }
}

fn keep<Id: Ord + Clone>(entries: &mut BTreeMap<Id, Entry>, id: &Id, entry: Entry) {
    let is_newer = entries.get(id).is_none_or(|known| (entry.time, entry.event) > (known.time, known.event));
    if is_newer {
        entries.insert(id.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::event::Naming;
    use crate::family::Family;
    use crate::topics::EventType;

    fn named(id: u128, time: i64, name: Option<&str>) -> Event {
        let product = ProductId::parse("p").unwrap();
        let subject = Named::Product { product, vendor: None };
        let content = Content::Naming(Naming { subject, name: name.map(|name| Name::parse(name).unwrap()) });
        let event_type = EventType::Counted(Family::ProductUpdated);
        Event::logged(EventId(Uuid::from_u128(id)), event_type, None, EventTime::from_micros(time), content)
    }

    #[test]
    fn the_latest_name_is_kept_whatever_the_order() {
        let events = [named(9, 1, Some("first")), named(1, 3, Some("a")), named(2, 3, Some("b")), named(8, 4, None)];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 0, 3], [2, 0, 3, 1]] {
            let mut directory = Directory::default();
            order.iter().for_each(|index| directory.note(&events[*index]));
            let names: Vec<&str> = directory.products().map(|(_, entry)| entry.name.as_str()).collect();
            assert_eq!(names, ["b"], "{order:?}");
            assert_eq!(directory.vendors().count(), 0);
        }
    }
}
