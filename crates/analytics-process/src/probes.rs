//! The routes `/health/live`, `/health/ready` and `/metrics`, the same for every process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use actix_web::guard::{Any, Get, Head};
use actix_web::http::header::ContentType;
use actix_web::web::{Data, ServiceConfig, route};
use actix_web::{App, HttpResponse, HttpServer, Route, rt};
use prometheus::{Registry, TextEncoder};

/// Reports whether the process can work now, and if not, why. Must not block.
pub trait Readiness: Send + Sync + 'static {
    /// Returns `Ok` if the process can work now.
    ///
    /// # Errors
    /// A sentence that says what the process is waiting for.
    fn ready(&self) -> Result<(), String>;
}

/// Returns the probes' routes, for a separate application or for one with other routes.
pub fn routes(readiness: Arc<dyn Readiness>, registry: Registry) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config
            .app_data(Data::from(readiness))
            .app_data(Data::new(LastReason::default()))
            .app_data(Data::new(registry))
            .route("/health/live", read().to(|| async { HttpResponse::Ok().body("live\n") }))
            .route("/health/ready", read().to(ready))
            .route("/metrics", read().to(metrics));
    }
}

/// Returns a route for GET and HEAD.
pub fn read() -> Route {
    route().guard(Any(Get()).or(Head()))
}

/// Answers `/health/ready` without the reason, which is only logged: anybody may send the request,
/// and reasons name servers and users.
async fn ready(readiness: Data<dyn Readiness>, last: Data<LastReason>) -> HttpResponse {
    let why = readiness.ready().err();
    let mut last = last.0.lock().unwrap_or_else(PoisonError::into_inner);
    if *last != why {
        match &why {
            Some(why) => log::warn!("not ready: {why}"),
            None => log::info!("ready again"),
        }
        last.clone_from(&why);
    }
    match why {
        None => HttpResponse::Ok().body("ready\n"),
        Some(_) => HttpResponse::ServiceUnavailable().body("not ready, see the log\n"),
    }
}

/// Why the process was not ready at the last request; `None` if it was ready.
#[derive(Clone, Default)]
struct LastReason(Arc<Mutex<Option<String>>>);

async fn metrics(registry: Data<Registry>) -> HttpResponse {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => HttpResponse::Ok().insert_header(ContentType::plaintext()).body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// Serves only the probes, on a thread of its own, until the process ends.
///
/// # Errors
/// If the process cannot listen on the address.
pub fn serve(bind: SocketAddr, readiness: Arc<dyn Readiness>, registry: Registry) -> anyhow::Result<()> {
    let (started, waiting) = std::sync::mpsc::channel();
    thread::Builder::new().name("probes".into()).spawn(move || {
        rt::System::new().block_on(async move {
            let app = move || App::new().configure(routes(Arc::clone(&readiness), registry.clone()));
            match HttpServer::new(app).workers(1).disable_signals().bind(bind) {
                Ok(server) => {
                    let _main_is_gone = started.send(Ok(()));
                    if let Err(error) = server.run().await {
                        log::error!("the probes stopped answering: {error}");
                    }
                }
                Err(error) => {
                    let _main_is_gone = started.send(Err(error));
                }
            }
        });
    })?;
    waiting.recv()?.map_err(|error| anyhow::anyhow!("cannot listen on {bind}: {error}"))
}
