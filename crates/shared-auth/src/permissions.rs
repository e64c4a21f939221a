//! What a role may do, in one table.

use crate::claims::Role;

/// Something that a request needs to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Read what everybody with an account may: rankings without money, freshness.
    ReadPublic,
    /// Read what is about one vendor: its own, unless the role may read all.
    ReadVendor,
    /// Read everything.
    ReadAll,
    /// Change numbers and settle dead letters.
    Write,
}

use Permission::{ReadAll, ReadPublic, ReadVendor, Write};

impl Role {
    /// Whether the role may do this, as far as the role alone decides it: for
    /// [`Permission::ReadVendor`] it is still to be asked whose numbers they are.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        let granted: &[Permission] = match self {
            Self::Admin => &[ReadPublic, ReadVendor, ReadAll, Write],
            Self::Vendor(_) => &[ReadPublic, ReadVendor],
            Self::Buyer => &[ReadPublic],
        };
        granted.contains(&permission)
    }
}
