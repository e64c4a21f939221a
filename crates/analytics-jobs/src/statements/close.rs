//! `analytics-jobs statements close`: makes the statements of a month.

use std::time::Instant;

use analytics_core::business::Business;
use analytics_core::events::Decoder;
use analytics_core::ids::VendorId;
use analytics_core::month::Month;
use analytics_core::statement::SigningKey;
use analytics_db::Connection;
use analytics_db::closing::{self, CloseError, Closed, Order, Terms};
use analytics_process::say;
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use chrono::{DateTime, Duration, Months, Utc};
use clap::Args;

use crate::database;

/// How many months are closed, and restated where something arrived late, if none is named.
const MONTHS: u32 = 3;

#[derive(Debug, Args)]
pub struct Close {
    /// The month, such as 2026-10 [default: the last three that are over for STATEMENT_GRACE]
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<Month>,
    /// Only this seller
    #[arg(long, value_name = "ID", value_parser = VendorId::parse)]
    vendor: Option<VendorId>,
    /// Close the month although it is not proved. The statements say why it is not
    #[arg(long)]
    accept_gaps: bool,
    /// Close the month although records are missing, or are not proved to be counted; but not if a proof found numbers or
    /// records that differ. The statements say so. For cron, where an old gap is known
    #[arg(long, conflicts_with = "accept_gaps")]
    accept_missing: bool,
}

impl Close {
    /// Returns why a month is not closed on these terms.
    fn refusal(&self, month: Month, terms: &Terms) -> Option<String> {
        let accepts_missing = self.accept_gaps || self.accept_missing;
        let missing = terms.gaps.iter().filter(|_| !accepts_missing);
        let reasons: Vec<&str> =
            missing.chain(terms.drift.iter().filter(|_| !self.accept_gaps)).map(String::as_str).collect();
        let all_the_same = "With --accept-gaps it is closed all the same, and its statements say so";
        (!reasons.is_empty()).then(|| format!("{month} is not proved: {}. {all_the_same}", reasons.join("; ")))
    }
}

/// What all months of a run have in common.
struct Run<'a> {
    arguments: &'a Close,
    decoder: Decoder,
    grace: Duration,
    key: SigningKey,
    shutdown: &'a Shutdown,
}

pub(super) fn run(arguments: &Close, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let (key, grace, decoder) = (key(settings)?, grace(settings)?, settings.decoder()?);
    let connection = &mut database::ready(settings, shutdown)?;
    let months = match arguments.month {
        Some(month) => vec![month],
        None => last(decoder.business, grace, Utc::now()),
    };
    let run = Run { arguments, decoder, grace, key, shutdown };
    let mut problems = Vec::new();
    for month in months {
        // What keeps one month from being closed does not keep the others.
        problems.extend(run.close(connection, month)?);
    }
    say!("public key {}", run.key.public());
    if !problems.is_empty() {
        bail!(problems.join(". "));
    }
    Ok(())
}

impl Run<'_> {
    /// Closes a month. Returns why it is not closed, or not for all sellers.
    fn close(&self, connection: &mut Connection, month: Month) -> anyhow::Result<Option<String>> {
        let (began, business) = (Instant::now(), self.decoder.business);
        let terms = match closing::terms(connection, &self.decoder, month, self.grace)? {
            Ok(terms) => terms,
            Err(not_yet) => return Ok(Some(not_yet.to_string())),
        };
        if let Some(refusal) = self.arguments.refusal(month, &terms) {
            return Ok(Some(refusal));
        }
        for gap in terms.gaps.iter().chain(&terms.drift) {
            say!("gap: {gap}");
        }
        let (open, vendor) = (terms.open_dead_letters, self.arguments.vendor.clone());
        let late_at_once = closing::LATE_AT_ONCE;
        let order = Order { business, month, vendor, terms, key: &self.key, late_at_once };
        let Closed { closed, restated, unchanged } =
            match closing::close(connection, &order, &|| !self.shutdown.requested()) {
                Ok(done) => done,
                Err(left @ (CloseError::Differs { .. } | CloseError::Unreadable { .. })) => {
                    return Ok(Some(format!("{month}: {left}")));
                }
                Err(error) => return Err(error.into()),
            };
        say!(
            "{month}: {closed} statements closed, {restated} restated, {unchanged} unchanged, {open} open dead letters, {:.1} s",
            began.elapsed().as_secs_f64()
        );
        Ok(None)
    }
}

