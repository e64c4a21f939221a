//! The application and its server.

use std::sync::Arc;
use std::thread;

use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, HttpServer, rt};
use analytics_process::probes;
use analytics_process::shutdown::Shutdown;

use crate::database::Database;
use crate::routes::routes;
use crate::settings::ApiSettings;
use crate::telemetry::{Telemetry, measure};

/// How long requests under way may take when the process is to stop, in seconds.
const GRACE: u64 = 8;

/// Serves until the process is asked to stop.
///
/// # Errors
/// A port that is taken, a schema of another version, settings that the database was not made
/// with.
pub fn run(settings: ApiSettings, shutdown: Shutdown) -> anyhow::Result<()> {
    let telemetry = Telemetry::new()?;
    let database = Database::new(&settings);
    let bind = settings.bind;
    rt::System::new().block_on(async move {
        let (watched, watched_settings, watching) = (database.clone(), settings.clone(), shutdown.clone());
        let app = move || {
            App::new()
                .app_data(Data::new(telemetry.clone()))
                .app_data(Data::new(database.clone()))
                .app_data(Data::new(settings.clone()))
                .app_data(Data::new(settings.verifier.clone()))
                .wrap(from_fn(measure))
                .configure(probes::routes(Arc::new(database.clone()), telemetry.registry.clone()))
                .configure(routes)
        };
        let server = HttpServer::new(app)
            .disable_signals()
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
