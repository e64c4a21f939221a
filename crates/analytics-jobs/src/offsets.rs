//! `analytics-jobs offsets show|set|forget`

use analytics_core::record::{Offset, TopicPartition};
use analytics_db::tables::ingest_offsets as offsets;
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use chrono::{SecondsFormat, Utc};
use clap::{Args, Subcommand};

use crate::database;

#[derive(Debug, Subcommand)]
pub enum Offsets {
    /// Show how far each partition is counted
    Show,
    /// Set the next offset of a partition that was read before
    ///
    /// A running worker notices within seconds and goes on from there. Records that were counted
    /// already are recognised and change no number, so setting back is always safe; setting
    /// forward skips records.
    Set(Set),
    /// Forget how far a topic is counted that is retired
    ///
    /// What was counted stays counted. A topic of the mapping is taken up again from its beginning, or
    /// where KAFKA_START says, once a worker has it assigned anew: its records are recognised and counted
    /// once, as far as DEDUPE_DAYS reaches.
    Forget(Forget),
}

#[derive(Debug, Args)]
pub struct Forget {
    /// The consumer group; KAFKA_GROUP_ID if it is not given
    #[arg(long)]
    group: Option<String>,
    /// The topic
    #[arg(long)]
    topic: String,
    /// The partition; all that the group has read if it is not given
    #[arg(long)]
    partition: Option<i32>,
}

#[derive(Debug, Args)]
pub struct Set {
    /// The consumer group; KAFKA_GROUP_ID if it is not given
    #[arg(long)]
    group: Option<String>,
    /// The topic
    #[arg(long)]
    topic: String,
    /// The partition; all that the group has read if it is not given
    #[arg(long)]
    partition: Option<i32>,
    /// The next offset to count
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    offset: i64,
}

pub(super) fn run(command: Offsets, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    let stored = offsets::all(connection)?;
    match command {
        Offsets::Show => show(&stored),
        Offsets::Set(Set { group, topic, partition, offset }) => {
            let group = group_of(group, settings)?;
            let of_group = stored.iter().filter(|row| row.consumer_group == group && row.topic == topic);
            let rows: Vec<_> = of_group.filter(|row| partition.is_none_or(|number| number == row.partition)).collect();
            if rows.is_empty() {
                bail!("{}", never_read(&group, &topic, partition));
            }
            for row in rows {
                let partition = TopicPartition { topic: row.topic.as_str().into(), partition: row.partition };
                offsets::set(connection, &group, &partition, Offset(offset))?;
                println!("{group} {partition}: {} -> {offset}", row.next_offset);
            }
        }
        Offsets::Forget(Forget { group, topic, partition }) => {
            let group = group_of(group, settings)?;
            match offsets::forget(connection, &group, &topic, partition)? {
                None => bail!("{}", never_read(&group, &topic, partition)),
                Some(forgotten) => println!("{group} {topic}: {forgotten} partitions forgotten"),
            }
        }
    }
    Ok(())
}

fn group_of(named: Option<String>, settings: &Settings) -> Result<String, SettingsError> {
    named.map_or_else(|| settings.required("KAFKA_GROUP_ID").map(str::to_owned), Ok)
}

fn never_read(group: &str, topic: &str, partition: Option<i32>) -> String {
    let partition = partition.map_or(String::new(), |number| format!("/{number}"));
    format!("the group {group} has never read {topic}{partition}")
}

fn show(stored: &[offsets::StoredOffset]) {
    println!(
        "{:<24} {:<28} {:>9} {:>12} {:>10} {:>12} {:>10} {:>10}  {:<24} SEEN",
        "GROUP", "TOPIC", "PARTITION", "NEXT OFFSET", "LAG", "EVENTS", "DUPLICATES", "REJECTED", "LAST EVENT"
    );
    for row in stored {
        let lag = row.lag().map_or("?".to_owned(), |lag| lag.to_string());
        let last = row.last_event_time.map_or("-".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
        let seen = (Utc::now() - row.updated_at).num_seconds().max(0);
        println!(
            "{:<24} {:<28} {:>9} {:>12} {lag:>10} {:>12} {:>10} {:>10}  {last:<24} {seen} s ago",
            row.consumer_group, row.topic, row.partition, row.next_offset, row.events, row.duplicates, row.rejected
        );
    }
}
