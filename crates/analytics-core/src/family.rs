//! The table of the event families: those that are counted, and those that name things.

use crate::table::table;

/// What the events of a family consist of, and so where the log stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Only the user and the time.
    Nothing,
    /// One part, stored in the event's row.
    Part,
    /// Lines, each stored in a row of its own.
    Lines,
    /// A rating, stored in the event's row.
    Rating,
    /// A cancellation or a refund, stored in a row of its own, with what it came to.
    Reversal,
    /// A product or a vendor with its name: an entry of the directory. Adds to no metric.
    Name,
}

/// Whether the topics of a family have to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// They have to: numbers may be missing as long as one does not.
    Expected,
    /// They may be absent. Such a topic is idle, and is found once it is created.
    Optional,
}

impl Shape {
    /// Returns the families whose events have this shape.
    pub fn families(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |family| family.shape() == self)
    }
}

table! {
    /// A family of events. Each entry gives its name, which is also the event type and the default
    /// topic; the shape of its events; the first version of the rules that knows it; and whether
    /// its topics have to exist.
    pub enum Family: (&'static str, Shape, i16, Presence) {
        /// A new account.
        UserRegistered = ("user.registered", Shape::Nothing, 1, Presence::Expected);
        /// A view of a product.
        ProductViewed = ("product.viewed", Shape::Part, 1, Presence::Expected);
        /// An order.
        OrderCreated = ("order.created", Shape::Lines, 1, Presence::Expected);
        /// A new or changed rating of a product or a seller.
        RatingUpdated = ("rating.updated", Shape::Rating, 1, Presence::Expected);
        /// An order, or some of its items, was cancelled.
        OrderCancelled = ("order.cancelled", Shape::Reversal, 2, Presence::Optional);
        /// Money was given back.
        OrderRefunded = ("order.refunded", Shape::Reversal, 2, Presence::Optional);
        /// The status of an order changed. Only a cancellation or a payment is counted.
        OrderStatusUpdated = ("order.status.updated", Shape::Reversal, 2, Presence::Optional);
        /// An order was paid. Counts the order where orders count when they are paid.
        OrderPaid = ("order.paid", Shape::Nothing, 2, Presence::Optional);
        /// A new product, with its name.
        ProductCreated = ("product.created", Shape::Name, 1, Presence::Optional);
        /// A changed product, with its name.
        ProductUpdated = ("product.updated", Shape::Name, 1, Presence::Optional);
        /// A new vendor, with its name.
        VendorCreated = ("vendor.created", Shape::Name, 1, Presence::Optional);
        /// A changed vendor, with its name.
        VendorUpdated = ("vendor.updated", Shape::Name, 1, Presence::Optional);
    }
}

impl Family {
    /// Returns the family's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.line().0
    }

    /// Returns what its events consist of.
    #[must_use]
    pub const fn shape(self) -> Shape {
        self.line().1
    }

    /// Returns the first version of the rules that knows it.
    #[must_use]
    pub const fn since(self) -> i16 {
        self.line().2
    }

    /// Whether its topics may be absent.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        matches!(self.line().3, Presence::Optional)
    }

    /// Whether its events add to metrics.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        !matches!(self.shape(), Shape::Name)
    }

    /// Returns the family of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}
