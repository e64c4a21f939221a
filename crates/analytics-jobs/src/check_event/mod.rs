//! `analytics-jobs check-event`: says how the events in a file would be counted. For the CI of
//! producers: it needs no database.

mod records;
mod report;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use analytics_core::dedupe::{Known, Verdict};
use analytics_core::deltas::Deltas;
use analytics_core::event::Event;
use analytics_core::events::Decoder;
use analytics_core::identity::EventId;
use analytics_core::maps::HashMap;
use analytics_core::record::{Header, Offset, Place, Record, TopicPartition};
use analytics_core::rejection::{Reason, Rejection};
use analytics_core::rules;
use analytics_core::topics::EventType;
use analytics_process::remark;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anyhow::{Context, bail, ensure};
use chrono::{DateTime, SubsecRound as _, Utc};
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};

use records::{Found, Records};
use report::Reporter;

#[derive(Debug, Args)]
pub struct CheckEvent {
    /// The topic to which the events would be sent; it decides how they are decoded
    #[arg(long)]
    topic: String,
    /// A header that every record of the file has; may be given several times
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<Header>,
    /// The format of the report: text for people, json for one JSON object per record
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The file with the events as JSON objects, one per line or pretty-printed; - for standard
    /// input
    file: PathBuf,
}

/// The format of the report.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("must be NAME=VALUE")?;
    Ok(Header { name: name.into(), value: Some(value.into()) })
}

/// Where a record is in the file.
#[derive(Debug, Clone, Copy)]
struct Location {
    /// Its number, from 1.
    record: u64,
    /// The line on which it begins, from 1.
    line: usize,
}

/// How one record would be counted.
struct Checked {
    at: Location,
    /// The event, unless the record cannot be decoded.
    event: Option<Event>,
    /// Whether the event has no time of its own, and so that of its record in Kafka.
    time_of_record: bool,
    /// The record of the same event that is counted, if this is a duplicate or a conflict.
    same_as: Option<Location>,
    result: Outcome,
}

enum Outcome {
    /// It is counted: what it adds to the numbers.
    Counted(Box<Deltas>),
    /// It is an event of an extra topic, or names something: logged but not counted.
    Logged,
    /// It is the same event as an earlier record of the file.
    Duplicate,
    Rejected(Rejection),
}

/// How many records had each outcome.
#[derive(Default)]
struct Summary {
    records: u64,
    counted: u64,
    logged: u64,
    duplicate: u64,
    rejected: u64,
}

pub(super) fn run(arguments: &CheckEvent, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let decoder = settings.decoder()?;
    let summary = check(arguments, &decoder, shutdown).unwrap_or_else(|error| cannot_check(&error));
    let Summary { records, counted, logged, duplicate, rejected } = summary;
    let parts = [(counted, "counted"), (logged, "logged but not counted"), (duplicate, "duplicate")];
    let parts = parts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!(", {number} {what}"));
    let parts: String = parts.collect();
    if rejected > 0 {
        bail!("{rejected} of {records} records would be rejected{parts}");
    }
    remark!("{records} records{parts}");
    Ok(())
}

