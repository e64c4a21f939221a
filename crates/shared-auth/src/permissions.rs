//! The table of what each role may do.

use crate::claims::Role;

/// A permission that a request may need. Each service decides what is public and what belongs to a
/// principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Read what every user may read.
    ReadPublic,
    /// Read what belongs to the principal. For support, that is what belongs to any seller, except
    /// personal data.
    ReadOwn,
    /// Read what belongs to others, except personal data.
    ReadOthers,
    /// Read everything, including personal data.
    ReadAll,
    /// Change data.
    Write,
    /// Read what a page of one vendor shows that is embedded in another site. The service has to
    /// check in addition that the data belongs to the vendor.
    ReadEmbedded,
}

use Permission::{ReadAll, ReadEmbedded, ReadOthers, ReadOwn, ReadPublic, Write};

impl Role {
    /// Returns whether the role has the permission. For [`Permission::ReadOwn`], the service has to
    /// check in addition that the data belongs to the principal.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        let granted: &[Permission] = match self {
            Self::Admin => &[ReadPublic, ReadOwn, ReadOthers, ReadAll, Write],
            Self::Support => &[ReadPublic, ReadOwn, ReadOthers],
            Self::Vendor(_) => &[ReadPublic, ReadOwn],
            Self::Buyer => &[ReadPublic],
            Self::Embed(_) => &[ReadEmbedded],
        };
        granted.contains(&permission)
    }
}
