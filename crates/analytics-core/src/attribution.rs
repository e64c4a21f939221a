//! Whose sale is it? A view or a line without a vendor takes the one learned for its product.

use crate::event::{Body, Event, Vendor};
use crate::identity::EventId;
use crate::ids::{ProductId, VendorId};
use crate::maps::{HashMap, HashSet};
use crate::time::EventTime;

/// What a record taught: that a product was this vendor's at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// The vendor.
    pub vendor: VendorId,
    /// The teaching event's time.
    pub time: EventTime,
    /// The teaching event.
    pub event: EventId,
}

/// The vendors known for products: those of the batch's products from the database, and what the
/// batch adds to them.
#[derive(Debug, Default)]
pub struct Lessons {
    known: HashMap<ProductId, Lesson>,
    changed: HashSet<ProductId>,
}

impl Lessons {
    /// Starts from what was committed before.
    #[must_use]
    pub fn new(known: HashMap<ProductId, Lesson>) -> Self {
        Self { known, changed: HashSet::default() }
    }

    /// Decides the vendor of everything in the event that names none, then learns from what it
    /// does name: no record teaches itself. Events must come in the order of the batch, without
    /// the rejected and the duplicate ones.
    pub fn attribute(&mut self, event: &mut Event) {
        let (time, id) = (event.time, event.id);
        match &mut event.body {
            Body::View { product, vendor } => {
                self.decide(product, vendor);
                self.learn(product, vendor, time, id);
            }
            Body::Order { lines } => {
                for line in lines.iter_mut() {
                    if let Some(product) = &line.product {
                        self.decide(product, &mut line.vendor);
                    }
                }
                for line in lines {
                    if let Some(product) = &line.product {
                        self.learn(product, &line.vendor, time, id);
                    }
                }
            }
            Body::Signup | Body::Rating { .. } | Body::Adjustment { .. } | Body::Logged => {}
        }
    }

    /// Gives a logged event's vendorless parts the vendors that are known now, whatever was known
    /// when it was counted. Tells whether that changed anything.
    pub fn reattribute(&self, event: &mut Event) -> bool {
        let mut changed = false;
        let mut give = |product: &ProductId, vendor: &mut Vendor| {
            if let (Vendor::Unknown, Some(lesson)) = (&*vendor, self.known.get(product)) {
                *vendor = Vendor::Learned(lesson.vendor.clone());
                changed = true;
            }
        };
        match &mut event.body {
            Body::View { product, vendor } => give(product, vendor),
            Body::Order { lines } => {
                for line in lines {
                    if let Some(product) = &line.product {
                        give(product, &mut line.vendor);
                    }
                }
            }
            Body::Signup | Body::Rating { .. } | Body::Adjustment { .. } | Body::Logged => {}
        }
        changed
    }

    /// All that is known now.
    #[must_use]
    pub fn into_known(self) -> HashMap<ProductId, Lesson> {
        self.known
    }

    /// What the batch taught beyond what was known.
    pub fn learned(&self) -> impl Iterator<Item = (&ProductId, &Lesson)> {
        self.changed.iter().filter_map(|product| self.known.get_key_value(product))
    }

    fn decide(&self, product: &ProductId, vendor: &mut Vendor) {
        // A decision that was learned in an attempt that did not commit is made anew.
        if matches!(vendor, Vendor::Unknown | Vendor::Learned(_)) {
            *vendor = self.known.get(product).map_or(Vendor::Unknown, |lesson| Vendor::Learned(lesson.vendor.clone()));
        }
    }

    /// The lesson of the latest event time stands; of equal times the one of the greater event id,
    /// so that the order of arrival does not matter.
    fn learn(&mut self, product: &ProductId, vendor: &Vendor, time: EventTime, event: EventId) {
        let Vendor::Named(vendor) = vendor else { return };
        let newer = self.known.get(product).is_none_or(|known| (time, event) > (known.time, known.event));
        if newer {
            self.known.insert(product.clone(), Lesson { vendor: vendor.clone(), time, event });
            self.changed.insert(product.clone());
        }
    }
}
