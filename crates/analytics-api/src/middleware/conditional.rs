//! `ETag` and `If-None-Match`: a client that already has the response gets 304 without a body.

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, HeaderValue, IfNoneMatch, VARY};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use sha2::{Digest, Sha256};

use super::whole;
use crate::as_of::AS_OF;

pub(crate) async fn conditional<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = IfNoneMatch::parse(&request);
    let answer = next.call(request).await?;
    // A stream is not held in memory for a tag.
    if !read || answer.status() != StatusCode::OK || answer.response().body().size() == BodySize::Stream {
        return Ok(answer.map_into_boxed_body());
    }
    let (request, answer) = answer.into_parts();
    let (mut head, body) = answer.into_parts();
    let body = whole(body).await?;
    let as_of = head.headers().get(AS_OF).and_then(|number| number.to_str().ok());
    let tag = tag(&body, as_of);
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

/// Returns the tag of a body. It is weak, because the body may be compressed afterwards, and because
/// the number of the last batch is left out of it, in `"asOf":1873` and in links that end with
/// `asOf=1873`: the answer is the same while batches are counted that change nothing in it, and a client
/// that keeps the older one has links to the same events.
fn tag(body: &[u8], as_of: Option<&str>) -> EntityTag {
    let mut hash = Sha256::new();
    match (std::str::from_utf8(body), as_of) {
        (Ok(text), Some(number)) => {
            let mut pieces = text.split(NAME);
            hash.update(pieces.next().unwrap_or_default());
            for piece in pieces {
                // In no text, so that nothing else has the same hash.
                let (mark, rest) = numberless(piece, number).map_or((NAME.as_bytes(), piece), |rest| (&[0xff], rest));
                hash.update(mark);
                hash.update(rest);
            }
        }
        _ => hash.update(body),
    }
    let hash: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    EntityTag::new_weak(hash)
}

/// The name of the number, in bodies and in links.
const NAME: &str = "asOf";

/// Returns what follows the number, if the text after its name begins with it.
fn numberless<'a>(text: &'a str, number: &str) -> Option<&'a str> {
    let value = text.strip_prefix("\":").or_else(|| text.strip_prefix('='))?;
    value.strip_prefix(number).filter(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_alone_does_not_change_the_tag() {
        let of = |body: &str, number: &str| tag(body.as_bytes(), Some(number));
        let body = |number: &str| format!(r#"{{"asOf":{number},"value":7,"events":"/e?asOf={number}"}}"#);
        assert_eq!(of(&body("7"), "7"), of(&body("1873"), "1873"));
        for (other, number) in [
            (body("7").replace("value\":7", "value\":8"), "7"),
            (body("7"), "8"),
            (body("70"), "7"),
            (r#"{"asOf":7,"value":7,"events":"/e?asOf=8"}"#.to_owned(), "7"),
            (r#"{"value":7,"asOf":7,"events":"/e?asOf=7"}"#.to_owned(), "7"),
        ] {
            assert_ne!(of(&body("7"), "7"), of(&other, number), "{other}");
        }
        assert_ne!(tag(b"{}", None), tag(b"[]", None));
    }
}
