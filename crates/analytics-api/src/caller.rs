//! Who asks, and for whom: the one place where a principal becomes a tenant.

use analytics_core::ids::VendorId;
use analytics_db::read::{EventLogAccess, Tenant};
use shared_auth::{Permission, Principal, Role};

use crate::problem::Problem;
use crate::settings::{ApiSettings, Mode};

/// For whom the principal reads metrics.
///
/// # Errors
/// 403 for roles that read none, and for a token whose vendor is no vendor's id.
pub(crate) fn tenant(principal: &Principal) -> Result<Tenant, Problem> {
    need(principal, Permission::ReadVendor)?;
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
    need(principal, Permission::ReadAll)?;
    tenant(principal)?.event_log().ok_or_else(Problem::forbidden)
}

/// Checks one permission.
///
/// # Errors
/// 403 where the role does not grant it.
pub(crate) fn need(principal: &Principal, permission: Permission) -> Result<(), Problem> {
    if principal.role.may(permission) { Ok(()) } else { Err(Problem::forbidden()) }
}

/// Checks that the principal may write, and that this process does.
///
/// # Errors
/// 403 for everybody but admins; for them where the API is read-only.
pub(crate) fn may_write(principal: &Principal, settings: &ApiSettings) -> Result<(), Problem> {
    need(principal, Permission::Write)?;
    if settings.mode == Mode::ReadOnly { Err(Problem::read_only_mode()) } else { Ok(()) }
}

/// Who acts, for traces.
pub(crate) fn actor(principal: &Principal) -> String {
    principal.user.clone().unwrap_or_else(|| "admin".into())
}
