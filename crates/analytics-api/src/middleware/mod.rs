//! What every answer has, whatever was asked: an id, how fresh it is, a way to ask again cheaply.

mod conditional;
mod fresh;
mod request_id;

pub(crate) use conditional::conditional;
pub(crate) use fresh::fresh;
pub(crate) use request_id::request_id;
