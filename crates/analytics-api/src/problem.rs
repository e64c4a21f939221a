//! Every error that a client can see, as problem details (RFC 9457) with a stable code.

use std::fmt;

use actix_web::error::{JsonPayloadError, PathError};
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER as RETRY_AFTER_HEADER};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::connections::Failed;

/// Each code with its status and its meaning. The meaning of a code never changes.
pub(crate) const CODES: [(&str, StatusCode, &str); 22] = [
    (
        INVALID_PARAMETER,
        StatusCode::BAD_REQUEST,
        "A parameter in the path or the query is invalid; `parameter` names it",
    ),
    (INVALID_BODY, StatusCode::BAD_REQUEST, "The body is not the JSON or the CSV that the route expects"),
    (UNAUTHORIZED, StatusCode::UNAUTHORIZED, "The request has no valid bearer token"),
    (FORBIDDEN, StatusCode::FORBIDDEN, "The role of the caller does not permit this"),
    (
        CROSS_SITE_REQUEST,
        StatusCode::FORBIDDEN,
        "A token that a gateway added came with a request of another site's page, or without X-Requested-With",
    ),
    (READ_ONLY_MODE, StatusCode::FORBIDDEN, "This process is in read-only mode; send the request to the admin API"),
    (METRIC_NOT_FOUND, StatusCode::NOT_FOUND, "The metric was never counted, or the caller may not read it"),
    (EVENT_NOT_FOUND, StatusCode::NOT_FOUND, "No event has this id"),
    (DEAD_LETTER_NOT_FOUND, StatusCode::NOT_FOUND, "No dead letter has this id, or it is no longer open"),
    (ANOMALY_NOT_FOUND, StatusCode::NOT_FOUND, "No anomaly has this id"),
    (SELLER_NOT_FOUND, StatusCode::NOT_FOUND, "The seller does not exist, or the caller may not see it"),
    (STATEMENT_NOT_FOUND, StatusCode::NOT_FOUND, "The seller has no statement of this month, or not this version"),
    (ROUTE_NOT_FOUND, StatusCode::NOT_FOUND, "No route has this path"),
    (
        METHOD_NOT_ALLOWED,
        StatusCode::METHOD_NOT_ALLOWED,
        "The route does not have this method; `Allow` lists its methods",
    ),
    (
        NUMBER_CHANGED,
        StatusCode::CONFLICT,
        "Since the first page was read, logged events were changed or too many batches were counted; \
         or this replica is behind the one that answered it. Start again without a cursor",
    ),
    (EMBEDDING_DISABLED, StatusCode::CONFLICT, "This process has no key for embed tokens"),
    (
        BODY_TOO_LARGE,
        StatusCode::PAYLOAD_TOO_LARGE,
        "The body is larger than 64 KiB, than 4 MiB in a replay of one dead letter, or than 16 MiB or 100,000 lines in a \
         reconciliation",
    ),
    (
        RATE_LIMITED,
        StatusCode::TOO_MANY_REQUESTS,
        "The user of the token has sent too many requests; try again after `Retry-After` seconds",
    ),
    (
        INTERNAL_ERROR,
        StatusCode::INTERNAL_SERVER_ERROR,
        "A failure that should not happen; the log of the service has the cause",
    ),
    (
        DATABASE_UNAVAILABLE,
        StatusCode::SERVICE_UNAVAILABLE,
        "The database is unavailable or did not answer in time; try again after `Retry-After` seconds",
    ),
    (
        TOO_MANY_STREAMS,
        StatusCode::SERVICE_UNAVAILABLE,
        "As many live streams are open as this process serves; poll, or try again after `Retry-After` seconds",
    ),
    (
        BUSY,
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many expensive reads or streams are running; try again after `Retry-After` seconds",
    ),
];

