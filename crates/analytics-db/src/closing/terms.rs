//! Whether a month can be closed: it is over, everything of it is counted, and a proof says that its numbers are right.

use analytics_core::business::Business;
use analytics_core::catalogue::Measure;
use analytics_core::completeness::Completeness;
use analytics_core::events::Decoder;
use analytics_core::family::Family;
use analytics_core::month::Month;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::Value;

use crate::read::freshness;
use crate::sql::{row, statement};
use crate::tables::months::SOLD;
use crate::{Connection, DbError};

/// Most gaps that a statement lists one by one.
const LISTED: usize = 20;

/// What statements say about how sure their numbers are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The number of the last batch that the last complete proof includes.
    pub proved_as_of: Option<i64>,
    /// How many dead letters of the month are open.
    pub open_dead_letters: i64,
    /// Which records are missing, or why that or the proof is not known.
    pub gaps: Vec<String>,
    /// What a proof found to be wrong: numbers that differ from the log, or the log from what Kafka held.
    pub drift: Vec<String>,
}

/// The month cannot be closed yet, whatever is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{month} can be closed from {from} on: {grace} after its end, so that late events are in it")]
pub struct NotYet {
    month: Month,
    from: String,
    grace: String,
}

/// Returns the terms on which a month can be closed.
///
/// # Errors
/// [`DbError`]; [`NotYet`] if it is not over for as long as `grace`.
pub fn terms(
    connection: &mut Connection,
    decoder: &Decoder,
    month: Month,
    grace: Duration,
) -> Result<Result<Terms, NotYet>, DbError> {
    let business = decoder.business;
    let (reports, now) = freshness::reports(connection)?;
    let end = month.end(business.calendar);
    let from = end + grace;
    if now < from {
        let (from, grace) = (written(from), format!("{} hours", grace.num_hours()));
        return Ok(Err(NotYet { month, from, grace }));
    }
    let mut terms = Terms { open_dead_letters: open_dead_letters(connection, month, business)?, ..Terms::default() };
    let money = Completeness::of_measures(&SOLD, decoder, &reports);
    let viewed = Completeness::of_measures(&[Measure::Views], decoder, &reports);
    let rated = Completeness::of_events(Family::RatingUpdated.name(), &decoder.topics, &reports);
    // A marketplace need not have views or ratings.
    let is_waited_for = |counted: &Completeness| !counted.is_complete(from, now) && !counted.is_absent();
    if !money.is_complete(from, now) || [viewed, rated].iter().any(is_waited_for) {
        terms.gaps.push(format!(
            "not all topics are counted up to {}: see GET /api/freshness, and run this again when ingest has caught up",
            written(from)
        ));
    }
    match newest(connection)? {
        None => terms.gaps.push("there is no complete proof: run `analytics-jobs verify --full`".into()),
        Some(proof) => proof.judge(end, from, &mut terms),
    }
    Ok(Ok(terms))
}

row! {
    /// The last complete proof.
    struct Proof {
        proved_at: DateTime<Utc>,
        /// When the last proof was made, complete or not.
        last_proved_at: DateTime<Utc>,
        watermark: i64,
        drift: i64,
        coverage: Option<Value>,
    }
}

/// Returns the last complete proof; with the largest drift of it and of later ones, which check what has changed since,
/// and with the last coverage.
fn newest(connection: &mut Connection) -> Result<Option<Proof>, DbError> {
    let rows: Vec<Proof> = statement(
        "SELECT p.proved_at, (SELECT max(l.proved_at) FROM proofs l) AS last_proved_at, p.watermark, (SELECT max(l.drift) FROM proofs l WHERE l.id >= p.id) AS drift, \
             (SELECT l.coverage FROM proofs l WHERE l.id >= p.id ORDER BY l.id DESC LIMIT 1) AS coverage \
         FROM proofs p WHERE p.complete ORDER BY p.id DESC LIMIT 1",
    )
    .load(connection)?;
    Ok(rows.into_iter().next())
}

