//! Notifications for installations without Alertmanager: what jobs find is queued in the database, and sent to
//! `NOTIFY_WEBHOOK_URL` at the end of the job, together with what earlier runs could not deliver.

mod links;
mod messages;
mod webhook;

use std::collections::BTreeSet;

use analytics_db::locks::{Guard, Lock};
use analytics_db::tables::notifications::{self, Topic};
use analytics_db::verify::{Extent, Stretch, Verification};
use analytics_db::{Connection, DbError};
use analytics_process::remark;
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use chrono::Utc;

use crate::database;
pub(crate) use links::Links;
pub(crate) use messages::body;
use webhook::{Undelivered, Webhook};

/// Notifications that are delivered together, by one job at a time.
pub(crate) struct Queue {
    topics: &'static [Topic],
    lock: Lock,
}

pub(crate) const ALERTS: Queue = Queue { topics: &[Topic::Anomalies, Topic::Verify], lock: Lock::Alerts };
pub(crate) const WEEKS: Queue = Queue { topics: &[Topic::Week], lock: Lock::Weeks };
/// The most anomalies that one notification is about: a marketplace-wide cause is not a hundred messages.
const MOST_AT_ONCE: usize = 20;
/// How many notifications are read at once.
const PIECE: i64 = 100;

/// Tells the webhook what jobs find.
pub(crate) struct Notifier {
    webhook: Webhook,
    pub(crate) links: Links,
}

impl Notifier {
    /// Reads the settings; `None` if there is no webhook.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub(crate) fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let links = Links::from_settings(settings)?;
        Ok(Webhook::from_settings(settings)?.map(|webhook| Self { webhook, links }))
    }

    /// Queues the anomalies that have opened or ended.
    pub(crate) fn queue_anomalies(&self, connection: &mut Connection) -> Result<(), DbError> {
        let now = Utc::now();
        let body = |turn, found: &[_]| messages::anomalies(&self.links, now, turn, found);
        notifications::queue_anomalies(connection, MOST_AT_ONCE, body).map(drop)
    }

    /// Queues what verify found, if it is something else than before.
    pub(crate) fn queue_verify(
        &self,
        connection: &mut Connection,
        proof: i64,
        verification: &Verification,
    ) -> Result<(), DbError> {
        let body = messages::verify(&self.links, proof, verification);
        notifications::queue_verify(connection, |last| state(verification, last), &body).map(drop)
    }

    /// Delivers what is queued, in order. What cannot be delivered stays queued.
    ///
    /// # Errors
    /// A sentence that says how many were not delivered, and why.
    pub(crate) fn deliver(
        &self,
        connection: &mut Connection,
        Queue { topics, lock }: Queue,
        settings: &Settings,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        if notifications::count_waiting(connection, topics)? == 0 {
            return Ok(());
        }
        let _only_one = Guard::wait(&database::url(settings)?, lock)?;
        let (mut after, mut delivered, mut problem) = (0, 0, None);
        'queue: loop {
            let waiting = notifications::waiting(connection, topics, after, PIECE)?;
            let Some(last) = waiting.last() else { break };
            after = last.number;
            for notification in &waiting {
                match self.webhook.deliver(notification, shutdown) {
                    Ok(()) => {
                        notifications::record(connection, notification.id, None)?;
                        delivered += 1;
                    }
                    Err(Undelivered::Stopped) => {
                        problem = Some("the job was asked to stop".to_owned());
                        break 'queue;
                    }
                    Err(Undelivered::Refused(why)) => {
                        notifications::record(connection, notification.id, Some(&why))?;
                        log::error!("the notification {} was not delivered: {why}", notification.id);
                        problem = Some(why);
                    }
                    Err(Undelivered::Away(why)) => {
                        notifications::record(connection, notification.id, Some(&why))?;
                        problem = Some(why);
                        break 'queue;
                    }
                }
            }
        }
        if delivered > 0 {
            remark!("{delivered} notifications delivered");
        }
        if let Some(why) = problem {
            let waiting = notifications::count_waiting(connection, topics)?;
            bail!("{waiting} notifications could not be delivered, the next run tries them again: {why}");
        }
        Ok(())
    }
}

/// The most names of what differs that are remembered.
const REMEMBERED: usize = 1000;

/// Returns the names of what differs, one a line, not the values, which move while ingest continues; empty for
/// nothing. What only a run of all days can find is still the case after one that read a few. `None` if such a run
/// found nothing else.
fn state(verification: &Verification, last: &str) -> Option<String> {
    let names = verification.differences.iter().map(|difference| format!("{} {}", difference.kind(), difference.key()));
    let ranges = verification.coverage.differences.iter().map(|range| {
        let Stretch { consumer_group, topic, partition, from_offset, .. } = range;
        format!("offsets {consumer_group} {topic}/{partition} {from_offset}")
    });
    let found: BTreeSet<String> = names.chain(ranges).collect();
    let is_partial = verification.extent != Extent::Everything;
    let needs_all = |name: &&str| name.starts_with("rating ") || name.starts_with("event ");
    let kept: BTreeSet<String> = last.lines().filter(|name| is_partial && needs_all(name)).map(str::to_owned).collect();
    if found.is_empty() && !kept.is_empty() {
        return None;
    }
    let all: Vec<String> = found.union(&kept).take(REMEMBERED).cloned().collect();
    Some(all.join("\n"))
}