const INVALID_PARAMETER: &str = "invalid_parameter";
const INVALID_BODY: &str = "invalid_body";
const UNAUTHORIZED: &str = "unauthorized";
const FORBIDDEN: &str = "forbidden";
const CROSS_SITE_REQUEST: &str = "cross_site_request";
const READ_ONLY_MODE: &str = "read_only_mode";
const METRIC_NOT_FOUND: &str = "metric_not_found";
const EVENT_NOT_FOUND: &str = "event_not_found";
const DEAD_LETTER_NOT_FOUND: &str = "dead_letter_not_found";
const ANOMALY_NOT_FOUND: &str = "anomaly_not_found";
const SELLER_NOT_FOUND: &str = "seller_not_found";
const STATEMENT_NOT_FOUND: &str = "statement_not_found";
const ROUTE_NOT_FOUND: &str = "route_not_found";
const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
const NUMBER_CHANGED: &str = "number_changed";
const EMBEDDING_DISABLED: &str = "embedding_disabled";
const BODY_TOO_LARGE: &str = "body_too_large";
const RATE_LIMITED: &str = "rate_limited";
const INTERNAL_ERROR: &str = "internal_error";
const DATABASE_UNAVAILABLE: &str = "database_unavailable";
const TOO_MANY_STREAMS: &str = "too_many_streams";
const BUSY: &str = "busy";

/// Value of the `Retry-After` header of every 503, in seconds.
const RETRY_AFTER: u64 = 2;

/// An error, as a response.
#[derive(Debug)]
pub(crate) struct Problem {
    code: &'static str,
    detail: String,
    parameter: Option<String>,
    /// Value of the `Allow` header.
    allow: Option<String>,
    /// Value of the `Retry-After` header, in seconds, of a 429.
    retry_after: Option<u64>,
}

/// Details of an error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Always `about:blank`: `code` identifies the kind of error.
    r#type: &'static str,
    /// The name of the HTTP status.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The kind of error; stable.
    code: &'static str,
    /// What is wrong, in words.
    detail: String,
    /// The name of the invalid parameter, with the code `invalid_parameter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
}

/// The error responses that every route may have, for the OpenAPI document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) enum Failures {
    /// A parameter or the body is invalid
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemBody),
    /// The request has no valid bearer token
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody),
    /// The role of the caller does not permit this, or this process is in read-only mode
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody),
    /// The user of the token has sent too many requests
    #[response(
        status = 429,
        content_type = "application/problem+json",
        headers(("Retry-After" = u64, description = "Seconds after which to try again"))
    )]
    RateLimited(ProblemBody),
    /// A failure that should not happen
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody),
    /// The database is unavailable or did not answer in time, or too many expensive reads are running
    #[response(
        status = 503,
        content_type = "application/problem+json",
        headers(("Retry-After" = u64, description = "Seconds after which to try again"))
    )]
    Unavailable(ProblemBody),
}

/// The 404 of routes to a single resource.
#[derive(IntoResponses)]
#[response(status = 404, content_type = "application/problem+json", description = "The resource does not exist")]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct NotFound(ProblemBody);

/// The 409 of later pages of an explanation.
#[derive(IntoResponses)]
#[response(
    status = 409,
    content_type = "application/problem+json",
    description = "The data as of the first page can no longer be read, or not yet on this replica"
)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct Changed(ProblemBody);

/// The 409 of embed tokens.
#[derive(IntoResponses)]
#[response(
    status = 409,
    content_type = "application/problem+json",
    description = "This process has no key for embed tokens"
)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct Disabled(ProblemBody);

/// The 413 of routes with a body.
#[derive(IntoResponses)]
#[response(
    status = 413,
    content_type = "application/problem+json",
    description = "The body is larger than 64 KiB, than 4 MiB in a replay of one dead letter, or than 16 MiB or 100,000 lines in a reconciliation"
)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct TooLarge(ProblemBody);

/// The 304 of reads.
#[derive(IntoResponses)]
#[response(status = 304, description = "The response is unchanged since the one with the given ETag")]
pub(crate) struct Unchanged;

