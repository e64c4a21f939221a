//! The properties that must hold for every record.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use analytics_core::attribution::ProductVendors;
use analytics_core::business::Business;
use analytics_core::catalogue::Measure;
use analytics_core::deltas::Deltas;
use analytics_core::event::{Content, Event};
use analytics_core::events::{Decoder, OrderCounts, Redaction};
use analytics_core::family::Family;
use analytics_core::record::Record;
use analytics_core::rejection::{Reason, Rejection};
use analytics_core::rollup::{Granularity, Scope};
use analytics_core::seal::seal;
use analytics_core::topics::{EventType, Topics};
use analytics_core::{RULES_VERSION, rules};
use chrono::{DateTime, Utc};

use crate::tree::{NoTree, Tree};

const REDACTED: [&str; 2] = ["email", "phone"];
const MAX_RECORD_BYTES: usize = 4_000;
const ZONES: [&str; 8] = [
    "UTC",
    "America/St_Johns",
    "Pacific/Apia",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Monrovia",
    "Antarctica/Casey",
    "America/Sao_Paulo",
];

/// For each timezone, a decoder without redaction and one with it.
static DECODERS: LazyLock<Vec<(Decoder, Decoder)>> = LazyLock::new(|| {
    let decoder = |zone: &str, redaction: &str| Decoder {
        topics: Topics::parse("", "extra.topic").unwrap(),
        business: Business::parse(if zone == "UTC" { "USD" } else { "KWD" }, zone).unwrap(),
        redaction: Redaction::parse(redaction),
        max_record_bytes: MAX_RECORD_BYTES,
        order_counts: if zone == "UTC" { OrderCounts::Created } else { OrderCounts::Paid },
    };
    ZONES.iter().map(|zone| (decoder(zone, ""), decoder(zone, &REDACTED.join(",")))).collect()
});

/// Counts the results of decoding.
#[derive(Default)]
pub(crate) struct Tally {
    events: BTreeMap<String, u64>,
    rejected: BTreeMap<Reason, u64>,
    redacted: u64,
}

impl Tally {
    pub(crate) fn plus(mut self, other: Self) -> Self {
        other.events.into_iter().for_each(|(name, count)| *self.events.entry(name).or_default() += count);
        other.rejected.into_iter().for_each(|(reason, count)| *self.rejected.entry(reason).or_default() += count);
        self.redacted += other.redacted;
        self
    }

    /// Checks that the generator makes enough valid and enough invalid records, of all event types
    /// and with all reasons for rejection.
    pub(crate) fn assert_varied(&self, cases: u64) {
        let events: u64 = self.events.values().sum();
        assert!((cases / 5..cases * 4 / 5).contains(&events), "{self}");
        assert!(self.redacted > cases / 100, "{self}");
        assert_eq!(self.events.len(), 10, "{self}");
        for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::IdentityConflict) {
            assert!(self.rejected.get(&reason).is_some_and(|count| *count > 20), "{reason}: {self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events {:?}, {} with redacted fields, rejected {:?}", self.events, self.redacted, self.rejected)
    }
}

/// Decodes a record and checks the result.
pub(crate) fn record(record: &Record, case: u64, tally: &mut Tally) {
    let now: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
    let (plain, redacting) = &DECODERS[usize::try_from(case % ZONES.len() as u64).unwrap()];
    let decoded = plain.decode(record, now);
    assert_eq!(decoded, plain.decode(record, now), "decoding again gives another result");
    let redacted = redacting.decode(record, now);
    match (&decoded, &redacted) {
        (Ok(event), Ok(redacted)) => {
            *tally.events.entry(event.event_type.name().to_owned()).or_default() += 1;
            tally.redacted += u64::from(event.metadata != redacted.metadata);
            of_event(event, redacted, plain.business, now);
        }
        (Err(rejection), Err(redacted)) => {
            *tally.rejected.entry(rejection.reason).or_default() += 1;
            assert_eq!(rejection.reason, redacted.reason);
            of_rejection(rejection);
        }
        _ => panic!("redaction changes whether the record is rejected: {decoded:?}, {redacted:?}"),
    }
    of_text(record, &decoded);
    kept(record, &redacting.redaction);
}

