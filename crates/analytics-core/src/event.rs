//! A decoded event: everything that the rules of counting look at, and nothing else.

use crate::identity::{Digest, EventId, IdentityKey};
use crate::ids::{ProductId, UserId, VendorId};
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

impl Event {
    /// An event as the log has it. Its identities were settled before it was logged, and its payload
    /// stays where it is.
    #[must_use]
    pub const fn logged(id: EventId, event_type: EventType, user: Option<UserId>, time: EventTime, body: Body) -> Self {
        Self { id, event_type, user, time, keys: Vec::new(), digest: Digest(id.0), metadata: String::new(), body }
    }

    /// The lines of an order; none of anything else.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        match &self.body {
            Body::Order { lines } => lines,
            _ => &[],
        }
    }
}

/// What happened, by family: what the rules of counting look at, and nothing else. The log keeps
/// all of it, so that whatever was counted can be counted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `user.registered`; the user is the event's.
    Signup,
    /// `product.viewed`
    View {
        /// The product looked at.
        product: ProductId,
        /// Whose it is.
        vendor: Vendor,
    },
    /// `order.created`
    Order {
        /// At least one line.
        lines: Vec<Line>,
    },
    /// `rating.updated`; at least one of product and vendor is named.
    Rating {
        /// The product rated.
        product: Option<ProductId>,
        /// The seller rated.
        vendor: Option<VendorId>,
        /// The stars given.
        stars: Stars,
    },
    /// `metric.adjusted`: somebody set a metric by hand.
    Adjustment {
        /// The metric's type; also one that the catalogue does not have.
        metric_type: String,
        /// By how much its value changed; `None` where only its metadata was set.
        delta: Option<i64>,
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
