//! `analytics-jobs dead-letters list|show|replay|discard|purge`: works on records that could not
//! be counted.
//!
//! Bulk actions commit after a limited number of dead letters and check for shutdown in between. A
//! job that was stopped can be run again: replays are idempotent, and discarding and purging
//! continue with what is left.

use std::collections::BTreeMap;
use std::path::PathBuf;

use analytics_core::rejection::Reason;
use analytics_db::Connection;
use analytics_db::read::Tenant;
use analytics_db::read::dead_letters::{Action, DeadLetter, LetterFilter, newest, one};
use analytics_db::tables::dead_letters::NotKept;
use analytics_db::tables::dead_letters::{self, State};
use analytics_db::transactions::replay::replay;
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use analytics_process::{remark, say};
use anyhow::{Context, anyhow, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::actor::Actor;
use crate::database;

/// Number of dead letters that are replayed or discarded at once.
const PIECE: i64 = 500;

#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// List dead letters, newest records first
    ///
    /// Also lists, on standard error, the records whose dead letters were not kept because all dead
    /// letters together had reached DEAD_LETTER_MAX_TOTAL_BYTES.
    List {
        #[command(flatten)]
        which: Which,
        /// The state: open, replayed, discarded, or all
        #[arg(long, default_value = "open")]
        state: String,
        /// How many are listed at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
    },
    /// Show one dead letter with its headers, its payload, and the actions on it
    Show {
        /// The id of the dead letter
        id: Uuid,
    },
    /// Decode and count open dead letters again
    ///
    /// A dead letter counts once, no matter how often it is replayed. One that is rejected again
    /// stays open. Replaying needs the same settings as ingest: KAFKA_TOPICS, KAFKA_EXTRA_TOPICS,
    /// REDACT_FIELDS and MAX_RECORD_BYTES.
    Replay {
        #[command(flatten)]
        chosen: Chosen,
        /// A file with a corrected payload, to be counted instead of the original; needs one --id
        #[arg(long, value_name = "FILE", requires = "id")]
        payload: Option<PathBuf>,
    },
    /// Close open dead letters without counting them
    ///
    /// Deletes their payloads and keys. The dead letters themselves, and who discarded them, are
    /// kept until they are purged.
    Discard(Chosen),
    /// Delete dead letters that are older than DEAD_LETTER_DAYS
    ///
    /// For cron, once a day. The position of a record that was replayed is kept for DEDUPE_DAYS
    /// after the replay, so that the record does not count twice if ingest reads it again.
    Purge,
}

/// Filters of dead letters. All that are given must match.
#[derive(Debug, Args)]
pub struct Which {
    /// Only this dead letter; may be given several times
    #[arg(long)]
    id: Vec<Uuid>,
    /// Only those with this reason, such as invalid_amount
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// Only those from this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only those rejected at this time or later, such as 2026-11-01T00:00:00Z
    #[arg(long)]
    from: Option<DateTime<Utc>>,
    /// Only those rejected before this time
    #[arg(long)]
    to: Option<DateTime<Utc>>,
}

/// The dead letters to replay or to discard, and who does it.
#[derive(Debug, Args)]
pub struct Chosen {
    #[command(flatten)]
    which: Which,
    /// All open dead letters
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    actor: Actor,
}

fn reason(code: &str) -> Result<String, String> {
    let codes = || Reason::ALL.map(Reason::code).join(", ");
    Reason::of_code(code).map(|reason| reason.code().to_owned()).ok_or_else(|| format!("must be one of {}", codes()))
}

pub(super) fn run(command: DeadLetters, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    match command {
        DeadLetters::List { which, state, limit } => list(connection, which, &state, limit),
        DeadLetters::Show { id } => show(connection, id),
        DeadLetters::Replay { chosen, payload } => replay_chosen(connection, chosen, payload, settings, shutdown),
        DeadLetters::Discard(chosen) => discard_chosen(connection, chosen, shutdown),
        DeadLetters::Purge => purge(connection, settings, shutdown),
    }
}

