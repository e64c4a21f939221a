//! Middleware: request ids, freshness headers, and conditional responses.

mod conditional;
mod fresh;
mod request_id;

pub(crate) use conditional::conditional;
pub(crate) use fresh::fresh;
pub(crate) use request_id::request_id;
