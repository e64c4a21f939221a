//! `analytics-ingest audit`: reads what was counted from Kafka once more, and compares it with what ingest was
//! given. `reader` reads ranges of offsets, `digest` computes what they hold.

mod digest;
mod reader;

use std::collections::HashMap;
use std::time::Duration;

use analytics_db::locks::{Guard, Lock};
use analytics_db::tables::ingest_topics;
use analytics_db::tables::offset_ranges::{self, Finding, Range};
use analytics_db::{Connection, DbError, connection, usable};
use analytics_process::shutdown::Shutdown;
use analytics_process::waiting::{Failed, until_available};
use anyhow::{Context as _, bail};

use crate::oauth::Tokens;
use crate::settings::IngestSettings;
use digest::Held;
use reader::{Reader, Unread};

/// How often a range that differs or is damaged is read.
const ATTEMPTS: u32 = 2;
/// How many ranges are loaded at once.
const AT_ONCE: i64 = 1_000;
/// How long an audit may continue after it was asked to stop.
const GRACE: Duration = Duration::from_secs(6);

/// What an audit has done.
#[derive(Debug, Default)]
struct Done {
    equal: u64,
    different: u64,
    gone: u64,
    /// Ranges that could not be audited now.
    left: u64,
    /// Records that Kafka held.
    records: i64,
}

/// What is known about one range after it was read, or could not be.
enum Outcome {
    /// This is stored.
    Found(Finding),
    /// It is left to the next audit, for this reason.
    Left(String),
    /// The process was asked to stop.
    Stopped,
}

/// Audits every range of the group that is not audited yet.
///
/// # Errors
/// A sentence if something differs, or if the database or Kafka failed. What was audited before is stored.
pub fn run(settings: &IngestSettings, shutdown: &Shutdown) -> anyhow::Result<()> {
    shutdown.enforce(GRACE)?;
    let mut warn = said_once("the database");
    let Some(mut connection) = until_available(shutdown, || connect(settings), &mut warn)? else {
        bail!("stopped before the database could be reached")
    };
    if until_available(shutdown, || has_token(settings), said_once("the identity provider"))?.is_none() {
        bail!("stopped before there was a token for Kafka")
    }
    let Some(_guard) = Guard::at_once(&settings.database_url, Lock::Audit)? else {
        println!("another audit is running, and this one has nothing to do");
        return Ok(());
    };
    let mut audit = Audit { settings, shutdown, reader: Reader::new(settings, shutdown)?, done: Done::default() };
    offset_ranges::close(&mut connection, &settings.group_id)?;
    let partitions = offset_ranges::to_audit(&mut connection, &settings.group_id)?;
    let audited = partitions.iter().try_for_each(|(topic, number)| audit.partition(&mut connection, topic, *number));
    let Done { equal, different, gone, left, records } = &audit.done;
    println!(
        "audited {} ranges with {records} records: {equal} equal, {different} different, {gone} gone; {left} ranges left",
        equal + different + gone,
    );
    audited?;
    if shutdown.requested() {
        bail!("stopped before every range was audited; the next audit continues");
    }
    match (offset_ranges::different(&mut connection, &settings.group_id)?, *left) {
        (0, 0) => Ok(()),
        (0, left) => bail!("{left} ranges could not be audited; the next audit tries again"),
        (ranges, _) => bail!("{ranges} ranges differ from what Kafka held; `analytics-jobs verify` lists them"),
    }
}

fn connect(settings: &IngestSettings) -> Result<Connection, Failed<DbError>> {
    let connected = connection::connect(&settings.database_url, "analytics-audit").and_then(|mut connection| {
        usable::check(&mut connection, settings.decoder.business)?;
        Ok(connection)
    });
    connected.map_err(|error| match error {
        DbError::Unreachable(why) => Failed::Away(why),
        error => Failed::Unusable(error),
    })
}

/// Checks that the clients of Kafka can authenticate themselves, if they need a token for it.
fn has_token(settings: &IngestSettings) -> Result<(), Failed<DbError>> {
    settings.tokens.as_ref().map_or(Ok(()), Tokens::wait).map_err(Failed::Away)
}

/// Returns a function that logs each reason to wait once.
fn said_once(what: &'static str) -> impl FnMut(&str) {
    let mut said = String::new();
    move |why| {
        if said != why {
            log::warn!("waiting for {what}: {why}");
            why.clone_into(&mut said);
        }
    }
}

struct Audit<'a> {
    settings: &'a IngestSettings,
    shutdown: &'a Shutdown,
    reader: Reader<'a>,
    done: Done,
}

