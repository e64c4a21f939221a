//! Middleware: request ids, freshness headers, CSV, and conditional responses.

mod conditional;
mod fresh;
mod request_id;
mod spreadsheet;

pub(crate) use conditional::conditional;
pub(crate) use fresh::fresh;
pub(crate) use request_id::request_id;
pub(crate) use spreadsheet::{describe_csv, spreadsheet};
