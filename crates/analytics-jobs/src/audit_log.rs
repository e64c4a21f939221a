//! `analytics-jobs audit-log`: who changed what by hand.

use analytics_db::tables::audit_log::{Action, AuditFilter, newest};
use analytics_process::say;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;

use crate::database;

/// Which writes to list. All conditions that are given must hold.
#[derive(Debug, Args)]
pub struct AuditLog {
    /// Only what this person or job did
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only actions of this kind, such as metric.adjust
    #[arg(long, value_parser = Action::named)]
    action: Option<Action>,
    /// Only what was done at this time or later, such as 2026-11-01T00:00:00Z
    #[arg(long)]
    from: Option<DateTime<Utc>>,
    /// Only what was done before this time
    #[arg(long)]
    to: Option<DateTime<Utc>>,
    /// How many are listed at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

pub(super) fn run(log: AuditLog, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    let AuditLog { actor, action, from, to, limit } = log;
    say!("{:<20}  {:<24}  {:<22}  {:<40}  DETAIL", "TIME", "ACTOR", "ACTION", "SUBJECT");
    for write in newest(connection, &AuditFilter { actor, action, from, to }, None, limit)? {
        let time = write.acted_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        say!("{time}  {:<24}  {:<22}  {:<40}  {}", write.actor, write.action, write.subject, write.detail);
    }
    Ok(())
}