impl Audit<'_> {
    /// Audits the ranges of one partition, in the order in which they were logged: retention takes the oldest
    /// first.
    fn partition(&mut self, connection: &mut Connection, topic: &str, partition: i32) -> anyhow::Result<()> {
        let mut after = i64::MIN;
        loop {
            let ranges =
                offset_ranges::waiting(connection, &self.settings.group_id, (topic, partition), after, AT_ONCE)?;
            let Some(last) = ranges.last() else { return Ok(()) };
            after = last.id;
            for range in &ranges {
                if self.shutdown.requested() {
                    return Ok(());
                }
                let name = format!("{topic}/{partition}, offsets {} to {}", range.from_offset, range.to_offset - 1);
                match self.range(connection, range).with_context(|| name.clone())? {
                    Outcome::Stopped => return Ok(()),
                    Outcome::Left(why) => {
                        log::warn!("{name}: left to the next audit: {why}");
                        self.done.left += 1;
                    }
                    Outcome::Found(finding) => {
                        offset_ranges::settle(connection, range, &finding)?;
                        self.done.note(&name, &finding);
                    }
                }
            }
        }
    }

    /// Audits one range.
    fn range(&mut self, connection: &mut Connection, range: &Range) -> anyhow::Result<Outcome> {
        if range.from_offset >= range.to_offset {
            // It has no place in Kafka, whatever Kafka holds.
            let is_empty = range.records == 0;
            let finding = if is_empty { Finding::Equal } else { different(range, Held::default()) };
            return Ok(Outcome::Found(finding));
        }
        if let Some(result) = self.obstacle(connection, range)? {
            return Ok(result);
        }
        let mut attempt = 1;
        let held = loop {
            let held = match self.reader.read(range) {
                Ok(held) => held,
                Err(Unread::Stopped) => return Ok(Outcome::Stopped),
                // It may have been damaged on the way.
                Err(Unread::Damaged) if attempt < ATTEMPTS => {
                    self.reader.start_over();
                    attempt += 1;
                    continue;
                }
                Err(Unread::Damaged) => {
                    return Ok(Outcome::Found(gone("the records are damaged on the broker: they cannot be read")));
                }
                Err(Unread::NotHeld) => {
                    let obstacle = self.obstacle(connection, range)?;
                    return Ok(obstacle.unwrap_or_else(|| Outcome::Left("Kafka has no such offset".into())));
                }
                Err(Unread::Failed(why)) => return Ok(Outcome::Left(why)),
                Err(Unread::Silent) => bail!("Kafka sends nothing; what was audited is stored, run the audit again"),
            };
            self.done.records += held.records;
            if held.records == range.records && held.digest.to_string() == range.digest {
                return Ok(Outcome::Found(Finding::Equal));
            }
            // What was read may have changed while it was read.
            if let Some(result) = self.obstacle(connection, range)? {
                return Ok(result);
            }
            // A new leader may have said for a moment that the partition ends earlier.
            if attempt == ATTEMPTS {
                break held;
            }
            self.reader.start_over();
            attempt += 1;
        };
        if held.records < range.records {
            match self.reader.is_compacted(&range.topic) {
                Ok(true) => return Ok(Outcome::Found(gone("compaction has removed records of it"))),
                Ok(false) => {}
                Err(error) => {
                    return Ok(Outcome::Left(format!(
                        "Kafka holds fewer records, and does not say whether the topic is compacted \
                         (the user needs DescribeConfigs): {error}"
                    )));
                }
            }
        }
        Ok(Outcome::Found(different(range, held)))
    }

    /// Returns what keeps a range from being compared, if anything does: its records are gone, or are those of
    /// another topic.
    fn obstacle(&self, connection: &mut Connection, range: &Range) -> anyhow::Result<Option<Outcome>> {
        let Range { topic, partition, from_offset, to_offset, .. } = range;
        if !range.is_current || !offset_ranges::is_current(connection, range)? {
            let why = "the topic was deleted and recreated, or has lost its end";
            return Ok(Some(Outcome::Found(gone(why))));
        }
        let id = match self.reader.topic_id(topic) {
            Ok(id) => id,
            Err(error) => return Ok(Some(Outcome::Left(format!("Kafka does not describe the topic: {error}")))),
        };
        let counted: HashMap<_, _> = ingest_topics::ids(connection, &self.settings.group_id)?;
        if let (Some(id), Some(counted)) = (&id, counted.get(topic))
            && id != counted
        {
            return Ok(Some(Outcome::Left("the topic was recreated, and ingest has not noticed yet".into())));
        }
        let (first, end) = match self.reader.ends(topic, *partition) {
            Ok(ends) => ends,
            Err(error) => return Ok(Some(Outcome::Left(format!("Kafka did not say what it holds: {error}")))),
        };
        Ok(if first > *from_offset {
            Some(Outcome::Found(gone("retention has removed records of it")))
        } else if end < *to_offset {
            Some(Outcome::Left(format!("the partition ends at {end}")))
        } else {
            None
        })
    }
}

fn gone(reason: &str) -> Finding {
    Finding::Gone { reason: reason.into() }
}

fn different(range: &Range, held: Held) -> Finding {
    let reason = if held.records == range.records {
        format!("Kafka holds {} records, as many as ingest was given, but others", held.records)
    } else {
        format!("Kafka holds {} records, ingest was given {}", held.records, range.records)
    };
    Finding::Different { reason, records: held.records, digest: held.digest.to_string() }
}

impl Done {
    /// Counts what was found of a range, and prints it if it is not equal.
    fn note(&mut self, name: &str, finding: &Finding) {
        match finding {
            Finding::Equal => self.equal += 1,
            Finding::Different { reason, .. } => {
                self.different += 1;
                println!("{name}: {reason}");
            }
            Finding::Gone { reason } => {
                self.gone += 1;
                println!("{name}: gone: {reason}");
            }
        }
    }
}
