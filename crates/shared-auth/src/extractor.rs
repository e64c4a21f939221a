//! [`Principal`] as an actix extractor. The application must provide a [`Verifier`] as app data;
//! without one, every request is rejected. With a [`Gateway`] as app data, tokens are also accepted
//! where it says.

use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};

use crate::{Gateway, Principal, Rejected, Verifier};

/// The response to a request whose token is not accepted. The reason is in the log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// There is no valid token.
    Unauthorized,
    /// There is one, which a gateway added, but the request does not come from a page of this
    /// service.
    CrossSite,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthorized => "a valid bearer token is needed",
            Self::CrossSite => {
                "a token that a gateway adds is for requests from this service's own pages; \
                 those that change something need X-Requested-With: dashboard"
            }
        })
    }
}

impl ResponseError for Denied {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::CrossSite => StatusCode::FORBIDDEN,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        let code = match self {
            Self::Unauthorized => {
                response.insert_header(("WWW-Authenticate", "Bearer"));
                "unauthorized"
            }
            Self::CrossSite => "cross_site_request",
        };
        let title = status.canonical_reason().unwrap_or("Error");
        response.content_type("application/problem+json").body(format!(
            r#"{{"type":"about:blank","title":"{title}","status":{},"code":"{code}","detail":"{self}"}}"#,
            status.as_u16()
        ))
    }
}

impl FromRequest for Principal {
    type Error = Denied;
    type Future = Ready<Result<Self, Denied>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(principal(request).map_err(|rejected| {
            log::info!("{} {} rejected: {rejected}", request.method(), request.path());
            if matches!(rejected, Rejected::CrossSite) { Denied::CrossSite } else { Denied::Unauthorized }
        }))
    }
}

/// A bearer token in `Authorization` has precedence over what a gateway adds, valid or not: a page
/// that sends a token of its own is answered by what that token permits.
fn principal(request: &HttpRequest) -> Result<Principal, Rejected> {
    let verifier = request.app_data::<Data<Verifier>>().ok_or(Rejected::Missing)?;
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let token = match (bearer, request.app_data::<Data<Gateway>>()) {
        (Some(token), _) => token,
        (None, Some(gateway)) => gateway.token(request)?,
        (None, None) => return Err(Rejected::Missing),
    };
    verifier.verify(token)
}
