//! A decoded event: everything that the rules of counting look at, and nothing else.

use crate::identity::{Digest, EventId, IdentityKey};
use crate::ids::{OrderId, ProductId, RatingId, UserId, VendorId};
use crate::money::{Currency, Minor, Quantity};
use crate::time::EventTime;
use crate::topics::EventType;

/// An event, ready to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Deterministic and time-ordered.
    pub id: EventId,
    /// What it is logged as.
    pub event_type: EventType,
    /// The person it is about, where one is named.
    pub user: Option<UserId>,
    /// When it happened.
    pub time: EventTime,
    /// What makes a second record the same event; empty where the record's place alone does.
    pub keys: Vec<IdentityKey>,
    /// Tells whether two records of one identity say the same.
    pub digest: Digest,
    /// The payload as JSON text, redacted.
    pub metadata: String,
    /// What happened.
    pub body: Body,
}

/// What happened, by family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `user.registered`; the user is the event's.
    Signup {
        /// Such as `buyer` or `seller`.
        role: Option<String>,
        /// Where the account came from.
        source: Option<String>,
    },
    /// `product.viewed`
    View {
        /// The product looked at.
        product: ProductId,
        /// Whose it is.
        vendor: Vendor,
    },
    /// `order.created`
    Order {
        /// The order.
        order: OrderId,
        /// At least one line.
        lines: Vec<Line>,
    },
    /// `rating.updated`; at least one of product and vendor is named.
    Rating {
        /// The rating's own id.
        rating: Option<RatingId>,
        /// The product rated.
        product: Option<ProductId>,
        /// The seller rated.
        vendor: Option<VendorId>,
        /// The stars given.
        stars: Stars,
    },
    /// An event of an extra topic: logged, not counted.
    Logged,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The product, where the line names one.
    pub product: Option<ProductId>,
    /// The seller of the line.
    pub vendor: Vendor,
    /// Units ordered.
    pub quantity: Quantity,
    /// The line's amount: gross, in minor units of `currency`.
    pub amount: Minor,
    /// The line's currency.
    pub currency: Currency,
}

/// Whose a view or a line is, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vendor {
    /// Named by the view or the line itself, which teaches it for the product.
    Named(VendorId),
    /// Named by the order around the line.
    OfOrder(VendorId),
    /// Learned from an earlier record about the same product.
    Learned(VendorId),
    /// Nobody said.
    Unknown,
}

impl Vendor {
    /// The vendor, however it is known; `None` is unattributed.
    #[must_use]
    pub const fn id(&self) -> Option<&VendorId> {
        match self {
            Self::Named(id) | Self::OfOrder(id) | Self::Learned(id) => Some(id),
            Self::Unknown => None,
        }
    }
}

/// A rating: 1 to 5 stars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stars(u8);

impl Stars {
    /// Takes 1 to 5.
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

    /// The number of stars.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}
