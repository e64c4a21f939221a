//! `GET /api/live`: a stream of events that says when something was counted.

use std::time::{Duration, Instant, SystemTime};

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, ContentEncoding};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use shared_auth::Principal;

use crate::live::{Live, LiveState, Stream};
use crate::problem::{Failures, Problem};
use crate::query::Query;
use crate::settings::ApiSettings;

/// Follow what is counted
///
/// Server-sent events. The first one is sent at once: the state up to two seconds ago. Then at most one
/// per second, when a batch was counted or the freshness changed, and a comment after 15 silent seconds.
/// `id` is the number of the last batch. Each event is the whole state, so a client that comes back has
/// missed nothing, and its `Last-Event-ID` is not needed. While the database does not answer, the stream
/// stays open and the state is `unavailable`. At the end an event of the type `end` has the `reason`:
/// `shutdown` (connect again), or `token_expired` (connect with another token).
#[utoipa::path(
    get, path = "/api/live", operation_id = "getLive", tag = "freshness", security(("bearer" = [])),
    responses(
        (status = 200, description = "The stream; the data of each event is a `LiveState`", body = LiveState, content_type = "text/event-stream"),
        Failures
    )
)]
pub(crate) async fn show(
    principal: Principal,
    request: HttpRequest,
    live: Data<Live>,
    settings: Data<ApiSettings>,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[], &[])?;
    let stream = if request.method() == Method::HEAD {
        Stream::default()
    } else {
        let full = || Problem::too_many_streams(settings.live_connections);
        live.join(instant(principal.expires_at)).ok_or_else(full)?
    };
    let mut response = HttpResponse::Ok();
    // The connection ends with the stream, so that it does not delay a shutdown.
    response.content_type("text/event-stream").insert_header((CACHE_CONTROL, "no-store")).force_close();
    // Compression would hold events back, and so would nginx.
    response.insert_header(ContentEncoding::Identity).insert_header(("X-Accel-Buffering", "no"));
    Ok(response.body(stream))
}

/// Returns the time in seconds since the Unix epoch by the clock that does not jump; `None` if it is too
/// far in the future.
fn instant(seconds: u64) -> Option<Instant> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    Instant::now().checked_add(time.duration_since(SystemTime::now()).unwrap_or_default())
}
