//! Compares the service's tables with the expected results and classifies the differences: lost,
//! duplicated, wrong, stuck.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::answers::{Answers, is_of_refunds};
use super::arena::Run;
use super::stream::NUMBER;
use analytics_testkit::process;

/// Time within which something more must be counted after a fault, until everything is. A worker gives up a statement
/// whose answer was lost after 70 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many differences of each kind are listed.
const NAMED: usize = 8;

/// The findings of the check of one run.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Number of records that were consumed.
    pub records: i64,
    /// Number of records that Kafka holds once more because the producer sent them again. One with
    /// an identity is a duplicate, one without is another event.
    pub repeated: u32,
    /// Number of events that are missing in the event log.
    pub lost: usize,
    /// Number of events that the event log has too often, and of records that were consumed too
    /// often.
    pub duplicated: usize,
    /// Number of metrics, rollups, ratings, counters, dead letters and gaps that differ from the
    /// expected.
    pub wrong: usize,
    /// Number of partitions that were not consumed to their end.
    pub stuck: usize,
    /// Time from the end of the fault until everything was counted.
    pub recovery: Duration,
    /// Whether the fault could not be carried out completely.
    pub broke_off: bool,
    /// Descriptions of the differences, as lines.
    pub details: Vec<String>,
}

impl Verdict {
    /// Whether the run was carried out completely and nothing differs.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.broke_off && self.lost + self.duplicated + self.wrong + self.stuck == 0
    }

    fn name(&mut self, what: &str, things: &[String]) {
        if things.is_empty() {
            return;
        }
        self.details.push(format!("{what}: {}", things.len()));
        self.details.extend(things.iter().take(NAMED).map(|thing| format!("    {thing}")));
        if things.len() > NAMED {
            self.details.push(format!("    and {} more", things.len() - NAMED));
        }
    }

    fn wrong(&mut self, what: &str, things: &[String]) {
        self.wrong += things.len();
        self.name(what, things);
    }
}

/// Waits until everything is counted, or nothing more is for `PATIENCE`, and checks the run.
#[must_use]
pub fn judge(run: &Run<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let over = run.over.expect("a fault that calls fault_is_over");
    run.settle(PATIENCE);
    verdict.recovery = over.elapsed();
    let behind = run.behind(&run.held());
    verdict.stuck = behind.len();
    verdict.name("stuck partitions", &behind);
    let answers = held(run, &mut verdict);
    events(run, &answers, &mut verdict);
    consumption(run, &mut verdict);
    tables(run, &answers, &mut verdict);
    gaps(run, &mut verdict);
    own_audit(run, &mut verdict);
    own_verification(run, &mut verdict);
    verdict
}

/// Computes the expected results from the records that Kafka holds, and from those that it held.
fn held(run: &Run<'_>, verdict: &mut Verdict) -> Answers {
    let mut held = run.arena.kafka.numbers(&run.topics(), NUMBER);
    for (n, times) in &run.deleted {
        *held.entry(*n).or_default() += times;
    }
    verdict.repeated = held.values().map(|times| times - 1).sum();
    let (answers, missing) = run.stream.answers(&held);
    // A record that repeats or contradicts a missing one has another effect than expected, so such
    // a run proves nothing.
    verdict.broke_off = !missing.is_empty();
    let missing: Vec<String> = missing.iter().map(|n| format!("n={n}")).collect();
    verdict.name("records that were sent but are not in Kafka", &missing);
    answers
}

/// Checks that the event log has each event as often as Kafka holds it, and no others.
fn events(run: &Run<'_>, answers: &Answers, verdict: &mut Verdict) {
    let numbers = run.database.lines("SELECT coalesce(metadata->>'n', '0') FROM event_logs");
    let mut left = answers.logged.clone();
    let (mut twice, mut strange) = (Vec::new(), Vec::new());
    for number in numbers.iter().map(|number| number.parse::<u64>().unwrap_or(0)) {
        match left.get_mut(&number) {
            None => strange.push(format!("n={number}")),
            Some(0) => twice.push(format!("n={number}")),
            Some(times) => *times -= 1,
        }
    }
    let lost: Vec<String> = left.iter().filter(|(_, times)| **times > 0).map(|(n, _)| format!("n={n}")).collect();
    verdict.lost = lost.len();
    verdict.duplicated = twice.len();
    verdict.name("lost events", &lost);
    verdict.name("duplicated events", &twice);
    verdict.wrong("unexpected events", &strange);
}

