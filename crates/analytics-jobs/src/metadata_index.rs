//! `analytics-jobs metadata-index`: indexes the event log by a field of the payload.

use analytics_core::metadata::MetadataPath;
use analytics_db::Connection;
use analytics_db::tables::audit_log::{Action, Entry};
use analytics_db::tables::metadata_indexes::{self, is_event_type};
use analytics_db::tables::partitions;
use analytics_db::transactions::administer::administer;
use analytics_process::say;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use chrono::Utc;
use clap::Args;
use serde_json::json;

use crate::actor::Actor;
use crate::database;

/// The field, and what to do.
#[derive(Debug, Args)]
pub struct MetadataIndex {
    /// The path of the field, such as source or utm.campaign
    #[arg(long, value_parser = MetadataPath::parse, required_unless_present = "list")]
    path: Option<MetadataPath>,
    /// Index only events of this type, for requests that name it; takes less space
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type, requires = "path")]
    event_type: Option<String>,
    /// Drop the index
    #[arg(long, requires = "path")]
    drop: bool,
    /// List the indexes
    #[arg(long, conflicts_with_all = ["path", "drop"])]
    list: bool,
    #[command(flatten)]
    actor: Actor,
}

fn event_type(text: &str) -> Result<String, &'static str> {
    let is_valid = is_event_type(text);
    is_valid.then(|| text.to_owned()).ok_or("must be the type of an event, such as product.viewed")
}

pub(super) fn run(arguments: &MetadataIndex, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    let event_type = arguments.event_type.as_deref();
    match &arguments.path {
        None => list(connection),
        Some(path) if arguments.drop => drop_index(connection, settings, path, event_type, &arguments.actor),
        Some(path) => create(connection, settings, path, event_type, &arguments.actor),
    }
}

fn entry(actor: &Actor, action: Action, path: &MetadataPath, event_type: Option<&str>) -> Entry {
    let detail = json!({ "type": event_type });
    Entry { actor: actor.name().to_owned(), action, subject: path.as_str().to_owned(), detail }
}

fn list(connection: &mut Connection) -> anyhow::Result<()> {
    say!("{:<40} {:<20} STATE", "PATH", "TYPE");
    for index in metadata_indexes::all(connection)? {
        say!("{:<40} {:<20} {}", index.path, index.event_type.as_deref().unwrap_or("all"), index.state);
    }
    Ok(())
}

fn create(
    connection: &mut Connection,
    settings: &Settings,
    path: &MetadataPath,
    event_type: Option<&str>,
    actor: &Actor,
) -> anyhow::Result<()> {
    administer(connection, |connection| {
        let added = metadata_indexes::add(connection, path, event_type)?;
        let entry = added.is_ok().then(|| entry(actor, Action::CreateIndex, path, event_type));
        Ok((added, entry))
    })??;
    let tell = |name: &str| log::info!("creating the index {name}");
    match partitions::index_metadata(connection, &database::url(settings)?, Utc::now(), tell)? {
        Some(made) => say!("created {made} indexes on partitions whose days are over; reads rely on them now"),
        None => bail!("another process is creating indexes, which may include this one; run this job again"),
    }
    Ok(())
}

fn drop_index(
    connection: &mut Connection,
    settings: &Settings,
    path: &MetadataPath,
    event_type: Option<&str>,
    actor: &Actor,
) -> anyhow::Result<()> {
    let retired = administer(connection, |connection| {
        let retired = metadata_indexes::retire(connection, path, event_type)?;
        let entry = retired.is_some().then(|| entry(actor, Action::DropIndex, path, event_type));
        Ok((retired, entry))
    })?;
    let Some(index) = retired else {
        bail!("there is no such index; --list shows all");
    };
    match partitions::drop_metadata(connection, &database::url(settings)?, &index)? {
        Some(dropped) => say!("dropped the index from {dropped} partitions"),
        None => bail!("another process is creating indexes; reads no longer rely on this one; run this job again"),
    }
    Ok(())
}
