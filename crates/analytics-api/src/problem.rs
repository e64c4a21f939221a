//! Every error that a client can see: a problem page of RFC 9457 with a stable code.

use std::fmt;

use actix_web::error::{JsonPayloadError, PathError};
use actix_web::http::StatusCode;
use actix_web::http::header::ALLOW;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::connections::Failed;

/// The codes, each with its status and what it means. A code never changes its meaning.
pub(crate) const CODES: [(&str, StatusCode, &str); 14] = [
    (
        INVALID_PARAMETER,
        StatusCode::BAD_REQUEST,
        "A parameter in the path or the query cannot be used; `parameter` names it",
    ),
    (INVALID_BODY, StatusCode::BAD_REQUEST, "The body is not the JSON that the route takes"),
    (UNAUTHORIZED, StatusCode::UNAUTHORIZED, "There is no valid bearer token"),
    (FORBIDDEN, StatusCode::FORBIDDEN, "The role may not do this"),
    (READ_ONLY_MODE, StatusCode::FORBIDDEN, "This process serves reads only; ask the admin API"),
    (METRIC_NOT_FOUND, StatusCode::NOT_FOUND, "The metric was never counted, or is another seller's"),
    (EVENT_NOT_FOUND, StatusCode::NOT_FOUND, "There is no such event"),
    (DEAD_LETTER_NOT_FOUND, StatusCode::NOT_FOUND, "There is no such dead letter, or it is not open any more"),
    (ROUTE_NOT_FOUND, StatusCode::NOT_FOUND, "There is no such route"),
    (METHOD_NOT_ALLOWED, StatusCode::METHOD_NOT_ALLOWED, "The route has no such method; `Allow` names those it has"),
    (
        NUMBER_CHANGED,
        StatusCode::CONFLICT,
        "Events were changed between two pages, or a replica is behind the one that answered the first; begin again",
    ),
    (
        BODY_TOO_LARGE,
        StatusCode::PAYLOAD_TOO_LARGE,
        "The body is larger than 64 KiB, or, of a corrected payload, 4 MiB",
    ),
    (
        INTERNAL_ERROR,
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something that should not happen; the log has it, under the request's id",
    ),
    (DATABASE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE, "The database did not answer in time; try again"),
];

const INVALID_PARAMETER: &str = "invalid_parameter";
const INVALID_BODY: &str = "invalid_body";
const UNAUTHORIZED: &str = "unauthorized";
const FORBIDDEN: &str = "forbidden";
const READ_ONLY_MODE: &str = "read_only_mode";
const METRIC_NOT_FOUND: &str = "metric_not_found";
const EVENT_NOT_FOUND: &str = "event_not_found";
const DEAD_LETTER_NOT_FOUND: &str = "dead_letter_not_found";
const ROUTE_NOT_FOUND: &str = "route_not_found";
const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
const NUMBER_CHANGED: &str = "number_changed";
const BODY_TOO_LARGE: &str = "body_too_large";
const INTERNAL_ERROR: &str = "internal_error";
const DATABASE_UNAVAILABLE: &str = "database_unavailable";

/// A problem.
#[derive(Debug)]
pub(crate) struct Problem {
    code: &'static str,
    detail: String,
    parameter: Option<String>,
    allow: Option<String>,
}

/// A problem as clients see it (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Always `about:blank`; the code says which problem it is.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// Which problem it is; stable.
    code: &'static str,
    /// What is wrong, for people.
    detail: String,
    /// The parameter that is wrong, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
}

/// What any route may answer besides, for the document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes answers and is none")]
pub(crate) enum Failures {
    /// The request cannot be understood
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemBody),
    /// There is no valid bearer token
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody),
    /// The role may not do this
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody),
    /// Something that should not happen
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody),
    /// The database did not answer in time
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody),
}

/// What routes to one thing may answer besides.
#[derive(IntoResponses)]
#[response(status = 404, content_type = "application/problem+json", description = "There is no such thing")]
#[expect(dead_code, reason = "it describes an answer and is none")]
pub(crate) struct NotFound(ProblemBody);

/// What a later page of an explanation may answer besides.
#[derive(IntoResponses)]
#[response(
    status = 409,
    content_type = "application/problem+json",
    description = "Events were changed since the first page was read, or this replica is behind the one that answered it"
)]
#[expect(dead_code, reason = "it describes an answer and is none")]
pub(crate) struct Changed(ProblemBody);

