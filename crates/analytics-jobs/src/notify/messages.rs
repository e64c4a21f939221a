//! The bodies of notifications: JSON with a type, a time, the data, and a text that Slack shows.

use analytics_db::read::anomalies::Anomaly;
use analytics_db::tables::notifications::Turn;
use analytics_db::verify::{Coverage, Difference, Verification};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::links::Links;

/// The most differences that a notification lists.
const LISTED: usize = 20;

/// The body of a notification.
pub(crate) fn body(name: &str, time: DateTime<Utc>, text: &str, data: &Value) -> String {
    json!({ "type": name, "timestamp": written(time), "text": escaped(text), "data": data }).to_string()
}

/// Text that Slack shows as it is: without this, an id could mention people or hide a link.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(super) fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `anomalies.opened` or `anomalies.resolved`.
pub(super) fn anomalies(links: &Links, now: DateTime<Utc>, turn: Turn, anomalies: &[Anomaly]) -> String {
    let lines: Vec<String> = anomalies.iter().map(|anomaly| line(turn, anomaly)).collect();
    let link = links.overview();
    let text = lines.into_iter().chain(link).collect::<Vec<_>>().join("\n");
    let items: Vec<Value> = anomalies.iter().map(|anomaly| item(links, anomaly)).collect();
    body(&format!("anomalies.{}", turn.name()), now, &text, &json!({ "items": items }))
}

fn line(turn: Turn, anomaly: &Anomaly) -> String {
    let Anomaly { subject, verdict, observed, expected, lower, upper, .. } = anomaly;
    let (from, to) = (written(anomaly.from_time), written(anomaly.to_time));
    let over = match turn {
        Turn::Opened => "",
        Turn::Resolved => "Over: ",
    };
    match (subject.as_str(), verdict.as_str()) {
        ("freshness", "delayed") => format!("{over}the numbers are delayed: not complete since {from}"),
        ("freshness", _) => format!("{over}it is not known how complete the numbers are, since {from}"),
        _ => {
            let what = if verdict == "drop" { "drop" } else { "surge" };
            format!(
                "{over}{what} of {subject}: {observed} instead of {expected:.1}, usually {lower:.1} to {upper:.1}, \
                 from {from} to {to}"
            )
        }
    }
}

fn item(links: &Links, anomaly: &Anomaly) -> Value {
    let Anomaly { observed, expected, lower, upper, confidence, .. } = anomaly;
    let link = anomaly.vendor_id.as_ref().map_or_else(|| links.overview(), |vendor| links.seller(vendor, ""));
    json!({
        "id": anomaly.id, "type": anomaly.subject, "vendorId": anomaly.vendor_id, "verdict": anomaly.verdict,
        "state": anomaly.state, "from": written(anomaly.from_time), "to": written(anomaly.to_time),
        "observed": observed, "expected": expected, "lower": lower, "upper": upper, "confidence": confidence,
        "openedAt": written(anomaly.opened_at), "resolvedAt": anomaly.resolved_at.map(written), "link": link,
    })
}

/// `verify.failed`, or `verify.recovered` where nothing differs any more.
pub(super) fn verify(links: &Links, proof: i64, verification: &Verification) -> String {
    let Verification { at, keys_checked, differences, coverage, .. } = verification;
    let Coverage { differences: ranges, .. } = coverage;
    let has_failed = !differences.is_empty() || !ranges.is_empty();
    let name = if has_failed { "verify.failed" } else { "verify.recovered" };
    let summary = if has_failed {
        format!(
            "verify: {} of {keys_checked} numbers differ from the event log, {} ranges of offsets differ from what \
             Kafka held",
            differences.len(),
            ranges.len()
        )
    } else {
        format!("verify: {keys_checked} numbers agree with the event log again, and all ranges with Kafka")
    };
    let listed: Vec<String> = differences.iter().take(LISTED).map(named).collect();
    let listed_ranges: Vec<String> = ranges.iter().take(LISTED).map(ToString::to_string).collect();
    let link = links.proofs();
    let text = std::iter::once(&summary).chain(&listed).chain(&listed_ranges).chain(&link);
    let text: Vec<&str> = text.map(String::as_str).collect();
    let data = json!({
        "proofId": proof, "drift": differences.len(), "numbersChecked": keys_checked, "differences": listed,
        "coverageDifferences": ranges.len(), "ranges": listed_ranges, "link": link,
    });
    body(name, *at, &text.join("\n"), &data)
}

/// What differs, without the users whose ratings do.
fn named(difference: &Difference) -> String {
    match difference {
        Difference::Rating { metric_type, .. } => format!("a rating that counts for {metric_type}"),
        _ => difference.to_string(),
    }
}
