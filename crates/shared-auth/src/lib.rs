//! JWT verification and roles for the services of the marketplace.
//!
//! [`Keys`] make a [`Verifier`], which turns a bearer token into a [`Principal`]: who asks, in
//! which role, for which vendor. What a role may do stands in one table, [`Role::may`]. Nothing
//! here knows what is asked for. With the feature `actix`, [`Principal`] is an extractor: a
//! handler that takes one answers 401 to everybody else. With the feature `jwks`, published keys are fetched by
//! HTTP.

mod cache;
mod claims;
#[cfg(feature = "actix")]
mod extractor;
mod jwks;
mod keys;
mod permissions;
mod verifier;

pub use claims::{Claims, Principal, Role};
#[cfg(feature = "actix")]
pub use extractor::Unauthorized;
pub use keys::InvalidKey;
pub use permissions::Permission;
pub use verifier::{Keys, Rejected, Verifier, mint};