/// Checks that every record was consumed once. The totals do not show a record that is read twice,
/// since its event is a duplicate.
fn consumption(run: &Run<'_>, verdict: &mut Verdict) {
    let rows = run
        .database
        .lines("SELECT concat_ws(' ', topic, partition, events + duplicates + rejected) FROM ingest_offsets");
    let consumed: BTreeMap<(String, i32), i64> = rows
        .iter()
        .map(|row| {
            let words: Vec<&str> = row.split(' ').collect();
            ((words[0].to_owned(), words[1].parse().expect("a partition")), words[2].parse().expect("a count"))
        })
        .collect();
    let sum: i64 = consumed.values().sum();
    verdict.records = sum;
    let expected = &run.consumption;
    let (mut twice, mut too_few) = (Vec::new(), Vec::new());
    let mut compare = |what: &str, is: i64, should: i64| {
        let line = format!("{what}: {is} records consumed, expected {should}");
        match is.cmp(&should) {
            Ordering::Less => too_few.push(line),
            Ordering::Greater if !expected.may_repeat => {
                verdict.duplicated += usize::try_from(is - should).expect("positive");
                twice.push(line);
            }
            Ordering::Equal | Ordering::Greater => {}
        }
    };
    if expected.only_sum {
        let records = run.stream.made() + i64::from(verdict.repeated);
        compare(&format!("all partitions {rows:?} of {:?}", run.held()), sum, records);
    } else {
        for (partition, (_, end)) in run.held() {
            let should = end + expected.by_partition.get(&partition).copied().unwrap_or(0);
            let is = consumed.get(&partition).copied().unwrap_or(0);
            compare(&format!("{}/{}", partition.0, partition.1), is, should);
        }
    }
    verdict.name("partitions with records that were consumed too often", &twice);
    verdict.wrong("partitions with records that were not consumed", &too_few);
}

/// Checks metrics, rollups, ratings, dead letters, lines of orders and identities.
fn tables(run: &Run<'_>, answers: &Answers, verdict: &mut Verdict) {
    let metrics = "SELECT type || E'\\t' || concat_ws(' ', coalesce(value::text, 'null'), \
        'numerator=' || (metadata->>'numerator'), 'denominator=' || (metadata->>'denominator'), \
        'count=' || (metadata->>'count'), 'sum=' || (metadata->>'sum'), \
        'histogram=' || concat_ws(',', metadata->'histogram'->>'1', metadata->'histogram'->>'2', \
            metadata->'histogram'->>'3', metadata->'histogram'->>'4', metadata->'histogram'->>'5')) FROM metrics";
    let metrics: BTreeMap<String, String> = pairs(run, metrics)
        .into_iter()
        .map(|(metric, value)| (metric, value.trim_end_matches(" histogram=").to_owned()))
        .filter(|(metric, value)| value != "0" || !is_of_refunds(metric))
        .collect();
    verdict.wrong("wrong metrics", &differences(&answers.metrics(), &metrics));
    let rollups = "SELECT concat_ws(' ', metric_type, granularity, extract(epoch FROM bucket_start)::bigint) \
        || E'\\t' || value FROM metric_rollups";
    let mut rollups = pairs(run, rollups);
    rollups.retain(|metric, value| value != "0" || !is_of_refunds(metric));
    verdict.wrong("wrong rollups", &differences(&answers.buckets(), &rollups));
    let ratings = "SELECT metric_type || ' ' || user_id || E'\\t' || stars FROM ratings";
    verdict.wrong("wrong ratings", &differences(&answers.standing(), &pairs(run, ratings)));
    let letters = "SELECT reason || E'\\t' || count(*) FROM dead_letters GROUP BY reason";
    let expected = answers.letters.iter().map(|(reason, count)| ((*reason).to_owned(), count.to_string())).collect();
    verdict.wrong("wrong dead letters", &differences(&expected, &pairs(run, letters)));
    let rest = "SELECT 'lines of orders' || E'\\t' || (SELECT count(*) FROM order_lines) UNION ALL \
        SELECT 'identities without an event' || E'\\t' || (SELECT count(*) FROM \
            (SELECT event_id FROM event_keys UNION ALL SELECT event_id FROM order_keys) k LEFT JOIN event_logs e ON e.id = k.event_id WHERE e.id IS NULL) UNION ALL \
        SELECT 'reversals that wait for their orders' || E'\\t' || (SELECT count(*) FROM reversals WHERE order_id IS NULL) UNION ALL \
        SELECT 'orders that wait for their payments' || E'\\t' || (SELECT count(*) FROM unpaid_orders WHERE paid_batch IS NULL)";
    let waiting = i64::try_from(answers.reversals.waiting()).expect("few");
    let expected = [
        ("lines of orders", answers.lines),
        ("identities without an event", 0),
        ("reversals that wait for their orders", waiting),
        ("orders that wait for their payments", i64::try_from(answers.unpaid()).expect("few")),
    ];
    let expected = expected.map(|(what, count)| (what.to_owned(), count.to_string())).into();
    verdict.wrong("wrong tables", &differences(&expected, &pairs(run, rest)));
}