fn of_event(event: &Event, redacted: &Event, business: Business, now: DateTime<Utc>) {
    assert!(event.user.as_ref().is_none_or(|user| (1..=255).contains(&user.as_str().chars().count())));
    assert!((946_684_800_000_000..=now.timestamp_micros() + 86_400_000_000).contains(&event.time.micros()));
    assert_eq!(event.id.millis(), event.time.millis());
    assert_eq!((event.id, event.digest, &event.keys), (redacted.id, redacted.digest, &redacted.keys));
    assert_eq!(seal(event, RULES_VERSION), seal(redacted, RULES_VERSION));
    assert!(Tree::storable_text(&event.metadata).unwrap_or(true), "{}", event.metadata);
    match (Tree::of(&event.metadata), Tree::of(&redacted.metadata)) {
        (Ok(whole), Ok(rest)) => {
            // Both may end with `_declaredType`, which the decoder adds.
            assert_eq!(without(whole), without(rest.clone()), "{}", redacted.metadata);
            assert_eq!(rest.clone().without(&REDACTED), rest, "{}", redacted.metadata);
        }
        // The deep nesting may have been removed with a redacted field.
        (Err(NoTree::Deep), _) => {}
        (whole, rest) => panic!("{whole:?} {rest:?}"),
    }
    if let Content::Naming(naming) = &event.content {
        let name = naming.name.as_ref().expect("nothing is redacted").as_str();
        assert!((1..=255).contains(&name.chars().count()), "{name:?}");
        assert!(!name.contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{name:?}");
    }
    adds_up(event, business);
}

/// Checks the sums that the event adds: hours and days agree, and sellers and unattributed revenue
/// sum to the total, which is the sum of the lines.
fn adds_up(event: &Event, business: Business) {
    let mut event = event.clone();
    ProductVendors::default().attribute(&mut event);
    let mut deltas = Deltas::default();
    rules::count(&event, business, &mut deltas);
    let mut sums: BTreeMap<(bool, &'static str), i128> = BTreeMap::new();
    // Everything that is added follows from the finest sums, as batches keep them.
    let mut again = Deltas::default();
    deltas.finest().for_each(|(bucket, measures)| again.add_finest(bucket, measures, business.calendar));
    assert_eq!((&again.counters, &again.rollups, &again.ratios), (&deltas.counters, &deltas.rollups, &deltas.ratios));
    for (bucket, measures) in &deltas.rollups {
        let part = match bucket.scope {
            Scope::Total => "total",
            Scope::Seller(_) => "seller",
            Scope::Unattributed => "nobody",
            Scope::Product(_) => continue,
        };
        *sums.entry((bucket.granularity == Granularity::Day, part)).or_default() +=
            measures.get(Measure::Revenue).unwrap_or(0);
    }
    let sum = |day, part| sums.get(&(day, part)).copied().unwrap_or(0);
    for part in ["total", "seller", "nobody"] {
        assert_eq!(sum(true, part), sum(false, part), "{part}");
    }
    assert_eq!(sum(true, "total"), sum(true, "seller") + sum(true, "nobody"));
    let is_order = event.event_type == EventType::Counted(Family::OrderCreated);
    let amounts: Vec<i64> = event.content.lines().iter().map(|line| line.sale.amount.0).collect();
    assert_eq!(is_order, !amounts.is_empty());
    let counts = !event.content.is_unpaid();
    let revenue = amounts.iter().filter(|_| counts).map(|amount| i128::from(*amount)).sum();
    assert_eq!(sum(true, "total"), revenue);
    assert!(amounts.iter().all(|amount| (0..=1_000_000_000_000).contains(amount)));
}

fn of_rejection(Rejection { detail, .. }: &Rejection) {
    assert!(!detail.is_empty() && detail.chars().count() < 400 && !detail.contains('\n'), "{detail:?}");
}

/// Checks that the reasons that concern the record's text agree with the simple reader.
fn of_text(record: &Record, decoded: &Result<Event, Rejection>) {
    let bytes = record.payload.as_deref().unwrap_or_default();
    let reason = decoded.as_ref().err().map(|rejection| rejection.reason);
    let without_mark = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if without_mark.trim_ascii().is_empty() {
        return assert_eq!(reason, Some(Reason::Empty));
    }
    if bytes.len() > MAX_RECORD_BYTES {
        return assert_eq!(reason, Some(Reason::TooLarge));
    }
    let Ok(text) = std::str::from_utf8(without_mark) else { return assert_eq!(reason, Some(Reason::NotJson)) };
    let storable = match Tree::of(text) {
        Err(NoTree::Syntax) => return assert_eq!(reason, Some(Reason::NotJson)),
        Ok(Tree::Object(_)) => Tree::storable_text(text),
        Ok(_) => return assert_eq!(reason, Some(Reason::NotAnObject)),
        Err(NoTree::Surrogate) if text.trim_ascii_start().starts_with('{') => Some(false),
        Err(NoTree::Surrogate | NoTree::Deep) => return,
    };
    match storable {
        Some(false) => assert_eq!(reason, Some(Reason::Unstorable)),
        // The simple reader does not check data encoded as base64.
        Some(true) => assert!(reason != Some(Reason::Unstorable) || text.contains("data_base64"), "{text}"),
        _ => {}
    }
}

/// Checks that what a dead letter stores of the record has no redacted fields.
fn kept(record: &Record, redaction: &Redaction) {
    let bytes = record.payload.as_deref().unwrap_or_default();
    let text = |bytes: &[u8]| {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        std::str::from_utf8(bytes).map_or(Err(NoTree::Syntax), Tree::of)
    };
    match (text(bytes), redaction.record(bytes)) {
        (Ok(whole), Some(kept)) => assert_eq!(without(whole), text(&kept).map(without).unwrap()),
        (Err(NoTree::Syntax), Some(kept)) => assert_eq!(bytes, &*kept),
        (Err(NoTree::Surrogate), kept) => assert_eq!(kept, None),
        (Err(NoTree::Deep), _) => {}
        (whole, None) => panic!("nothing is stored of {whole:?}"),
    }
}

/// Removes the redacted fields from a tree, including from JSON in `data_base64`, which is replaced
/// by its tree.
fn without(tree: Tree) -> Tree {
    use base64::Engine;
    let mut fields = match tree.without(&REDACTED) {
        Tree::Object(fields) => fields,
        other => return other,
    };
    for (_, value) in fields.iter_mut().filter(|(key, _)| key == "data_base64") {
        let Tree::Text(encoded) = &*value else { continue };
        let engine = base64::engine::GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            base64::engine::GeneralPurposeConfig::new()
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
        );
        let inner = engine.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match inner.map(|text| Tree::of(text.strip_prefix('\u{feff}').unwrap_or(&text))) {
            Some(Ok(inner)) => *value = inner.without(&REDACTED),
            // Redaction replaces such data by an empty text.
            Some(Err(NoTree::Surrogate)) => *value = Tree::Text(String::new()),
            _ => {}
        }
    }
    Tree::Object(fields)
}
