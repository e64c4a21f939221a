//! Checks which roles may use a route. Whose numbers the route then shows is decided by the
//! [tenant](crate::caller::tenant).

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use shared_auth::{Permission, Principal, Role, Vendors};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::Operation;

use crate::problem::Problem;
use crate::rates::Rates;
use crate::settings::{ApiSettings, Mode};
use crate::telemetry::Telemetry;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Every caller with a valid token.
    Everyone,
    /// Sellers, for their own numbers; support and admins, for all numbers.
    Sellers,
    /// Sellers, for their own orders and documents; admins, for all. Not support, which reads sums alone.
    Owners,
    /// Support and admins.
    Staff,
    /// Admins.
    Admins,
    /// Admins, if this process is in read-write mode.
    Writers,
}

impl Access {
    const fn permission(self) -> Permission {
        match self {
            Self::Everyone => Permission::ReadPublic,
            Self::Sellers | Self::Owners => Permission::ReadOwn,
            Self::Staff => Permission::ReadOthers,
            Self::Admins => Permission::ReadAll,
            Self::Writers => Permission::Write,
        }
    }

    /// Whether a role has this access. A page in another site has none to routes that are not for it.
    fn permits(self, role: &Role, is_embedded: bool) -> bool {
        let is_support = role.may(Permission::ReadOthers) && !role.may(Permission::ReadAll);
        (role.may(self.permission()) && !(self == Self::Owners && is_support))
            || (is_embedded && role.may(Permission::ReadEmbedded))
    }

    /// Returns the names of the roles that have this access, as the OpenAPI document lists them.
    fn roles(self, is_embedded: bool) -> Vec<&'static str> {
        let seller = Vendors::of(["v-1".to_owned()]).map(Role::Vendor);
        let embed = Some(Role::Embed("v-1".to_owned()));
        let roles = [Some(Role::Admin), Some(Role::Support), seller, Some(Role::Buyer), embed];
        let permitted = roles.into_iter().flatten().filter(|role| self.permits(role, is_embedded));
        permitted.map(|role| name(&role)).collect()
    }

    /// Adds the roles to the documentation of a route: as text in its description, and as a list in
    /// the extension `x-roles`.
    pub(crate) fn describe(self, is_embedded: bool, operation: &mut Operation) {
        let roles = self.roles(is_embedded);
        let about = operation.description.take().unwrap_or_default();
        operation.description = Some(format!("{about}\n\nRoles: {}.", roles.join(", ")).trim_start().to_owned());
        operation.extensions = Some(ExtensionsBuilder::new().add("x-roles", roles).build());
    }
}

/// Returns the name of a role in answers and in the OpenAPI document.
pub(crate) const fn name(role: &Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Support => "support",
        Role::Vendor(_) => "seller",
        Role::Buyer => "buyer",
        Role::Embed(_) => "embed",
    }
}

/// Rejects a request before its handler is called: with 429 if the caller sends too many, with 403 if
/// the caller may not use the route.
pub(crate) async fn check(
    access: Access,
    is_embedded: bool,
    principal: Principal,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // Responses, not errors: they pass through the other middleware, which adds headers and measures.
    if let Some(Err(seconds)) = request.app_data::<Data<Rates>>().map(|rates| rates.count(&principal)) {
        request.app_data::<Data<Telemetry>>().inspect(|telemetry| telemetry.rate_limited.inc());
        return Ok(request.error_response(Problem::rate_limited(seconds)));
    }
    if !access.permits(&principal.role, is_embedded) {
        return Ok(request.error_response(Problem::forbidden()));
    }
    let read_only = request.app_data::<Data<ApiSettings>>().is_none_or(|settings| settings.mode == Mode::ReadOnly);
    if access == Access::Writers && read_only {
        return Ok(request.error_response(Problem::read_only_mode()));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}
