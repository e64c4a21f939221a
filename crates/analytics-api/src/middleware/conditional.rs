//! `ETag` and `If-None-Match`: a client that already has the response gets 304 without a body.

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorInternalServerError;
use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, HeaderValue, IfNoneMatch, VARY};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use sha2::{Digest, Sha256};

/// The size limit of a response to a read, in bytes; a larger one becomes a 500. The largest page
/// has about a thousand records of the maximum size.
pub(super) const LARGEST: usize = 256 << 20;

pub(crate) async fn conditional<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = IfNoneMatch::parse(&request);
    let answer = next.call(request).await?;
    if !read || answer.status() != StatusCode::OK {
        return Ok(answer.map_into_boxed_body());
    }
    let (request, answer) = answer.into_parts();
    let (mut head, body) = answer.into_parts();
    let body = match to_bytes_limited(body, LARGEST).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return Err(ErrorInternalServerError(error.into().to_string())),
        Err(too_large) => return Err(ErrorInternalServerError(too_large)),
    };
    let tag = tag(&body);
    if let Ok(value) = HeaderValue::from_str(&tag.to_string()) {
        head.headers_mut().insert(ETAG, value);
    }
    // The response may be compressed after this, so it depends on Accept-Encoding. A 304 must have
    // the same header (RFC 9110, section 15.4.5).
    head.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    // Numbers are private and change at any time: clients may store them, but have to revalidate
    // them before each use.
    if !head.headers().contains_key(CACHE_CONTROL) {
        head.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    let unchanged = match known {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let body = if unchanged {
        *head.status_mut() = StatusCode::NOT_MODIFIED;
        Bytes::new()
    } else {
        body
    };
    Ok(ServiceResponse::new(request, head.set_body(BoxBody::new(body))))
}

/// Returns the tag of a body. It is weak, because the body may be compressed afterwards.
fn tag(body: &[u8]) -> EntityTag {
    let hash: String = Sha256::digest(body).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    EntityTag::new_weak(hash)
}
