//! `analytics-jobs statements close`: makes the statements of a month.

use std::time::Instant;

use analytics_core::business::Business;
use analytics_core::ids::VendorId;
use analytics_core::month::Month;
use analytics_core::statement::SigningKey;
use analytics_db::closing::{self, Closed, Order};
use analytics_process::say;
use analytics_process::settings::{Settings, SettingsError};
use analytics_process::shutdown::Shutdown;
use anyhow::bail;
use chrono::{Days, Duration, Utc};
use clap::Args;

use crate::database;

#[derive(Debug, Args)]
pub struct Close {
    /// The month, such as 2026-10 [default: the last one that is over for STATEMENT_GRACE]
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<Month>,
    /// Only this seller
    #[arg(long, value_name = "ID", value_parser = VendorId::parse)]
    vendor: Option<VendorId>,
    /// Close the month although it is not proved. The statements say what is missing
    #[arg(long)]
    accept_gaps: bool,
}

pub(super) fn run(arguments: &Close, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let (began, key, grace) = (Instant::now(), key(settings)?, grace(settings)?);
    let decoder = settings.decoder()?;
    let connection = &mut database::ready(settings, shutdown)?;
    let month = match arguments.month {
        Some(month) => month,
        None => last(decoder.business, grace)?,
    };
    let terms = closing::terms(connection, decoder.business, &decoder.topics, month, grace)??;
    if !terms.gaps.is_empty() && !arguments.accept_gaps {
        let gaps = terms.gaps.join("; ");
        bail!("{month} is not proved: {gaps}. With --accept-gaps it is closed all the same, and its statements say so");
    }
    for gap in &terms.gaps {
        say!("gap: {gap}");
    }
    let open = terms.open_dead_letters;
    let order = Order { business: decoder.business, month, vendor: arguments.vendor.clone(), terms, key: &key };
    let Closed { closed, restated, unchanged } = closing::close(connection, &order, &|| !shutdown.requested())?;
    say!(
        "{month}: {closed} statements closed, {restated} restated, {unchanged} unchanged, {open} open dead letters, {:.1} s",
        began.elapsed().as_secs_f64()
    );
    say!("public key {}", key.public());
    Ok(())
}

/// Returns the last month that is over for as long as `grace`.
fn last(business: Business, grace: Duration) -> anyhow::Result<Month> {
    let today = business.calendar.day((Utc::now() - grace).into());
    let last = Month::of(today).and_then(|month| Month::of(month.first().checked_sub_days(Days::new(1))?));
    last.ok_or_else(|| anyhow::anyhow!("--month: must be given"))
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
