//! Decoded events: what the rules of counting need, with the identities and the payload.

use crate::identity::{Digest, EventId, Fingerprint, IdentityKey, place_key};
use crate::ids::{ProductId, UserId, VendorId};
use crate::money::{Currency, Minor, Quantity};
use crate::name::Name;
use crate::record::Place;
use crate::reversal::Reversal;
use crate::time::EventTime;
use crate::topics::EventType;

/// An event, ready to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The id: deterministic and time-ordered.
    pub id: EventId,
    /// The type that the event is logged as.
    pub event_type: EventType,
    /// The user that the event is about, if one is named.
    pub user: Option<UserId>,
    /// When it happened.
    pub time: EventTime,
    /// The identities that make a second record the same event; empty if only the record's place
    /// identifies it, which the id then contains.
    pub keys: Vec<IdentityKey>,
    /// The key of `keys` that follows from the content, if the content identifies the event.
    pub natural: Option<IdentityKey>,
    /// Equal for two records with the same identity if their content is the same.
    pub digest: Digest,
    /// The payload as JSON text, redacted.
    pub metadata: String,
    /// What happened.
    pub content: Content,
}

impl Event {
    /// Creates an event that was read back from the log. Its identities and its payload are left
    /// empty, as counting does not need them.
    #[must_use]
    pub const fn logged(
        id: EventId,
        event_type: EventType,
        user: Option<UserId>,
        time: EventTime,
        content: Content,
    ) -> Self {
        let digest = Digest(id.0);
        let metadata = String::new();
        Self { id, event_type, user, time, keys: Vec::new(), natural: None, digest, metadata, content }
    }

    /// Returns the key of `keys` that is the hash of the order's id, for an order.
    #[must_use]
    pub fn order(&self) -> Option<IdentityKey> {
        self.natural.filter(|_| !self.content.lines().is_empty())
    }

    /// Adds the place of the event's record to its identities. Used for a record that was rejected
    /// before and is now read again or replayed, so that it counts once however it was repaired.
    pub fn identify_by_place(&mut self, place: &Place) {
        let key = place_key(place);
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }
}

/// The content of an event that the rules of counting use. The log stores all of it, so that every
/// event can be counted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing about a product or a vendor.
    Nothing,
    /// One part, logged in the event's row.
    Part(Part),
    /// At least one line, each logged in a row of its own.
    Lines(Vec<Line>),
    /// The lines of an order that counts once it is paid. They are logged and attributed as those of any order, and
    /// no rule counts them.
    Unpaid(Vec<Line>),
    /// The payment of the order with this key.
    Payment(IdentityKey),
    /// A rating.
    Rating(Rating),
    /// A cancellation or a refund of an order.
    Reversal(Reversal),
    /// The name of a product or a vendor. No rule counts it.
    Naming(Naming),
    /// `metric.adjusted`: a metric was set by hand.
    Adjustment {
        /// The metric type; may be one that the catalogue does not have.
        metric_type: String,
        /// The change of the metric's value; `None` if only its metadata was set.
        delta: Option<i64>,
    },
}

impl Content {
    /// Returns the parts of the event, each with its sale if something was ordered. Counting,
    /// attribution and explanations work on these.
    pub fn parts(&self) -> impl Iterator<Item = (&Part, Option<&Sale>)> {
        let (part, lines) = match self {
            Self::Part(part) => (Some(part), [].as_slice()),
            Self::Lines(lines) | Self::Unpaid(lines) => (None, lines.as_slice()),
            Self::Nothing
            | Self::Payment(_)
            | Self::Rating(_)
            | Self::Reversal(_)
            | Self::Naming(_)
            | Self::Adjustment { .. } => (None, [].as_slice()),
        };
        part.into_iter().map(|part| (part, None)).chain(lines.iter().map(|line| (&line.part, Some(&line.sale))))
    }

