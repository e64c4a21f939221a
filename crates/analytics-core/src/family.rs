//! The table of the event families that are counted.

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
}

impl Shape {
    /// Returns the families whose events have this shape.
    pub fn families(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |family| family.shape() == self)
    }
}

table! {
    /// A family of events. Each entry gives its name, which is also the event type and the default
    /// topic; the shape of its events; and the first version of the rules that counts it.
    pub enum Family: (&'static str, Shape, i16) {
        /// A new account.
        UserRegistered = ("user.registered", Shape::Nothing, 1);
        /// A view of a product.
        ProductViewed = ("product.viewed", Shape::Part, 1);
        /// An order.
        OrderCreated = ("order.created", Shape::Lines, 1);
        /// A new or changed rating of a product or a seller.
        RatingUpdated = ("rating.updated", Shape::Rating, 1);
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

    /// Returns the first version of the rules that counts it.
    #[must_use]
    pub const fn since(self) -> i16 {
        self.line().2
    }

    /// Returns the family of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}
