//! Derives from the authenticated principal whose numbers it may read. This is the only place where
//! a principal becomes a tenant.

use analytics_core::ids::VendorId;
use analytics_db::read::{EventLogAccess, Tenant};
use shared_auth::{Principal, Role};

use crate::problem::Problem;

/// Returns the tenant whose numbers the principal may read.
///
/// # Errors
/// 403 for roles that may read no numbers, and for a token with a vendor that is not a valid vendor
/// id.
pub(crate) fn tenant(principal: &Principal) -> Result<Tenant, Problem> {
    match &principal.role {
        Role::Admin => Ok(Tenant::Marketplace),
        Role::Support => Ok(Tenant::Support),
        Role::Vendor(vendors) => {
            let ids: Result<_, _> = vendors.iter().map(VendorId::parse).collect();
            ids.map(Tenant::Seller).map_err(|_| Problem::forbidden())
        }
        Role::Embed(vendor) => {
            let id = VendorId::parse(vendor).map_err(|_| Problem::forbidden())?;
            Ok(Tenant::Seller([id].into()))
        }
        Role::Buyer => Err(Problem::forbidden()),
    }
}

/// Returns the right to read the event log.
///
/// # Errors
/// 403 for every role except admin.
pub(crate) fn event_log(principal: &Principal) -> Result<EventLogAccess, Problem> {
    tenant(principal)?.event_log().ok_or_else(Problem::forbidden)
}

/// Returns who makes a change, as it is recorded with the change: the token's user, or `admin` if
/// the token has none.
pub(crate) fn actor(principal: &Principal) -> String {
    principal.user.clone().unwrap_or_else(|| "admin".into())
}
