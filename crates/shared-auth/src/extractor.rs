//! [`Principal`] as an actix extractor. The application must provide a [`Verifier`] as app data;
//! without one, every request is rejected.

use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};

use crate::{Principal, Rejected, Verifier};

/// The response to a request without a valid token. The reason is in the log only.
#[derive(Debug)]
pub struct Unauthorized;

impl fmt::Display for Unauthorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a valid bearer token is needed")
    }
}

impl ResponseError for Unauthorized {
    fn status_code(&self) -> StatusCode {
        StatusCode::UNAUTHORIZED
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::Unauthorized()
            .insert_header(("WWW-Authenticate", "Bearer"))
            .content_type("application/problem+json")
            .body(
                r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"unauthorized","detail":"a valid bearer token is needed"}"#,
            )
    }
}

impl FromRequest for Principal {
    type Error = Unauthorized;
    type Future = Ready<Result<Self, Unauthorized>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(principal(request).map_err(|rejected| {
            log::info!("{} {} rejected: {rejected}", request.method(), request.path());
            Unauthorized
        }))
    }
}

fn principal(request: &HttpRequest) -> Result<Principal, Rejected> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = header.and_then(|value| value.split_once(' ')).ok_or(Rejected::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Rejected::Missing);
    }
    let verifier = request.app_data::<Data<Verifier>>().ok_or(Rejected::Missing)?;
    verifier.verify(token.trim())
}
