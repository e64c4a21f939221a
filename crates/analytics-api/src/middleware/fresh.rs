//! Adds `Data-As-Of` and `Data-Lag-Seconds` to every successful read: up to when the numbers are
//! complete, and how many seconds ago that was. Left out while that is not known.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use chrono::SecondsFormat;

use crate::database::Database;
use crate::routes::freshness::FreshnessBody;

const AS_OF: HeaderName = HeaderName::from_static("data-as-of");
const LAG: HeaderName = HeaderName::from_static("data-lag-seconds");

pub(crate) async fn fresh<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let database = request.app_data::<Data<Database>>().cloned();
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut answer = next.call(request).await?;
    let told = answer.status().is_success() || answer.status() == StatusCode::NOT_MODIFIED;
    if let (Some(database), true) = (database, read && told) {
        let freshness = FreshnessBody::of(&database);
        if let Some(as_of) = freshness.counted_up_to {
            let texts = [
                (AS_OF, as_of.to_rfc3339_opts(SecondsFormat::Millis, true)),
                (LAG, freshness.lag_seconds.unwrap_or(0).to_string()),
            ];
            for (name, text) in texts {
                if let Ok(value) = HeaderValue::from_str(&text) {
                    answer.headers_mut().insert(name, value);
                }
            }
        }
    }
    Ok(answer)
}
