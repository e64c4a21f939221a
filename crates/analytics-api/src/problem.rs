//! Every error that a client can see: a problem page of RFC 9457 with a stable code.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

/// A problem page.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The query parameter or path segment that is wrong.
    parameter: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), parameter: None }
    }

    /// A parameter that cannot be used.
    pub(crate) fn invalid_parameter(parameter: &str, detail: impl fmt::Display) -> Self {
        Self {
            parameter: Some(parameter.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", format!("{parameter}: {detail}"))
        }
    }

    /// A metric that was never counted, or that is not for this principal: both look the same.
    pub(crate) fn metric_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "metric_not_found", "there is no such metric")
    }

    pub(crate) fn route_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "route_not_found", "there is no such route")
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "your role may not read this")
    }

    pub(crate) fn database_unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", "the database did not answer; try again")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut page = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let (Some(parameter), Some(page)) = (&self.parameter, page.as_object_mut()) {
            page.insert("parameter".into(), parameter.as_str().into());
        }
        HttpResponse::build(self.status).content_type("application/problem+json").body(page.to_string())
    }
}