/// Returns the last months that are over for as long as `grace`, in order.
fn last(business: Business, grace: Duration, now: DateTime<Utc>) -> Vec<Month> {
    let first = Month::of(business.calendar.day((now - grace).into())).map(Month::first);
    let ago = |months: u32| Month::of(first?.checked_sub_months(Months::new(months))?);
    (1..=MONTHS).rev().filter_map(ago).collect()
}

/// Returns how long after its end a month can be closed.
pub(super) fn grace(settings: &Settings) -> Result<Duration, SettingsError> {
    settings.parse("STATEMENT_GRACE", |text| {
        let hours = |suffix: char, hours: i64| {
            let number: u16 = text.strip_suffix(suffix)?.parse().ok()?;
            Some(Duration::hours(i64::from(number).checked_mul(hours)?))
        };
        let most = Duration::days(90);
        let grace = hours('d', 24).or_else(|| hours('h', 1)).filter(|grace| *grace <= most);
        grace.ok_or("must be a duration such as 3d or 36h, at most 90d")
    })
}

/// Returns the key that signs statements.
pub(super) fn key(settings: &Settings) -> Result<SigningKey, SettingsError> {
    settings.parse("STATEMENT_SIGNING_KEY", |key| {
        let pem = match key.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("the file after @ cannot be read: {}", error.kind()))?,
            // In an environment variable of one line, the line breaks of the PEM file are written as `\n`.
            None => key.replace("\\n", "\n"),
        };
        SigningKey::parse(&pem).map_err(|error| error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_that_is_not_proved_is_closed_on_request() {
        for (gaps, drift, options, refused) in [
            ("", "", "", ""),
            ("", "", "--accept-gaps", ""),
            ("lost", "", "", "lost"),
            ("lost", "", "--accept-missing", ""),
            ("lost", "", "--accept-gaps", ""),
            ("", "drift", "", "drift"),
            ("", "drift", "--accept-missing", "drift"),
            ("", "drift", "--accept-gaps", ""),
            ("lost", "drift", "", "lost; drift"),
            ("lost", "drift", "--accept-missing", "drift"),
            ("lost", "drift", "--accept-gaps", ""),
        ] {
            let reasons = |text: &str| text.split_whitespace().map(str::to_owned).collect();
            // Dead letters alone do not keep a month open.
            let terms = Terms { gaps: reasons(gaps), drift: reasons(drift), open_dead_letters: 3, ..Terms::default() };
            let (accept_gaps, accept_missing) = (options.contains("gaps"), options.contains("missing"));
            let close = Close { month: None, vendor: None, accept_gaps, accept_missing };
            let refusal = close.refusal("2026-10".parse().unwrap(), &terms);
            let expected = (!refused.is_empty()).then(|| {
                format!(
                    "2026-10 is not proved: {refused}. With --accept-gaps it is closed all the same, and its statements say so"
                )
            });
            assert_eq!(refusal, expected, "{gaps} {drift} {options}");
        }
    }

    #[test]
    fn without_a_month_the_last_three_that_are_over_are_closed() {
        let settings = Settings::from_environment([("BUSINESS_TIMEZONE".to_owned(), "Europe/Berlin".to_owned())]);
        let business = settings.business().unwrap();
        for (now, months) in [
            ("2026-11-03T22:59:59Z", ["2026-07", "2026-08", "2026-09"]),
            ("2026-11-03T23:00:00Z", ["2026-08", "2026-09", "2026-10"]),
            ("2027-01-31T12:00:00Z", ["2026-10", "2026-11", "2026-12"]),
        ] {
            let found = last(business, Duration::days(3), now.parse().unwrap());
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), months, "{now}");
        }
    }

    #[test]
    fn the_grace_is_a_duration_in_days_or_hours() {
        let of = |text: &str| grace(&Settings::from_environment([("STATEMENT_GRACE".to_owned(), text.to_owned())]));
        for (text, hours) in [("3d", 72), ("36h", 36), ("0d", 0), ("90d", 2_160)] {
            assert_eq!(of(text).unwrap(), Duration::hours(hours), "{text}");
        }
        for text in ["3", "d", "91d", "-1d", "3 d", "1.5d", "soon", "é"] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains("must be a duration such as 3d"), "{text}: {error}");
        }
    }
}
