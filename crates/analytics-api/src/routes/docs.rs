//! `GET /api/docs/`: the interactive documentation of the API, embedded in the binary.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use utoipa_swagger_ui::{Config, serve};

use crate::problem::Problem;

/// Returns a file of Swagger UI, or its start page if `name` is empty.
pub(crate) async fn file(name: Path<String>, config: Data<Arc<Config<'static>>>) -> Result<HttpResponse, Problem> {
    match serve(&name, Arc::clone(&config)) {
        Ok(Some(file)) => Ok(HttpResponse::Ok().content_type(file.content_type).body(file.bytes.into_owned())),
        Ok(None) | Err(_) => Err(Problem::route_not_found()),
    }
}
