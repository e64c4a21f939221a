//! JWT verification and roles for the services of the marketplace.
//!
//! A [`Verifier`] turns a bearer token into a [`Principal`]: who asks, in which role, for which
//! vendor. It knows nothing of what is asked for. With the feature `actix`, [`Principal`] is an
//! extractor: a handler that takes one answers 401 to everybody else.

mod claims;
#[cfg(feature = "actix")]
mod extractor;
mod verifier;

pub use claims::{Claims, Principal, Role};
#[cfg(feature = "actix")]
pub use extractor::Unauthorized;
pub use verifier::{InvalidKey, Rejected, Verifier, mint};
