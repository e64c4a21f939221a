//! `analytics-jobs migrate`: applies the missing migrations, stores the settings that the numbers
//! depend on, and creates the event log's partitions.

use analytics_db::tables::audit_log::{Action, Entry};
use analytics_db::tables::{partitions, service_settings};
use analytics_db::transactions::administer::administer;
use analytics_db::transactions::reverse;
use analytics_db::{migrations, roles};
use analytics_process::say;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use chrono::Utc;
use clap::Args;
use serde_json::json;

use crate::actor::Actor;
use crate::database;

#[derive(Debug, Args)]
pub struct Migrate {
    /// Change nothing, and wait until another run has brought the schema to one that this version
    /// works with
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    actor: Actor,
}

pub(super) fn run(migrate: &Migrate, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    if migrate.wait {
        database::migrated(settings, shutdown)?;
        say!("this version works with the schema");
        return Ok(());
    }
    let business = settings.business()?;
    let connection = &mut database::reach(settings, shutdown)?;
    let (applied, ensured) = migrations::exclusively(connection, &database::url(settings)?, |connection| {
        let applied = migrations::migrate(connection)?;
        service_settings::store_or_check(connection, business)?;
        // In a transaction of its own: the first migration creates what the audit log needs.
        administer(connection, |_| {
            let entry = (!applied.is_empty()).then(|| Entry {
                actor: migrate.actor.name().to_owned(),
                action: Action::Migrate,
                subject: format!("migrations: {}", applied.len()),
                detail: json!({ "applied": applied }),
            });
            Ok(((), entry))
        })?;
        let ensured = partitions::ensure(connection, Utc::now())?;
        roles::grant(connection)?;
        // While an older program counts, the next batch does this as well.
        if let Err(error) = reverse::derive(connection) {
            log::warn!("net revenue is calculated when the next batch is counted: {error}");
        }
        Ok((applied, ensured))
    })?;
    match applied.as_slice() {
        [] => say!("the schema is up to date"),
        applied => say!("applied {} migrations: {}", applied.len(), applied.join(", ")),
    }
    if ensured.postponed > 0 {
        log::warn!(
            "{} partitions were not created, because the event log was in use; \
             run `analytics-jobs partitions` to create them",
            ensured.postponed
        );
    }
    Ok(())
}