impl Proof {
    /// Adds why a month that ended at `end`, and can be closed since `from`, is not proved.
    fn judge(&self, end: DateTime<Utc>, from: DateTime<Utc>, terms: &mut Terms) {
        let Terms { proved_as_of, gaps, drift, .. } = terms;
        *proved_as_of = Some(self.watermark);
        if self.proved_at < end {
            gaps.push(format!(
                "the last complete proof is of {}, before the month was over: run `analytics-jobs verify --full`",
                written(self.proved_at)
            ));
        }
        if self.last_proved_at < from {
            gaps.push(format!(
                "nothing was proved since {}, before late events of the month had arrived: run `analytics-jobs verify`",
                written(self.last_proved_at)
            ));
        }
        if self.drift > 0 {
            drift.push(format!(
                "{} numbers differ from the event log: see `analytics-jobs verify --full` and `rebuild`",
                self.drift
            ));
        }
        let Some(coverage) = &self.coverage else {
            gaps.push("no proof says how what was counted compares with Kafka: run `analytics-ingest audit`".into());
            return;
        };
        let number = |path: &str| coverage.pointer(path).and_then(Value::as_i64).unwrap_or(0);
        let since = coverage.get("notYetAuditedSince").and_then(Value::as_str).and_then(|time| time.parse().ok());
        // What was logged later is of later months, or late.
        if number("/notYetAudited/ranges") > 0 && since.is_none_or(|since: DateTime<Utc>| since < from) {
            gaps.push(format!(
                "{} records are not compared with Kafka: run `analytics-ingest audit`, then `analytics-jobs verify`",
                number("/notYetAudited/records")
            ));
        }
        if number("/goneUnaudited/ranges") > 0 {
            let records = number("/goneUnaudited/records");
            gaps.push(format!("{records} records were gone from Kafka before they were compared with it"));
        }
        for (list, count, terms) in [("gaps", "/gapCount", gaps), ("differences", "/differenceCount", drift)] {
            let stretches = coverage.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            terms.extend(stretches.iter().take(LISTED).map(stretch));
            let more = number(count).saturating_sub(i64::try_from(stretches.len().min(LISTED)).unwrap_or(0));
            if more > 0 {
                terms.push(format!("and {more} more {list}: see GET /api/proofs"));
            }
        }
    }
}

fn stretch(stretch: &Value) -> String {
    let text = |name: &str| stretch.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| stretch.get(name).and_then(Value::as_i64).unwrap_or(0);
    let last = number("to").saturating_sub(1);
    format!("{}/{}, offsets {} to {last}: {}", text("topic"), number("partition"), number("from"), text("reason"))
}

/// Returns the number of open dead letters whose records are of the month.
fn open_dead_letters(connection: &mut Connection, month: Month, business: Business) -> Result<i64, DbError> {
    row! {
        struct Row {
            open: i64,
        }
    }
    let row: Row = statement(
        "SELECT count(*) AS open FROM dead_letters WHERE state = 'open' \
         AND coalesce(record_timestamp, created_at) >= $1 AND coalesce(record_timestamp, created_at) < $2",
    )
    .value(business.calendar.day_start(month.first()))
    .value(month.end(business.calendar))
    .get_result(connection)?;
    Ok(row.open)
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_proof_found_to_be_wrong_is_drift_and_what_it_does_not_know_is_a_gap() {
        let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
        let (end, from) = (at("2026-11-01T00:00:00Z"), at("2026-11-04T00:00:00Z"));
        let well = || Proof {
            proved_at: from,
            last_proved_at: from,
            watermark: 7,
            drift: 0,
            coverage: Some(json!({ "whole": true })),
        };
        let covered = |coverage| Proof { coverage: Some(coverage), ..well() };
        let stretch = |reason| json!({ "topic": "t", "partition": 0, "from": 3, "to": 5, "reason": reason });
        let (lost, changed) = ("t/0, offsets 3 to 4: retention", "t/0, offsets 3 to 4: other records");
        let nothing: &[&str] = &[];
        for (proof, gaps, drift) in [
            (well(), nothing, nothing),
            (Proof { drift: 2, ..well() }, nothing, &["2 numbers differ from the event log"]),
            (
                Proof { proved_at: at("2026-10-31T00:00:00Z"), ..well() },
                &["the last complete proof is of 2026-10-31"],
                nothing,
            ),
            (Proof { last_proved_at: end, ..well() }, &["nothing was proved since 2026-11-01"], nothing),
            (Proof { coverage: None, ..well() }, &["no proof says how what was counted compares"], nothing),
            (
                covered(json!({ "notYetAudited": { "ranges": 1, "records": 9 } })),
                &["9 records are not compared"],
                nothing,
            ),
            (covered(json!({ "goneUnaudited": { "ranges": 1, "records": 9 } })), &["9 records were gone"], nothing),
            (covered(json!({ "gapCount": 1, "gaps": [stretch("retention")] })), &[lost], nothing),
            (covered(json!({ "differenceCount": 1, "differences": [stretch("other records")] })), nothing, &[changed]),
            (
                covered(
                    json!({ "gapCount": 3, "gaps": [stretch("retention")], "differenceCount": 2, "differences": [] }),
                ),
                &[lost, "and 2 more gaps"],
                &["and 2 more differences"],
            ),
        ] {
            let mut terms = Terms::default();
            proof.judge(end, from, &mut terms);
            assert_eq!(terms.proved_as_of, Some(7));
            for (found, expected) in [(&terms.gaps, gaps), (&terms.drift, drift)] {
                let as_expected = |(found, expected): (&String, &&str)| found.starts_with(*expected);
                assert!(
                    found.len() == expected.len() && found.iter().zip(expected).all(as_expected),
                    "{:?} {} {:?}: {terms:?}",
                    proof.coverage,
                    proof.drift,
                    expected
                );
            }
        }
    }
}
