//! `GET /api/docs/`: the API's documentation as pages, embedded in the binary.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use utoipa_swagger_ui::{Config, serve};

use crate::problem::Problem;

/// One of the files of Swagger UI; its page where none is named.
pub(crate) async fn file(name: Path<String>, config: Data<Arc<Config<'static>>>) -> Result<HttpResponse, Problem> {
    match serve(&name, Arc::clone(&config)) {
        Ok(Some(file)) => Ok(HttpResponse::Ok().content_type(file.content_type).body(file.bytes.into_owned())),
        Ok(None) | Err(_) => Err(Problem::route_not_found()),
    }
}
