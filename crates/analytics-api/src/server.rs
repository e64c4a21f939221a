//! The application and its server.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::middleware::{Compress, Condition, from_fn};
use actix_web::web::{Data, JsonConfig, PathConfig, redirect, scope, to};
use actix_web::{App, HttpServer, rt};
use analytics_process::probes;
use analytics_process::shutdown::Shutdown;
use utoipa_swagger_ui::SwaggerUi;

use crate::database::Database;
use crate::manners::{conditional, fresh, request_id};
use crate::openapi;
use crate::problem::Problem;
use crate::routes::{nowhere, routes};
use crate::settings::ApiSettings;
use crate::telemetry::{Telemetry, measure};

/// How long requests under way may take when the process is to stop, in seconds.
const GRACE: u64 = 8;
/// The largest body that is read.
const LARGEST_BODY: usize = 64 << 10;
/// How long a client may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until the process is asked to stop.
///
/// # Errors
/// A port that is taken, a schema of another version, settings that the database was not made
/// with.
pub fn run(settings: ApiSettings, shutdown: Shutdown) -> anyhow::Result<()> {
    let database = Database::new(&settings);
    let telemetry = Telemetry::new(&database)?;
    let bind = settings.bind;
    rt::System::new().block_on(async move {
        let (watched, watched_settings, watching) = (database.clone(), settings.clone(), shutdown.clone());
        let app = move || {
            let base = settings.base_path.as_str();
            let docs = SwaggerUi::new(format!("{base}/api/docs/{{_:.*}}"))
                .url(format!("{base}/api/openapi.json"), openapi::document(base));
            App::new()
                .app_data(Data::new(telemetry.clone()))
                .app_data(Data::new(database.clone()))
                .app_data(Data::new(settings.clone()))
                .app_data(Data::new(settings.verifier.clone()))
                .app_data(JsonConfig::default().limit(LARGEST_BODY).error_handler(Problem::of_json))
                .app_data(PathConfig::default().error_handler(Problem::of_path))
                .configure(probes::routes(Arc::new(database.clone()), telemetry.registry.clone()))
                .service(redirect(format!("{base}/api/docs"), format!("{base}/api/docs/")))
                .service(docs)
                .service(
                    scope(base)
                        .wrap(from_fn(conditional))
                        .wrap(from_fn(fresh))
                        .configure(routes)
                        .default_service(to(nowhere)),
                )
                .default_service(to(nowhere))
                .wrap(Compress::default())
                .wrap(Condition::new(!settings.cors_origins.is_empty(), cors(&settings.cors_origins)))
                .wrap(from_fn(request_id))
                .wrap(from_fn(measure))
        };
        let server = HttpServer::new(app)
            .disable_signals()
            .client_request_timeout(HEAD_TIMEOUT)
            .shutdown_timeout(GRACE)
            .bind(bind)
            .map_err(|error| anyhow::anyhow!("cannot listen on {bind}: {error}"))?
            .run();
        log::info!("listening on {bind}");
        let handle = server.handle();
        let watcher = thread::spawn(move || {
            let watched = watched.watch(&watched_settings, &watching);
            // Either the process was asked to stop, or the database is none to work with.
            drop(handle.stop(true));
            watched
        });
        server.await?;
        log::info!("stopped");
        watcher.join().map_err(|_| anyhow::anyhow!("the watcher of the database panicked"))??;
        Ok(())
    })
}

/// Pages of these origins may read answers.
fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "DELETE"])
        .allowed_headers(["authorization", "content-type", "if-none-match", "x-request-id"])
        .expose_headers(["etag", "link", "data-as-of", "data-lag-seconds", "x-request-id"])
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| match origin.as_str() {
        "*" => cors.allow_any_origin(),
        origin => cors.allowed_origin(origin),
    })
}