    /// Returns the parts for attribution, which sets their vendors.
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        let (part, lines) = match self {
            Self::Part(part) => (Some(part), [].as_mut_slice()),
            Self::Lines(lines) | Self::Unpaid(lines) => (None, lines.as_mut_slice()),
            Self::Nothing
            | Self::Payment(_)
            | Self::Rating(_)
            | Self::Reversal(_)
            | Self::Naming(_)
            | Self::Adjustment { .. } => (None, [].as_mut_slice()),
        };
        part.into_iter().chain(lines.iter_mut().map(|line| &mut line.part))
    }

    /// Returns the lines of an order, paid or not; empty for other events.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        match self {
            Self::Lines(lines) | Self::Unpaid(lines) => lines,
            Self::Nothing
            | Self::Payment(_)
            | Self::Part(_)
            | Self::Rating(_)
            | Self::Reversal(_)
            | Self::Naming(_)
            | Self::Adjustment { .. } => &[],
        }
    }

    /// Returns the product and the vendor that are logged in the event's row: those of its only
    /// part, or those that it rates or names.
    #[must_use]
    pub const fn about(&self) -> (Option<&ProductId>, Option<&VendorId>) {
        match self {
            Self::Part(part) => (part.product.as_ref(), part.vendor.id()),
            Self::Rating(rating) => (rating.product.as_ref(), rating.vendor.as_ref()),
            Self::Naming(Naming { subject, .. }) => subject.about(),
            Self::Nothing
            | Self::Lines(_)
            | Self::Unpaid(_)
            | Self::Payment(_)
            | Self::Reversal(_)
            | Self::Adjustment { .. } => (None, None),
        }
    }

    /// Leaves only the parts about one product. Other contents than parts are left unchanged.
    pub fn keep_parts_about(&mut self, product: &ProductId) {
        let is_about = |part: &Part| part.product.as_ref() == Some(product);
        match self {
            Self::Part(part) if !is_about(part) => *self = Self::Nothing,
            Self::Lines(lines) | Self::Unpaid(lines) => lines.retain(|line| is_about(&line.part)),
            Self::Reversal(reversal) => {
                reversal.entries.retain(|entry| entry.line.as_ref().is_some_and(|(_, part)| is_about(part)));
            }
            Self::Part(_)
            | Self::Payment(_)
            | Self::Nothing
            | Self::Rating(_)
            | Self::Naming(_)
            | Self::Adjustment { .. } => {}
        }
    }

    /// Returns the rating, if the event is one.
    #[must_use]
    pub const fn rating(&self) -> Option<&Rating> {
        match self {
            Self::Rating(rating) => Some(rating),
            _ => None,
        }
    }

    /// Returns the reversal, if the event is one.
    #[must_use]
    pub const fn reversal(&self) -> Option<&Reversal> {
        match self {
            Self::Reversal(reversal) => Some(reversal),
            _ => None,
        }
    }

    /// Returns the key of the order that the event is the payment of, if it is one.
    #[must_use]
    pub const fn payment(&self) -> Option<IdentityKey> {
        match self {
            Self::Payment(order) => Some(*order),
            _ => None,
        }
    }

    /// Whether the event is an order that counts once it is paid.
    #[must_use]
    pub const fn is_unpaid(&self) -> bool {
        matches!(self, Self::Unpaid(_))
    }

    /// Adds the content to a hash over the event: a digest or a seal, depending on `covering`.
    pub(crate) fn fingerprint(&self, common: Fingerprint, covering: Covering) -> Fingerprint {
        match self {
            Self::Nothing => common,
            // A payment is read back from the log as nothing; its id follows from its order.
            Self::Payment(order) => match covering {
                Covering::Content => common.text(&order.0.to_string()),
                Covering::Decisions => common,
            },
            Self::Part(part) => part.fingerprint(common, covering),
            // An order that is paid later is the same order.
            Self::Lines(lines) | Self::Unpaid(lines) => {
                lines.iter().fold(common, |sum, line| line.fingerprint(sum, covering))
            }
            Self::Rating(Rating { product, vendor, stars }) => common
                .optional(product.as_ref().map(ProductId::as_str))
                .optional(vendor.as_ref().map(VendorId::as_str))
                .number(stars.get().into()),
            Self::Reversal(reversal) => reversal.fingerprint(common),
            // The name is only part of the payload, on which no seal depends.
            Self::Naming(Naming { subject, .. }) => {
                let (product, vendor) = subject.about();
                common.optional(product.map(ProductId::as_str)).optional(vendor.map(VendorId::as_str))
            }
            Self::Adjustment { metric_type, delta } => {
                common.text(metric_type).optional(delta.map(|delta| delta.to_string()).as_deref())
            }
        }
    }
}

