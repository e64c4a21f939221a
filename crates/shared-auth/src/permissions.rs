//! What a role may do, in one table.

use crate::claims::Role;

/// Something that a request needs to be allowed. What a service counts as public, or as somebody's own, is its
/// own decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Read what everybody with an account may read.
    ReadPublic,
    /// Read what belongs to the principal.
    ReadOwn,
    /// Read everything.
    ReadAll,
    /// Change things.
    Write,
}

use Permission::{ReadAll, ReadOwn, ReadPublic, Write};

impl Role {
    /// Whether the role may do this, as far as the role alone decides it: with [`Permission::ReadOwn`] the
    /// service still has to check whose it is.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        let granted: &[Permission] = match self {
            Self::Admin => &[ReadPublic, ReadOwn, ReadAll, Write],
            Self::Vendor(_) => &[ReadPublic, ReadOwn],
            Self::Buyer => &[ReadPublic],
        };
        granted.contains(&permission)
    }
}
