//! JWT verification and roles for the services of the marketplace.
//!
//! [`Keys`] build a [`Verifier`], which turns a bearer token into a [`Principal`]: the user, the
//! role and the vendors. [`Role::may`] is the table of what a role may do. The crate knows nothing
//! about the data of any service. With the feature `actix`, [`Principal`] is an extractor: requests
//! without a valid token are answered with 401, and `Gateway` says where else than in `Authorization`
//! a token may be. [`EmbedKey`] signs tokens for embedded pages. With the feature `jwks`, JWKS
//! documents can be fetched by HTTP.

mod cache;
mod claims;
mod clock;
mod embed;
#[cfg(feature = "actix")]
mod extractor;
#[cfg(feature = "actix")]
mod gateway;
mod jwks;
mod keys;
mod permissions;
mod rejected;
mod verifier;

pub use claims::{Claims, Principal, Role, Vendors};
pub use embed::EmbedKey;
#[cfg(feature = "actix")]
pub use extractor::Denied;
#[cfg(feature = "actix")]
pub use gateway::Gateway;
pub use keys::InvalidKey;
pub use permissions::Permission;
pub use rejected::Rejected;
pub use verifier::{Keys, Verifier, mint};