/// What a hash over an event covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Covering {
    /// The content given by the producer: for digests.
    Content,
    /// The content, and which vendors were learned: for seals.
    Decisions,
}

/// A part of an event: what it says about one product, which it may leave unnamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The product, if one is named.
    pub product: Option<ProductId>,
    /// The vendor to which it is attributed.
    pub vendor: Vendor,
}

/// A line of an order: a part with its quantity and amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The product and the vendor.
    pub part: Part,
    /// The quantity and the amount.
    pub sale: Sale,
}

impl Part {
    fn fingerprint(&self, common: Fingerprint, covering: Covering) -> Fingerprint {
        let sum = common
            .optional(self.product.as_ref().map(ProductId::as_str))
            .optional(self.vendor.id().map(VendorId::as_str));
        match covering {
            Covering::Content => sum,
            Covering::Decisions => sum.number(self.vendor.is_learned().into()),
        }
    }
}

impl Line {
    fn fingerprint(&self, common: Fingerprint, covering: Covering) -> Fingerprint {
        let Sale { quantity, amount, currency } = self.sale;
        let sum = self.part.fingerprint(common, covering);
        sum.number(quantity.units().into()).number(amount.0).text(currency.code())
    }
}

/// The quantity and the amount of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sale {
    /// Units ordered.
    pub quantity: Quantity,
    /// The gross amount of the line, in minor units of `currency`.
    pub amount: Minor,
    /// The line's currency.
    pub currency: Currency,
}

/// A rating. At least one of product and vendor is named. The vendor is the one that was rated; it
/// is never derived from the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rating {
    /// The rated product.
    pub product: Option<ProductId>,
    /// The rated seller.
    pub vendor: Option<VendorId>,
    /// The stars given.
    pub stars: Stars,
}

/// What a product or a vendor is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// What is named.
    pub subject: Named,
    /// The name; `None` if its field is redacted, and for an event that was read back from the log.
    pub name: Option<Name>,
}

/// What an event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A product.
    Product {
        /// The product.
        product: ProductId,
        /// Its vendor, if the event names it. Attribution does not use it.
        vendor: Option<VendorId>,
    },
    /// A vendor.
    Vendor(VendorId),
}

impl Named {
    const fn about(&self) -> (Option<&ProductId>, Option<&VendorId>) {
        match self {
            Self::Product { product, vendor } => (Some(product), vendor.as_ref()),
            Self::Vendor(vendor) => (None, Some(vendor)),
        }
    }
}

/// The vendor of a part of an event, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vendor {
    /// Named by the part itself; attribution then knows it as the vendor of the product.
    Named(VendorId),
    /// Named by the order, not by the line; not used for attribution.
    OfOrder(VendorId),
    /// Taken by attribution from an earlier record that named the product's vendor.
    Learned(VendorId),
    /// Not known.
    Unknown,
}

impl Vendor {
    /// Returns the vendor, however it is known; `None` if the part is unattributed.
    #[must_use]
    pub const fn id(&self) -> Option<&VendorId> {
        match self {
            Self::Named(id) | Self::OfOrder(id) | Self::Learned(id) => Some(id),
            Self::Unknown => None,
        }
    }

    /// Whether attribution took it from an earlier record.
    #[must_use]
    pub const fn is_learned(&self) -> bool {
        matches!(self, Self::Learned(_))
    }
}

/// A number of stars: 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stars(u8);

impl Stars {
    /// Creates a number of stars; `None` unless it is 1 to 5.
    #[must_use]
    pub const fn new(stars: u32) -> Option<Self> {
        match stars {
            1 => Some(Self(1)),
            2 => Some(Self(2)),
            3 => Some(Self(3)),
            4 => Some(Self(4)),
            5 => Some(Self(5)),
            _ => None,
        }
    }

    /// Returns the number of stars.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}