impl Which {
    fn filter(self, state: Option<State>) -> LetterFilter {
        let Self { id, reason, topic, from, to } = self;
        LetterFilter { ids: id, state, reason, topic, from, to }
    }
}

impl Chosen {
    /// Returns the filter.
    ///
    /// # Errors
    /// If neither a filter nor `--all` was given.
    fn filter(self, state: Option<State>) -> anyhow::Result<LetterFilter> {
        let all = self.all;
        let filter = self.which.filter(state);
        let chosen = !filter.ids.is_empty()
            || filter.reason.is_some()
            || filter.topic.is_some()
            || filter.from.is_some()
            || filter.to.is_some();
        if !chosen && !all {
            bail!("select dead letters with --id, --reason, --topic, --from or --to, or all open ones with --all");
        }
        Ok(filter)
    }
}

/// Returns at most `limit` dead letters, newest records first, before the one with the id `before`.
/// Access is that of an operator, who may read everything.
fn page(
    connection: &mut Connection,
    filter: &LetterFilter,
    before: Option<Uuid>,
    limit: i64,
) -> anyhow::Result<Vec<DeadLetter>> {
    let access = Tenant::Marketplace.event_log().context("operators have no access to the event log")?;
    Ok(newest(connection, access, filter, before, limit)?)
}