/// What routes that take a body may answer besides.
#[derive(IntoResponses)]
#[response(
    status = 413,
    content_type = "application/problem+json",
    description = "The body is larger than 64 KiB, or, of a corrected payload, 4 MiB"
)]
#[expect(dead_code, reason = "it describes an answer and is none")]
pub(crate) struct TooLarge(ProblemBody);

/// What reads may answer besides.
#[derive(IntoResponses)]
#[response(status = 304, description = "Nothing has changed since the answer with the given ETag")]
pub(crate) struct Unchanged;

impl Problem {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), parameter: None, allow: None }
    }

    /// A parameter that cannot be used.
    pub(crate) fn invalid_parameter(parameter: &str, detail: impl fmt::Display) -> Self {
        let problem = Self::new(INVALID_PARAMETER, format!("{parameter}: {detail}"));
        Self { parameter: Some(parameter.to_owned()), ..problem }
    }

    /// A body that is not what the route takes.
    pub(crate) fn invalid_body(detail: impl Into<String>) -> Self {
        Self::new(INVALID_BODY, detail)
    }

    /// A metric that was never counted, or that is not for this principal: both look the same.
    pub(crate) fn metric_not_found() -> Self {
        Self::new(METRIC_NOT_FOUND, "there is no such metric")
    }

    pub(crate) fn event_not_found() -> Self {
        Self::new(EVENT_NOT_FOUND, "there is no such event")
    }

    pub(crate) fn dead_letter_not_found() -> Self {
        Self::new(DEAD_LETTER_NOT_FOUND, "there is no such dead letter, or it is not open any more")
    }

    pub(crate) fn route_not_found() -> Self {
        Self::new(ROUTE_NOT_FOUND, "there is no such route")
    }

    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let problem = Self::new(METHOD_NOT_ALLOWED, format!("this route takes {allow}"));
        Self { allow: Some(allow), ..problem }
    }

    /// A later page that cannot be told from what came since the first.
    pub(crate) fn number_changed() -> Self {
        Self::new(NUMBER_CHANGED, "the number changed since the first page was read: begin again without a cursor")
    }

    /// A later page on a replica that has not received the first one's data yet.
    pub(crate) fn replica_behind() -> Self {
        Self::new(
            NUMBER_CHANGED,
            "this replica is behind the one that answered the first page: repeat the request, or begin again",
        )
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(FORBIDDEN, "your role may not do this")
    }

    pub(crate) fn read_only_mode() -> Self {
        Self::new(READ_ONLY_MODE, "this process serves reads only; writing is for the admin API")
    }

    pub(crate) fn database_unavailable() -> Self {
        Self::new(DATABASE_UNAVAILABLE, "the database did not answer in time; try again")
    }

    fn internal_error() -> Self {
        Self::new(INTERNAL_ERROR, "something went wrong inside the service; its log has it under the request's id")
    }

    /// Which kind of failure the client is told of.
    pub(crate) fn of_failure(failed: &Failed) -> Self {
        match failed {
            Failed::Unavailable(_) => Self::database_unavailable(),
            Failed::Unexpected(_) => Self::internal_error(),
        }
    }

    /// What is wrong with a JSON body, by what reading it said.
    pub(crate) fn of_json(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
        match error {
            JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
                Self::new(BODY_TOO_LARGE, "the body is larger than this route takes")
            }
            JsonPayloadError::ContentType => Self::invalid_body("the body must be application/json"),
            error => Self::invalid_body(error.to_string()),
        }
        .into()
    }

    /// A path segment that cannot be read.
    pub(crate) fn of_path(error: PathError, _: &HttpRequest) -> actix_web::Error {
        Self::invalid_parameter("path", error).into()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        let known = CODES.iter().find(|(code, ..)| *code == self.code);
        known.map_or(StatusCode::INTERNAL_SERVER_ERROR, |(_, status, _)| *status)
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut answer = HttpResponse::build(status);
        if let Some(allow) = self.allow.as_deref() {
            answer.insert_header((ALLOW, allow));
        }
        answer.content_type("application/problem+json").body(
            serde_json::to_string(&ProblemBody {
                r#type: "about:blank",
                title: status.canonical_reason().unwrap_or("Error"),
                status: status.as_u16(),
                code: self.code,
                detail: self.detail.clone(),
                parameter: self.parameter.clone(),
            })
            .unwrap_or_default(),
        )
    }
}