/// Checks that exactly the expected gaps are recorded.
fn gaps(run: &Run<'_>, verdict: &mut Verdict) {
    let recorded =
        run.database.lines("SELECT concat_ws(' ', topic, partition, from_offset, to_offset, reason) FROM ingest_gaps");
    let mut missing = Vec::new();
    let mut unexpected = recorded.clone();
    for (topic, partition, from, to, word) in &run.consumption.gaps {
        let place = format!("{topic} {partition} {from} {to} ");
        match unexpected.iter().position(|gap| gap.starts_with(&place) && gap.contains(word)) {
            Some(found) => drop(unexpected.swap_remove(found)),
            None => missing.push(format!("{place}{word}")),
        }
    }
    verdict.wrong("gaps that are not recorded", &missing);
    verdict.wrong("unexpected gaps", &unexpected);
}

/// Runs `analytics-ingest audit`, which must find no difference between what was counted and what Kafka holds,
/// and must find the one of the mutant that makes one.
fn own_audit(run: &Run<'_>, verdict: &mut Verdict) {
    let environment = [
        ("DATABASE_URL".to_owned(), run.database.url.clone()),
        ("KAFKA_BROKER".to_owned(), run.arena.kafka.address.clone()),
        ("KAFKA_GROUP_ID".to_owned(), run.setting("KAFKA_GROUP_ID").to_owned()),
    ];
    let audited = process::run("analytics-ingest", &["audit"], &environment.into());
    let said = [audited.stdout, audited.stderr].concat();
    let said: Vec<String> = String::from_utf8_lossy(&said).lines().map(str::to_owned).collect();
    let must_differ = run.options.mutant.as_ref().is_some_and(|(mutant, _)| mutant == "skipped-range");
    if must_differ && !said.iter().any(|line| line.contains("Kafka holds")) {
        verdict.broke_off = true;
        verdict.name("analytics-ingest audit did not find the skipped records; lines of its output", &said);
    } else if !audited.status.success() {
        verdict.wrong("analytics-ingest audit failed; lines of its output", &said);
    }
}

/// Runs `analytics-jobs verify --full`, which must find no drift.
fn own_verification(run: &Run<'_>, verdict: &mut Verdict) {
    let environment = [("DATABASE_URL".to_owned(), run.database.url.clone())].into();
    let verified = process::run("analytics-jobs", &["verify", "--full"], &environment);
    if !verified.status.success() {
        let said = [verified.stdout, verified.stderr].concat();
        let said: Vec<String> = String::from_utf8_lossy(&said).lines().map(str::to_owned).collect();
        verdict.wrong("analytics-jobs verify --full failed; lines of its output", &said);
    }
}

fn pairs(run: &Run<'_>, query: &str) -> BTreeMap<String, String> {
    let split = |line: &String| {
        let (key, value) = line.split_once('\t').expect("a key and a value");
        (key.to_owned(), value.to_owned())
    };
    run.database.lines(query).iter().map(split).collect()
}

fn differences(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let show = |value: Option<&String>| value.map_or("nothing".to_owned(), ToString::to_string);
    keys.into_iter()
        .filter(|key| expected.get(*key) != found.get(*key))
        .map(|key| format!("{key} is {}, expected {}", show(found.get(key)), show(expected.get(key))))
        .collect()
}
