//! `analytics-jobs offsets show|set|forget|accept`: the stored offsets, at which counting continues.

use std::collections::BTreeMap;

use analytics_core::record::{Offset, TopicPartition};
use analytics_db::tables::audit_log::{Action, Entry};
use analytics_db::tables::{ingest_offsets as offsets, offset_ranges};
use analytics_db::transactions::administer::administer;
use analytics_process::say;
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use chrono::{SecondsFormat, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::actor::Actor;
use crate::database;

#[derive(Debug, Subcommand)]
pub enum Offsets {
    /// Show the stored offset, the lag and the counts of each partition
    Show,
    /// Set the offset at which counting of a partition continues
    ///
    /// A running worker notices within seconds and continues there. Moving an offset back is always
    /// safe: records that were counted before are recognised and change no number. Moving it
    /// forward skips records, which `verify` reports as a gap.
    Set(Set),
    /// Remove the stored offsets of a retired topic
    ///
    /// What was counted stays counted. A topic that is still mapped is read again, from its
    /// beginning or from where KAFKA_START says, once it is assigned to a worker again. Events that
    /// were counted within the last DEDUPE_DAYS are recognised and do not count twice.
    Forget(OfTopic),
    /// Accept that what was counted of a topic differs from what Kafka held
    ///
    /// For differences that `verify` lists and that cannot be settled, because Kafka does not hold
    /// the records any longer. They are listed as gaps from then on, and `verify` and
    /// `analytics-ingest audit` succeed. No number changes. If Kafka still holds the records, use
    /// `set` instead, to count them.
    Accept(OfTopic),
}

#[derive(Debug, Args)]
pub struct OfTopic {
    /// The consumer group; by default KAFKA_GROUP_ID
    #[arg(long)]
    group: Option<String>,
    /// The topic
    #[arg(long)]
    topic: String,
    /// The partition; by default all
    #[arg(long)]
    partition: Option<i32>,
    #[command(flatten)]
    actor: Actor,
}

#[derive(Debug, Args)]
pub struct Set {
    /// The consumer group; by default KAFKA_GROUP_ID
    #[arg(long)]
    group: Option<String>,
    /// The topic
    #[arg(long)]
    topic: String,
    /// The partition; by default all that have a stored offset
    #[arg(long)]
    partition: Option<i32>,
    /// The offset of the next record to count
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    offset: i64,
    #[command(flatten)]
    actor: Actor,
}

pub(super) fn run(command: Offsets, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    let stored = offsets::all(connection)?;
    match command {
        Offsets::Show => show(&stored),
        Offsets::Set(Set { group, topic, partition, offset, actor }) => {
            let group = group_of(group, settings)?;
            let of_group = stored.iter().filter(|row| row.consumer_group == group && row.topic == topic);
            let rows: Vec<_> = of_group.filter(|row| partition.is_none_or(|number| number == row.partition)).collect();
            if rows.is_empty() {
                bail!("{}", never_read(&group, &topic, partition));
            }
            for row in rows {
                let partition = TopicPartition { topic: row.topic.as_str().into(), partition: row.partition };
                let detail = json!({ "from": row.next_offset, "to": offset });
                let entry = entry(&actor, Action::SetOffset, format!("{group} {partition}"), detail);
                administer(connection, |connection| {
                    let set = offsets::set(connection, &group, &partition, Offset(offset))?;
                    Ok(((), set.then(|| entry.clone())))
                })?;
                say!("{group} {partition}: {} -> {offset}", row.next_offset);
            }
        }
        Offsets::Accept(OfTopic { group, topic, partition, actor }) => {
            let group = group_of(group, settings)?;
            let accepted = administer(connection, |connection| {
                let accepted = offset_ranges::accept(connection, &group, &topic, partition)?;
                let detail = json!({ "partition": partition, "ranges": accepted });
                let entry = entry(&actor, Action::AcceptDifferences, format!("{group} {topic}"), detail);
                Ok((accepted, (accepted > 0).then_some(entry)))
            })?;
            match accepted {
                0 => {
                    bail!("nothing of {topic} that the consumer group {group} has counted differs from what Kafka held")
                }
                accepted => say!("{group} {topic}: accepted {accepted} ranges that differ"),
            }
        }
        Offsets::Forget(OfTopic { group, topic, partition, actor }) => {
            let group = group_of(group, settings)?;
            let lost: BTreeMap<i32, i64> = stored
                .iter()
                .filter(|row| row.consumer_group == group && row.topic == topic)
                .filter(|row| partition.is_none_or(|number| number == row.partition))
                .map(|row| (row.partition, row.next_offset))
                .collect();
            let entry = entry(&actor, Action::ForgetOffsets, format!("{group} {topic}"), json!({ "offsets": lost }));
            let forgotten = administer(connection, |connection| {
                let forgotten = offsets::forget(connection, &group, &topic, partition)?;
                Ok((forgotten, forgotten.map(|_| entry.clone())))
            })?;
            match forgotten {
                None => bail!("{}", never_read(&group, &topic, partition)),
                Some(forgotten) => say!("{group} {topic}: removed the stored offsets of {forgotten} partitions"),
            }
        }
    }
    Ok(())
}

fn entry(actor: &Actor, action: Action, subject: String, detail: Value) -> Entry {
    Entry { actor: actor.name().to_owned(), action, subject, detail }
}

fn group_of(named: Option<String>, settings: &Settings) -> Result<String, SettingsError> {
    named.map_or_else(|| settings.required("KAFKA_GROUP_ID").map(str::to_owned), Ok)
}

fn never_read(group: &str, topic: &str, partition: Option<i32>) -> String {
    let partition = partition.map_or(String::new(), |number| format!("/{number}"));
    format!("the consumer group {group} has no stored offset of {topic}{partition}")
}

fn show(stored: &[offsets::StoredOffset]) {
    say!(
        "{:<24} {:<28} {:>9} {:>12} {:>12} {:>10} {:>12} {:>10} {:>10}  {:<24} REPORTED",
        "GROUP",
        "TOPIC",
        "PARTITION",
        "NEXT OFFSET",
        "COUNTED",
        "LAG",
        "EVENTS",
        "DUPLICATES",
        "REJECTED",
        "LAST EVENT"
    );
    for row in stored {
        let lag = row.lag().map_or("?".to_owned(), |lag| lag.to_string());
        let last = row.last_event_time.map_or("-".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
        let seen = (Utc::now() - row.updated_at).num_seconds().max(0);
        say!(
            "{:<24} {:<28} {:>9} {:>12} {:>12} {lag:>10} {:>12} {:>10} {:>10}  {last:<24} {seen} s ago",
            row.consumer_group,
            row.topic,
            row.partition,
            row.next_offset,
            row.counted_offset,
            row.events,
            row.duplicates,
            row.rejected
        );
    }
}
