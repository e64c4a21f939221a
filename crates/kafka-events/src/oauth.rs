//! Gives clients tokens for SASL OAUTHBEARER.
//!
//! The wrapper asks for a token only while a client is polled, and many clients here only answer
//! queries. librdkafka takes a token at any time and from any thread instead: connections that were
//! waiting for one are opened, and open ones authenticate themselves with it when their time is up.

use std::ffi::CString;

use rdkafka::bindings as native;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{IsError, RDKafkaErrorCode};

/// A token.
#[derive(Clone, Copy)]
pub struct Token<'a> {
    /// The token itself: visible ASCII.
    pub value: &'a str,
    /// Whose token it is.
    pub principal: &'a str,
    /// When it expires, in milliseconds since the Unix epoch.
    pub expires_at: i64,
}

/// Gives a client the token for its next connections. The error does not contain the token.
///
/// # Errors
/// The token has expired or is malformed, or the client does not use OAUTHBEARER.
pub fn set_token<C: ClientContext>(client: &Client<C>, token: Token<'_>) -> Result<(), RDKafkaErrorCode> {
    let text = |text: &str| CString::new(text).map_err(|_| RDKafkaErrorCode::InvalidArgument);
    let (value, principal) = (text(token.value)?, text(token.principal)?);
    // What librdkafka says of a token that it does not accept may quote it.
    let mut unread = [0; 512];
    // SAFETY: the client is borrowed. The texts end with NUL and are copied by librdkafka, which
    // writes at most as many bytes into the buffer as it is told. There are no extensions.
    let set = unsafe {
        native::rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.expires_at,
            principal.as_ptr(),
            std::ptr::null_mut(),
            0,
            unread.as_mut_ptr(),
            unread.len(),
        )
    };
    if set.is_error() { Err(set.into()) } else { Ok(()) }
}
