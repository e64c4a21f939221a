//! Assembles the application and runs its HTTP server.

use std::future::ready;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{io, thread};

use actix_cors::Cors;
use actix_web::dev::ServerHandle;
use actix_web::http::header::X_CONTENT_TYPE_OPTIONS;
use actix_web::middleware::{Compress, Condition, DefaultHeaders, from_fn};
use actix_web::web::{Data, Json, PathConfig, redirect, resource, scope, to};
use actix_web::{App, HttpServer, rt};
use analytics_process::probes::{self, read};
use analytics_process::shutdown::Shutdown;
use utoipa_swagger_ui::Config;

use crate::business_metrics;
use crate::dashboard::{self, Dashboard};
use crate::database::Database;
use crate::lines::Streams;
use crate::live::{Live, LiveState};
use crate::middleware::{conditional, forwarded, fresh, request_id, spreadsheet};
use crate::openapi;
use crate::problem::Problem;
use crate::rankings::Rankings;
use crate::rates::Rates;
use crate::reconciliation::Reconciliations;
use crate::routes::metrics::Lists;
use crate::routes::{self, nowhere};
use crate::settings::ApiSettings;
use crate::telemetry::{Telemetry, measure};

/// How long running requests may take after the process was told to stop, in seconds.
const GRACE: u64 = 8;
/// When the process ends after it was told to stop, even if work still waits for the database.
const ENFORCED: Duration = Duration::from_secs(GRACE + 1);
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the API until the process is told to stop.
///
/// # Errors
/// If the address cannot be bound, or if this program cannot work with the database: an
/// incompatible schema, another encoding than UTF8, or settings other than those of the first
/// migration.
pub fn run(settings: ApiSettings, shutdown: &Shutdown) -> anyhow::Result<()> {
    shutdown.enforce(ENFORCED)?;
    let database = Database::new(&settings);
    let live = Data::new(Live::new(settings.live_connections, LiveState::of(&database)));
    let telemetry = Telemetry::new(&database, &live)?;
    let dashboard = Dashboard::new(&settings)?;
    let (bind, keep_alive) = (settings.bind, settings.keep_alive);
    let (rankings, rates) = (Rankings::default(), Data::new(Rates::new(settings.rate_limit)));
    let (lists, streams) = (Lists::default(), Streams::default());
    let reconciliations = Data::new(Reconciliations::new(streams.clone()));
    let running_streams = streams.clone();
    let business = business_metrics::Kept::default();
    rt::System::new().block_on(async move {
        let (watched, watched_settings, told) = (database.clone(), settings.clone(), live.clone());
        let (warm, read_by, read_settings) = (rankings.clone(), database.clone(), settings.clone());
        let app = move || {
            let base = settings.base_path.as_str();
            let document = format!("{base}/api/openapi.json");
            let docs = Data::new(Arc::new(Config::from(document.clone())));
            let openapi = openapi::document(base);
            App::new()
                .app_data(Data::new(telemetry.clone()))
                .app_data(Data::new(database.clone()))
                .app_data(Data::new(settings.clone()))
                .app_data(Data::new(rankings.clone()))
                .app_data(Data::new(lists.clone()))
                .app_data(Data::new(business.clone()))
                .app_data(live.clone())
                .app_data(rates.clone())
                .app_data(Data::new(streams.clone()))
                .app_data(reconciliations.clone())
                .app_data(Data::new(settings.verifier.clone()))
                .app_data(PathConfig::default().error_handler(Problem::of_path))
                .configure(probes::routes(Arc::new(database.clone()), telemetry.registry.clone()))
                .configure(|config| settings.business_metrics.serve(config))
                .configure(|config| dashboard::serve(config, dashboard.as_ref(), &settings))
                .service(redirect(format!("{base}/api/docs"), format!("{base}/api/docs/")))
                .service(
                    resource(format!("{base}/api/docs/{{file:.*}}"))
                        .app_data(docs)
                        .route(read().to(routes::docs::file)),
                )
                .service(resource(document).route(read().to(move || ready(Json(openapi.clone())))))
                .service(
                    scope(base)
                        .wrap(from_fn(spreadsheet))
                        .wrap(from_fn(conditional))
                        .wrap(from_fn(fresh))
                        .configure(routes::serve)
                        .default_service(to(nowhere)),
                )
                .default_service(to(nowhere))
                .wrap(DefaultHeaders::new().add((X_CONTENT_TYPE_OPTIONS, "nosniff")))
                .wrap(Compress::default())
                .wrap(Condition::new(!settings.cors_origins.is_empty(), cors(&settings.cors_origins)))
                .wrap(from_fn(request_id))
                .wrap(from_fn(forwarded))
                .wrap(from_fn(measure))
        };
        let server = HttpServer::new(app)
            .disable_signals()
            .client_request_timeout(HEAD_TIMEOUT)
            .keep_alive(keep_alive)
            .shutdown_timeout(GRACE)
            .bind(bind)
            .map_err(|error| anyhow::anyhow!("cannot listen on {bind}: {error}"))?
            .run();
        log::info!("listening on {bind}");
        stop_when_asked(server.handle(), told.clone(), running_streams, shutdown.clone())?;
        let (handle, vitals) = (server.handle(), watched.clone());
        rt::spawn(async move { vitals.watch_vitals().await });
        rt::spawn(async move { warm.keep_warm(&read_by, &read_settings).await });
        let unusable = Arc::new(OnceLock::new());
        let found = Arc::clone(&unusable);
        rt::spawn(async move {
            let pause = async || {
                told.tell(LiveState::of(&watched));
                told.pause().await;
            };
            if let Err(why) = watched.watch(&watched_settings, pause).await {
                drop(found.set(why));
                told.stop();
                handle.stop(true).await;
            }
        });
        server.await?;
        log::info!("stopped");
        unusable.get().map_or(Ok(()), |why| Err(anyhow::anyhow!("{why}")))
    })
}

/// Stops the server when the process is told to stop.
fn stop_when_asked(server: ServerHandle, live: Data<Live>, streams: Streams, shutdown: Shutdown) -> io::Result<()> {
    thread::Builder::new().name("stopper".into()).spawn(move || {
        while !shutdown.wait(Duration::from_secs(3600)) {}
        // The server waits for its responses: a live stream has no end of its own, and a list may take
        // any time.
        live.stop();
        streams.stop();
        // The server stops even if the returned future is not awaited.
        drop(server.stop(true));
    })?;
    Ok(())
}

/// Allows pages of these origins to read responses; `*` allows any origin.
fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "DELETE"])
        .allowed_headers(["authorization", "content-type", "if-none-match", "x-request-id"])
        .expose_headers(["as-of", "etag", "link", "data-as-of", "data-lag-seconds", "retry-after", "x-request-id"])
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| match origin.as_str() {
        "*" => cors.allow_any_origin(),
        origin => cors.allowed_origin(origin),
    })
}