/// Ends the process with 2, the status for arguments that cannot be used, so that it can be told
/// from 1 for a record that would be rejected.
fn cannot_check(error: &anyhow::Error) -> ! {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{error:#}\n")).exit()
}

fn check(arguments: &CheckEvent, decoder: &Decoder, shutdown: &Shutdown) -> anyhow::Result<Summary> {
    let CheckEvent { topic, headers, format, file } = arguments;
    let Some(event_type) = decoder.topics.event_type(topic) else {
        bail!(
            "--topic: there is no topic {topic:?} in KAFKA_TOPICS or KAFKA_EXTRA_TOPICS; the topics are {}",
            decoder.topics
        );
    };
    let name = file.display().to_string();
    let input: Box<dyn BufRead> = match name.as_str() {
        "-" => Box::new(io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(file).with_context(|| name.clone())?)),
    };
    let mut records = Records::new(input, decoder.max_record_bytes).with_context(|| name.clone())?;
    let reporter = Reporter { file: &name, event_type, base_currency: decoder.business.base_currency };
    let mut checker = Checker::new(decoder, topic, headers);
    let (mut out, mut summary) = (BufWriter::new(io::stdout().lock()), Summary::default());
    while let Some(found) = records.next().with_context(|| name.clone())? {
        ensure!(!shutdown.requested(), "stopped after {} records", summary.records);
        // In milliseconds, as Kafka's timestamps are.
        let checked = checker.check(found, Utc::now().trunc_subsecs(3));
        summary.add(&checked.result);
        match format {
            Format::Text => reporter.text(&mut out, &checked)?,
            Format::Json => writeln!(out, "{}", reporter.json(&checked))?,
        }
    }
    out.flush()?;
    ensure!(summary.records > 0, "{name}: there are no events");
    Ok(summary)
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        self.records += 1;
        *match outcome {
            Outcome::Counted(_) => &mut self.counted,
            Outcome::Logged => &mut self.logged,
            Outcome::Duplicate => &mut self.duplicate,
            Outcome::Rejected(_) => &mut self.rejected,
        } += 1;
    }
}

/// Decides about the records of a file in their order.
struct Checker<'a> {
    decoder: &'a Decoder,
    topic: Arc<str>,
    headers: &'a [Header],
    records: u64,
    known: Known,
    /// The record that is counted for each event.
    counted: HashMap<EventId, Location>,
}

impl<'a> Checker<'a> {
    fn new(decoder: &'a Decoder, topic: &str, headers: &'a [Header]) -> Self {
        let (known, counted) = (Known::default(), HashMap::default());
        Self { decoder, topic: topic.into(), headers, records: 0, known, counted }
    }

    fn check(&mut self, found: Found, now: DateTime<Utc>) -> Checked {
        self.records += 1;
        let at = Location { record: self.records, line: found.line };
        let record = found.payload.map(|payload| self.record(payload, now));
        let decoded = record.and_then(|record| self.decoder.decode(&record, now));
        let event = match decoded {
            Ok(event) => event,
            Err(why) => {
                let result = Outcome::Rejected(why);
                return Checked { at, event: None, time_of_record: false, same_as: None, result };
            }
        };
        let earlier = event.keys.iter().filter_map(|key| self.known.keys.get(key));
        // An event may have one identity of each of two earlier ones; a conflict is shown first.
        let same = earlier.max_by_key(|(digest, _)| *digest != event.digest).map(|(_, id)| *id);
        let same_as = same.and_then(|id| self.counted.get(&id)).copied();
        let result = match self.known.judge(&event) {
            Verdict::New => self.count(at, &event),
            Verdict::Duplicate => Outcome::Duplicate,
            Verdict::Conflict(why) => Outcome::Rejected(same_as.map_or(why, conflict)),
        };
        let time_of_record = event.time == now.into();
        Checked { at, event: Some(event), time_of_record, same_as, result }
    }

    /// Returns the record as it would be in Kafka, where every record has a timestamp.
    fn record(&self, payload: Vec<u8>, now: DateTime<Utc>) -> Record {
        let partition = TopicPartition { topic: Arc::clone(&self.topic), partition: 0 };
        let offset = Offset(i64::try_from(self.records).unwrap_or(i64::MAX));
        let place = Place { partition, offset, timestamp: Some(now.timestamp_millis()) };
        Record { place, key: None, headers: self.headers.to_vec(), payload: Some(payload) }
    }

    fn count(&mut self, at: Location, event: &Event) -> Outcome {
        if !event.keys.is_empty() {
            self.counted.insert(event.id, at);
        }
        if !matches!(event.event_type, EventType::Counted(family) if family.is_counted()) {
            return Outcome::Logged;
        }
        let mut deltas = Deltas::default();
        rules::count(event, self.decoder.business, &mut deltas);
        Outcome::Counted(Box::new(deltas))
    }
}

fn conflict(same_as: Location) -> Rejection {
    let detail = format!("the record is the same event as that on line {}, which has other content", same_as.line);
    Rejection::new(Reason::IdentityConflict, detail)
}
