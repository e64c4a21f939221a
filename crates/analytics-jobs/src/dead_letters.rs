//! `analytics-jobs dead-letters list|show|replay|discard|purge`

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
use anyhow::{Context, anyhow, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::database;

/// How many dead letters one transaction replays or discards.
const PIECE: i64 = 500;

#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// List dead letters, newest records first
    List {
        #[command(flatten)]
        which: Which,
        /// open, replayed, discarded, or all
        #[arg(long, default_value = "open")]
        state: String,
        /// The most that are listed
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
    },
    /// Show one dead letter, its payload, and what was done with it
    Show {
        /// Its id
        id: Uuid,
    },
    /// Try open dead letters again, by the ordinary decoding and counting
    ///
    /// Each counts once, however often it is replayed. What is refused again stays open.
    Replay {
        #[command(flatten)]
        chosen: Chosen,
        /// A file with the payload to count in place of the original, for one dead letter
        #[arg(long, value_name = "FILE", requires = "id")]
        payload: Option<PathBuf>,
    },
    /// Decide that dead letters are not to be counted: their bytes go, the trace stays
    Discard(Chosen),
    /// Forget dead letters that are older than DEAD_LETTER_DAYS
    Purge,
}

/// Which dead letters.
#[derive(Debug, Args)]
pub struct Which {
    /// Of this id; may be given several times
    #[arg(long)]
    id: Vec<Uuid>,
    /// With this reason, such as invalid_amount
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// From this topic
    #[arg(long)]
    topic: Option<String>,
    /// Refused at this time or later, as in 2026-11-01T00:00:00Z
    #[arg(long)]
    from: Option<DateTime<Utc>>,
    /// Refused before this time
    #[arg(long)]
    to: Option<DateTime<Utc>>,
}

/// The dead letters that something is to be done with.
#[derive(Debug, Args)]
pub struct Chosen {
    #[command(flatten)]
    which: Which,
    /// All that are open
    #[arg(long)]
    all: bool,
    /// Who does it, for the trace
    #[arg(long, env = "USER", default_value = "operator")]
    actor: String,
}

fn reason(code: &str) -> Result<String, String> {
    let codes = || Reason::ALL.map(Reason::code).join(", ");
    Reason::of_code(code).map(|reason| reason.code().to_owned()).ok_or_else(|| format!("there are {}", codes()))
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
    /// The filter, if anything was chosen at all.
    fn filter(self, state: Option<State>) -> anyhow::Result<LetterFilter> {
        let all = self.all;
        let filter = self.which.filter(state);
        let chosen = !filter.ids.is_empty()
            || filter.reason.is_some()
            || filter.topic.is_some()
            || filter.from.is_some()
            || filter.to.is_some();
        if !chosen && !all {
            bail!("say which: --id, --reason, --topic, --from, --to, or --all");
        }
        Ok(filter)
    }
}

/// Operators read and write everything.
fn page(
    connection: &mut Connection,
    filter: &LetterFilter,
    before: Option<Uuid>,
    limit: i64,
) -> anyhow::Result<Vec<DeadLetter>> {
    let access = Tenant::Marketplace.event_log().context("operators may read the log")?;
    Ok(newest(connection, access, filter, before, limit)?)
}

