//! `X-Request-Id`: accepted from the client or generated, logged, and returned.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _};
use uuid::Uuid;

use super::ClientAddress;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 128;

pub(crate) async fn request_id<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let given = request.headers().get(HEADER).and_then(|id| id.to_str().ok()).filter(|id| acceptable(id));
    let id = given.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let client = request.extensions().get().map_or("?".to_owned(), |ClientAddress(address)| address.to_string());
    let mut answer = next.call(request).await?;
    log::debug!("{id} {client} {method} {path} {}", answer.status().as_u16());
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(HEADER, id);
    }
    Ok(answer)
}

/// Whether an id is safe in a log line.
fn acceptable(id: &str) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
}
