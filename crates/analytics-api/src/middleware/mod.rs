//! Middleware: what proxies say, request ids, freshness headers, CSV, and conditional responses.

mod conditional;
mod forwarded;
mod fresh;
mod request_id;
mod spreadsheet;

use actix_web::Error;
use actix_web::body::{MessageBody, to_bytes_limited};
use actix_web::error::ErrorInternalServerError;
use actix_web::web::Bytes;

pub(crate) use conditional::conditional;
pub(crate) use forwarded::{ClientAddress, Proxies, forwarded};
pub(crate) use fresh::fresh;
pub(crate) use request_id::request_id;
pub(crate) use spreadsheet::{AsCsv, describe_csv, shown, spreadsheet};

/// The size limit of a response to a read, in bytes; a larger one becomes a 500. The largest page
/// has about a thousand records of the maximum size.
const LARGEST: usize = 256 << 20;

/// Reads the whole body of a response.
async fn whole(body: impl MessageBody) -> Result<Bytes, Error> {
    let body = to_bytes_limited(body, LARGEST).await.map_err(ErrorInternalServerError)?;
    body.map_err(|error| ErrorInternalServerError(error.into().to_string()))
}