fn list(connection: &mut Connection, which: Which, state: &str, limit: i64) -> anyhow::Result<()> {
    let state = match state {
        "all" => None,
        named => Some(State::named(named).map_err(|why| anyhow!("--state: {why}, or all"))?),
    };
    let letters = page(connection, &which.filter(state), None, limit)?;
    println!("{:<36}  {:<20}  {:<9}  {:<18}  {:<32}  DETAIL", "ID", "REFUSED", "STATE", "REASON", "PLACE");
    for letter in &letters {
        let place = format!("{}/{}@{}", letter.topic, letter.partition, letter.offset);
        println!(
            "{}  {}  {:<9}  {:<18}  {place:<32}  {}",
            letter.id,
            time(letter.created_at),
            letter.state,
            letter.reason,
            letter.detail
        );
    }
    eprintln!("{} dead letters", letters.len());
    for stretch in dead_letters::not_kept(connection)? {
        let NotKept { topic, partition, reason, first_offset, last_offset, letters } = stretch;
        eprintln!(
            "not kept, because of DEAD_LETTER_MAX_TOTAL_BYTES: {letters} of {topic}/{partition} with {reason}, \
             offsets {first_offset} to {last_offset}; offsets set has them read again"
        );
    }
    Ok(())
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn show(connection: &mut Connection, id: Uuid) -> anyhow::Result<()> {
    let access = Tenant::Marketplace.event_log().context("operators may read the log")?;
    let Some((letter, contents, actions)) = one(connection, access, id)? else { bail!("there is no dead letter {id}") };
    println!("id         {}", letter.id);
    println!("place      {}/{} offset {}", letter.topic, letter.partition, letter.offset);
    println!("timestamp  {}", letter.record_timestamp.map_or("-".into(), time));
    println!("refused    {}", time(letter.created_at));
    println!("state      {}", letter.state);
    println!("reason     {}: {}", letter.reason, letter.detail);
    println!("headers    {}", serde_json::to_string(&contents.headers)?);
    let kept = contents.payload.as_ref().map_or(0, Vec::len);
    println!("payload    {} bytes, {kept} kept", letter.payload_bytes.map_or("no".into(), |bytes| bytes.to_string()));
    if let Some(payload) = &contents.payload {
        println!("{}", String::from_utf8_lossy(payload));
    }
    for Action { action, acted_at, actor, result, event_id, detail, corrected } in actions {
        let event = event_id.map_or(String::new(), |event| format!(" as event {event}"));
        let corrected = if corrected { " with another payload" } else { "" };
        let detail = detail.map_or(String::new(), |detail| format!(": {detail}"));
        println!("{}  {action}{corrected} by {actor}: {result}{event}{detail}", time(acted_at));
    }
    Ok(())
}

/// Works through the chosen open letters, a piece at a time, and says how far it is.
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
        eprintln!("{done} dead letters done");
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
    // One that is named may be replayed again; the trace then says that it repeats.
    let named = chosen.which.id.clone();
    let filter = chosen.filter(if named.is_empty() { Some(State::Open) } else { None })?;
    let corrected = payload.map(|path| std::fs::read(&path).with_context(|| path.display().to_string())).transpose()?;
    if corrected.is_some() && named.len() != 1 {
        bail!("a corrected payload is for one dead letter: give one --id");
    }
    let mut results: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut seen = Vec::new();
    each_piece(connection, &filter, shutdown, |connection, ids| {
        seen.extend(ids.iter().filter(|id| named.contains(id)));
        for replayed in replay(connection, ids, corrected.as_deref(), &decoder, &actor)? {
            let (name, why) = match replayed.result {
                Ok(outcome) => (outcome.name(), outcome.detail()),
                Err(why) => ("not tried", Some(why.to_string())),
            };
            *results.entry(name).or_default() += 1;
            if let Some(why) = why {
                println!("{}: {why}", replayed.id);
            }
        }
        Ok(())
    })?;
    if let Some(unknown) = named.iter().find(|id| !seen.contains(*id)) {
        bail!("there is no dead letter {unknown}, or it is none of those that were chosen");
    }
    let counts: Vec<String> = results.iter().map(|(name, count)| format!("{count} {name}")).collect();
    println!("{}", if counts.is_empty() { "no dead letters".into() } else { counts.join(", ") });
    Ok(())
}

fn discard_chosen(connection: &mut Connection, chosen: Chosen, shutdown: &Shutdown) -> anyhow::Result<()> {
    let actor = chosen.actor.clone();
    let filter = chosen.filter(Some(State::Open))?;
    let mut discarded = 0;
    each_piece(connection, &filter, shutdown, |connection, ids| {
        discarded += dead_letters::discard(connection, ids, &actor)?.len();
        Ok(())
    })?;
    println!("{discarded} discarded");
    Ok(())
}

/// How many days dead letters are kept, and how many the places of replayed ones stay known after that.
pub(super) fn days(settings: &Settings) -> Result<(u32, u32), SettingsError> {
    Ok((settings.number("DEAD_LETTER_DAYS", 1..=36_500, "days")?, settings.number("DEDUPE_DAYS", 1..=36_500, "days")?))
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
    println!("{forgotten} dead letters older than {days} days forgotten");
    Ok(())
}
