//! The families of events that are counted, a line for each.

use crate::table::table;

/// What the events of a family are made of, and with that where the log keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing but the user and the time.
    Nothing,
    /// One part, in the event's own row.
    Part,
    /// Lines, in rows of their own.
    Lines,
    /// A rating, in the event's own row.
    Rating,
}

impl Shape {
    /// The families whose events are made of this.
    pub fn families(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |family| family.shape() == self)
    }
}

table! {
    /// A family of events. A line gives its name, which is also the event type and the default topic; what
    /// its events are made of; and the version of the rules that was the first to count it.
    pub enum Family: (&'static str, Shape, i16) {
        /// A new account.
        UserRegistered = ("user.registered", Shape::Nothing, 1);
        /// Somebody looked at a product.
        ProductViewed = ("product.viewed", Shape::Part, 1);
        /// Somebody ordered.
        OrderCreated = ("order.created", Shape::Lines, 1);
        /// A user rated a product or a seller, or changed that rating.
        RatingUpdated = ("rating.updated", Shape::Rating, 1);
    }
}

impl Family {
    /// The family's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.line().0
    }

    /// What its events are made of.
    #[must_use]
    pub const fn shape(self) -> Shape {
        self.line().1
    }

    /// The version of the rules that was the first to count it.
    #[must_use]
    pub const fn since(self) -> i16 {
        self.line().2
    }

    /// The family of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}