fn list(connection: &mut Connection, which: Which, state: &str, limit: i64) -> anyhow::Result<()> {
    let state = match state {
        "all" => None,
        named => Some(State::named(named).map_err(|why| anyhow!("--state: {why}, or all"))?),
    };
    let letters = page(connection, &which.filter(state), None, limit)?;
    say!("{:<36}  {:<20}  {:<9}  {:<18}  {:<32}  DETAIL", "ID", "REJECTED", "STATE", "REASON", "PLACE");
    for letter in &letters {
        let place = format!("{}/{}@{}", letter.topic, letter.partition, letter.offset);
        say!(
            "{}  {}  {:<9}  {:<18}  {place:<32}  {}",
            letter.id,
            time(letter.created_at),
            letter.state,
            letter.reason,
            letter.detail
        );
    }
    remark!("{} dead letters", letters.len());
    for stretch in dead_letters::not_kept(connection)? {
        let NotKept { topic, partition, reason, first_offset, last_offset, letters } = stretch;
        remark!(
            "not kept because of DEAD_LETTER_MAX_TOTAL_BYTES: {letters} records of {topic}/{partition} with {reason}, \
             offsets {first_offset} to {last_offset}; `analytics-jobs offsets set` has ingest read them again"
        );
    }
    Ok(())
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn show(connection: &mut Connection, id: Uuid) -> anyhow::Result<()> {
    let access = Tenant::Marketplace.event_log().context("operators have no access to the event log")?;
    let Some((letter, contents, actions)) = one(connection, access, id)? else { bail!("there is no dead letter {id}") };
    say!("id         {}", letter.id);
    say!("place      {}/{} offset {}", letter.topic, letter.partition, letter.offset);
    say!("timestamp  {}", letter.record_timestamp.map_or("-".into(), time));
    say!("rejected   {}", time(letter.created_at));
    say!("state      {}", letter.state);
    say!("reason     {}: {}", letter.reason, letter.detail);
    say!("headers    {}", serde_json::to_string(&contents.headers)?);
    let kept = contents.payload.as_ref().map_or(0, Vec::len);
    say!("payload    {} bytes, {kept} kept", letter.payload_bytes.map_or("no".into(), |bytes| bytes.to_string()));
    if let Some(payload) = &contents.payload {
        say!("{}", String::from_utf8_lossy(payload));
    }
    for Action { action, acted_at, actor, result, event_id, detail, corrected } in actions {
        let event = event_id.map_or(String::new(), |event| format!(" as event {event}"));
        let corrected = if corrected { " with a corrected payload" } else { "" };
        let detail = detail.map_or(String::new(), |detail| format!(": {detail}"));
        say!("{}  {action}{corrected} by {actor}: {result}{event}{detail}", time(acted_at));
    }
    Ok(())
}

/// Does `work` for the selected dead letters, [`PIECE`] at a time, until a shutdown is requested.
/// Reports progress on standard error.
fn each_piece(
    connection: &mut Connection,
    filter: &LetterFilter,
    shutdown: &Shutdown,
    mut work: impl FnMut(&mut Connection, &[Uuid]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut before = None;
    let mut done = 0;
    while !shutdown.requested() {
        let ids: Vec<Uuid> = page(connection, filter, before, PIECE)?.into_iter().map(|letter| letter.id).collect();
        let Some(last) = ids.last() else { break };
        before = Some(*last);
        work(connection, &ids)?;
        done += ids.len();
        remark!("{done} dead letters processed");
    }
    Ok(())
}

fn replay_chosen(
    connection: &mut Connection,
    chosen: Chosen,
    payload: Option<PathBuf>,
    settings: &Settings,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let decoder = settings.decoder()?;
    let actor = chosen.actor.clone();
    // A dead letter that is given by its id is replayed in any state, and the action is recorded.
    let named = chosen.which.id.clone();
    let filter = chosen.filter(if named.is_empty() { Some(State::Open) } else { None })?;
    let corrected = payload.map(|path| std::fs::read(&path).with_context(|| path.display().to_string())).transpose()?;
    if corrected.is_some() && named.len() != 1 {
        bail!("--payload: needs exactly one --id");
    }
    let mut results: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut seen = Vec::new();
    each_piece(connection, &filter, shutdown, |connection, ids| {
        seen.extend(ids.iter().filter(|id| named.contains(id)));
        for replayed in replay(connection, ids, corrected.as_deref(), &decoder, actor.name())? {
            let (name, why) = match replayed.result {
                Ok(outcome) => (outcome.name(), outcome.detail()),
                Err(why) => ("not replayed", Some(why.to_string())),
            };
            *results.entry(name).or_default() += 1;
            if let Some(why) = why {
                say!("{}: {why}", replayed.id);
            }
        }
        Ok(())
    })?;
    if let Some(unknown) = named.iter().find(|id| !seen.contains(*id)) {
        bail!("there is no dead letter {unknown} that the other options select");
    }
    let counts: Vec<String> = results.iter().map(|(name, count)| format!("{count} {name}")).collect();
    say!("{}", if counts.is_empty() { "no dead letters to replay".into() } else { counts.join(", ") });
    Ok(())
}

fn discard_chosen(connection: &mut Connection, chosen: Chosen, shutdown: &Shutdown) -> anyhow::Result<()> {
    let actor = chosen.actor.clone();
    let filter = chosen.filter(Some(State::Open))?;
    let mut discarded = 0;
    each_piece(connection, &filter, shutdown, |connection, ids| {
        discarded += dead_letters::discard(connection, ids, actor.name())?.len();
        Ok(())
    })?;
    say!("{discarded} discarded");
    Ok(())
}

/// Returns for how many days dead letters are kept after their rejection, and for how many days the
/// places of replayed ones are kept after the replay.
pub(super) fn days(settings: &Settings) -> Result<(u32, u32), SettingsError> {
    Ok((settings.number("DEAD_LETTER_DAYS", 1..=36_500, "days")?, settings.number("DEDUPE_DAYS", 1..=36_500, "days")?))
}

/// Deletes old dead letters: `dead-letters purge`.
pub(super) fn purge_old(settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    purge(&mut database::ready(settings, shutdown)?, settings, shutdown)
}

fn purge(connection: &mut Connection, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let (days, dedupe_days) = days(settings)?;
    let mut forgotten = 0;
    while !shutdown.requested() {
        let piece = dead_letters::forget(connection, days, dedupe_days, PIECE * 10)?;
        forgotten += piece;
        if piece == 0 {
            break;
        }
    }
    say!("{forgotten} dead letters older than {days} days purged");
    Ok(())
}
