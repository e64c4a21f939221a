//! Who asks, and for whom: the one place where a principal becomes a tenant.

use analytics_core::ids::VendorId;
use analytics_db::read::{EventLogAccess, Tenant};
use shared_auth::{Principal, Role};

use crate::problem::Problem;

/// For whom the principal reads.
///
/// # Errors
/// 403 for roles that have no numbers of their own, and for a token whose vendor cannot be a vendor's id.
pub(crate) fn tenant(principal: &Principal) -> Result<Tenant, Problem> {
    match &principal.role {
        Role::Admin => Ok(Tenant::Marketplace),
        Role::Vendor(vendor) => VendorId::parse(vendor).map(Tenant::Seller).map_err(|_| Problem::forbidden()),
        Role::Buyer => Err(Problem::forbidden()),
    }
}

/// The right to read the event log.
///
/// # Errors
/// 403 for everybody but admins.
pub(crate) fn event_log(principal: &Principal) -> Result<EventLogAccess, Problem> {
    tenant(principal)?.event_log().ok_or_else(Problem::forbidden)
}

/// Who acts, for traces.
pub(crate) fn actor(principal: &Principal) -> String {
    principal.user.clone().unwrap_or_else(|| "admin".into())
}
