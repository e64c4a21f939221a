//! The reasons for which tokens are rejected.

/// Maximum size of a token, in bytes. Longer ones are rejected before they are decoded.
pub(crate) const LONGEST_TOKEN: usize = 8 * 1024;
/// Maximum number of vendors of a token. Tokens with more are rejected.
pub(crate) const MOST_VENDORS: usize = 100;

/// Why a token was rejected: for logs, not for the sender of the token.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// There is no bearer token.
    #[error("no bearer token")]
    Missing,
    /// The token is longer than 8 KiB; its size in bytes.
    #[error("the token has {0} bytes, more than {LONGEST_TOKEN}")]
    TooLong(usize),
    /// The header of the token contains a key, or an address of one.
    #[error("the token contains a key or an address of one")]
    OwnKey,
    /// The token requires extensions, with `crit`; none is supported (RFC 7515, section 4.1.11).
    #[error("the token has critical header parameters")]
    Critical,
    /// No configured key has this id and algorithm.
    #[error("no key for algorithm {algorithm} and id {id:?}")]
    UnknownKey {
        /// The `alg` of the token.
        algorithm: String,
        /// The `kid` of the token.
        id: Option<String>,
    },
    /// The token names too many vendors.
    #[error("more than {MOST_VENDORS} vendors")]
    TooManyVendors,
    /// There are several tokens in the place where a gateway puts one.
    #[error("several tokens")]
    Ambiguous,
    /// A gateway's token came with a request that a page of another site made.
    #[error("the request does not come from a page of this service")]
    CrossSite,
    /// The type in the token's header (`typ`) is that of tokens for another purpose.
    #[error("the token is of another type")]
    Type,
    /// A token of an embedded page without a vendor, or valid for too long.
    #[error("a token of an embedded page must have a vendor, and be valid for an hour at most")]
    Embed,
    /// The token is malformed, expired or not yet valid, or has the wrong signature, issuer or
    /// audience.
    #[error("{0}")]
    Invalid(#[from] jsonwebtoken::errors::Error),
}