impl Problem {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), parameter: None, allow: None, retry_after: None }
    }

    /// An invalid parameter. `detail` says what it must be.
    pub(crate) fn invalid_parameter(parameter: &str, detail: impl fmt::Display) -> Self {
        let problem = Self::new(INVALID_PARAMETER, format!("{parameter}: {detail}"));
        Self { parameter: Some(parameter.to_owned()), ..problem }
    }

    /// An invalid body.
    pub(crate) fn invalid_body(detail: impl Into<String>) -> Self {
        Self::new(INVALID_BODY, detail)
    }

    /// A body that is longer than the route accepts.
    pub(crate) fn body_too_large(detail: impl Into<String>) -> Self {
        Self::new(BODY_TOO_LARGE, detail)
    }

    /// A metric that was never counted, or that the caller may not read. The responses are the
    /// same, so that callers cannot find out which metrics of others exist.
    pub(crate) fn metric_not_found() -> Self {
        Self::new(METRIC_NOT_FOUND, "the metric does not exist")
    }

    pub(crate) fn event_not_found() -> Self {
        Self::new(EVENT_NOT_FOUND, "the event does not exist")
    }

    pub(crate) fn dead_letter_not_found() -> Self {
        Self::new(DEAD_LETTER_NOT_FOUND, "the dead letter does not exist or is no longer open")
    }

    pub(crate) fn anomaly_not_found() -> Self {
        Self::new(ANOMALY_NOT_FOUND, "the anomaly does not exist")
    }

    pub(crate) fn route_not_found() -> Self {
        Self::new(ROUTE_NOT_FOUND, "no route has this path")
    }

    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let problem = Self::new(METHOD_NOT_ALLOWED, format!("the methods of this route are {allow}"));
        Self { allow: Some(allow), ..problem }
    }

    /// A later page that cannot be read as of the first page any more.
    pub(crate) fn number_changed() -> Self {
        Self::new(NUMBER_CHANGED, "the data as of the first page can no longer be read: start again without a cursor")
    }

    /// A later page on a replica that does not have the data of the first page yet.
    pub(crate) fn replica_behind() -> Self {
        Self::new(
            NUMBER_CHANGED,
            "this replica is behind the one that answered the first page: repeat the request, or start again",
        )
    }

    pub(crate) fn embedding_disabled() -> Self {
        Self::new(EMBEDDING_DISABLED, "there are no embed tokens: EMBED_SIGNING_KEY is not set")
    }

    pub(crate) fn seller_not_found() -> Self {
        Self::new(SELLER_NOT_FOUND, "there is no such seller")
    }

    pub(crate) fn statement_not_found() -> Self {
        Self::new(STATEMENT_NOT_FOUND, "there is no such statement: the month is not closed, or has no such version")
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(FORBIDDEN, "your role does not permit this")
    }

    pub(crate) fn read_only_mode() -> Self {
        Self::new(READ_ONLY_MODE, "this process is in read-only mode; send the request to the admin API")
    }

    pub(crate) fn database_unavailable() -> Self {
        Self::new(DATABASE_UNAVAILABLE, "the database is unavailable or did not answer in time; try again")
    }

    pub(crate) fn too_many_streams(most: u32) -> Self {
        Self::new(TOO_MANY_STREAMS, format!("{most} live streams are open already: poll, or try again"))
    }

    /// A caller that sends too many requests, and after how many seconds it may send another one.
    pub(crate) fn rate_limited(retry_after: u64) -> Self {
        let problem = Self::new(RATE_LIMITED, format!("too many requests: try again after {retry_after} s"));
        Self { retry_after: Some(retry_after), ..problem }
    }

    /// An expensive read or a stream, while too many others are running.
    pub(crate) fn busy() -> Self {
        Self::new(BUSY, "too many expensive reads are running; try again")
    }

    pub(crate) fn internal_error() -> Self {
        Self::new(INTERNAL_ERROR, "the service failed unexpectedly; its log has the cause")
    }

    /// The problem that clients see for a failure of the database.
    pub(crate) fn of_failure(failed: &Failed) -> Self {
        match failed {
            Failed::Unavailable(_) => Self::database_unavailable(),
            Failed::Busy(_) => Self::busy(),
            Failed::Unexpected(_) => Self::internal_error(),
        }
    }

    /// The problem for a JSON body that cannot be read.
    pub(crate) fn of_json(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
        match error {
            JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
                Self::body_too_large("the body is larger than this route accepts")
            }
            JsonPayloadError::ContentType => Self::invalid_body("the body must be application/json"),
            error => Self::invalid_body(error.to_string()),
        }
        .into()
    }

    /// The problem for a path segment that cannot be read.
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
        let retry_after = if status == StatusCode::SERVICE_UNAVAILABLE { Some(RETRY_AFTER) } else { self.retry_after };
        if let Some(seconds) = retry_after {
            answer.insert_header((RETRY_AFTER_HEADER, seconds));
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
