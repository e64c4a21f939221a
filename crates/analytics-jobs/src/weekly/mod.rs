//! `analytics-jobs weekly`: tells the webhook each seller's week once, for the marketplace to mail.

mod message;
mod week;

use std::collections::HashMap;

use analytics_core::catalogue::Measure;
use analytics_core::completeness::Completeness;
use analytics_core::ids::{Encoded, VendorId};
use analytics_core::time::EventTime;
use analytics_db::Connection;
use analytics_db::read::freshness;
use analytics_db::read::weeks::{self, SellerName, SellerRating, WeekSums, Weeks};
use analytics_db::tables::notifications;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use analytics_process::{remark, say};
use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;

use crate::database;
use crate::notify::{Links, Notifier, WEEKS};
use message::{Seller, Told};
use week::Week;

/// The measures of which a week is made.
const MEASURES: [Measure; 4] = [Measure::Views, Measure::Orders, Measure::Units, Measure::Revenue];
/// How many sellers are read at once.
const PIECE: i64 = 500;

#[derive(Debug, Args)]
pub struct Weekly {
    /// The week, as ISO 8601 numbers it [default: the last one that is over]
    #[arg(long, value_name = "YYYY-Www")]
    week: Option<Week>,
    /// Only this seller
    #[arg(long, value_name = "ID", value_parser = vendor)]
    vendor: Option<VendorId>,
    /// Print what would be sent, one JSON object a line, and store and send nothing
    #[arg(long)]
    dry_run: bool,
}

fn vendor(id: &str) -> Result<VendorId, String> {
    VendorId::parse(id).map_err(|error| error.to_string())
}

pub(super) fn run(weekly: &Weekly, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let business = settings.business()?;
    let (notifier, links) = (Notifier::from_settings(settings)?, Links::from_settings(settings)?);
    if notifier.is_none() && !weekly.dry_run {
        bail!("NOTIFY_WEBHOOK_URL: must be set, as this is where weeks are sent to; --dry-run prints them");
    }
    let connection = &mut database::ready(settings, shutdown)?;
    let (week, end) = complete_week(connection, weekly.week, settings)?;
    let told = Told { week, end, business, links: &links };
    let (mut sellers, mut queued, mut after) = (0, 0, String::new());
    loop {
        let piece = match &weekly.vendor {
            Some(vendor) => vec![Encoded(vendor.as_str()).to_string()],
            None => weeks::sellers(connection, &days(&told), &after, PIECE)?,
        };
        let Some(last) = piece.last() else { break };
        after.clone_from(last);
        let messages = messages(connection, &told, &piece)?;
        sellers += messages.len();
        if weekly.dry_run {
            messages.iter().for_each(|(_, body)| say!("{body}"));
        } else {
            queued += notifications::queue_weeks(connection, &messages)?;
        }
        if weekly.vendor.is_some() {
            break;
        }
        if shutdown.requested() {
            bail!("stopped before everything was sent; the next run continues");
        }
    }
    if let Some(vendor) = weekly.vendor.as_ref().filter(|_| sellers == 0) {
        bail!("the seller {vendor} has no views and no orders in the week {week} and the one before");
    }
    if weekly.dry_run {
        remark!("week {week}: {sellers} sellers, nothing sent");
        return Ok(());
    }
    remark!("week {week}: {sellers} sellers, {queued} of them new");
    notifier.map_or(Ok(()), |notifier| notifier.deliver(connection, WEEKS, settings, shutdown))
}

/// Returns the week to tell about, and its end, if it is over and everything of it is counted.
fn complete_week(
    connection: &mut Connection,
    wanted: Option<Week>,
    settings: &Settings,
) -> anyhow::Result<(Week, DateTime<Utc>)> {
    let decoder = settings.decoder()?;
    let calendar = decoder.business.calendar;
    let (reports, now) = freshness::reports(connection)?;
    let last = Week::before(calendar.day(EventTime::from(now)));
    let week = wanted.unwrap_or(last);
    if week.monday() > last.monday() {
        bail!("the week {week} is not over: the last one that is, is {last}");
    }
    let end = calendar.day_start(week.sunday().succ_opt().unwrap_or(week.sunday()));
    if !Completeness::of_measures(&MEASURES, &decoder, &reports).is_complete(end, now) {
        bail!("the week {week} is not completely counted yet: run this again once ingest has caught up");
    }
    Ok((week, end))
}

fn days(told: &Told<'_>) -> Weeks {
    let starts = |week: Week| week.days().map(|day| told.business.calendar.day_start(day)).collect();
    Weeks { earlier: starts(told.week.previous()), days: starts(told.week) }
}

/// Returns what is told about each of some sellers, under the name by which it is told once.
fn messages(connection: &mut Connection, told: &Told<'_>, sellers: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let sums = weeks::sums(connection, &days(told), sellers)?;
    let ratings = weeks::ratings(connection, sellers)?;
    let ratings: HashMap<&str, &SellerRating> = ratings.iter().map(|row| (row.subject.as_str(), row)).collect();
    let names = weeks::names(connection, sellers)?;
    let names: HashMap<&str, &SellerName> = names.iter().map(|row| (row.subject.as_str(), row)).collect();
    let message = |sums: &[WeekSums]| {
        let subject = sums.first()?.subject.as_str();
        let name = names.get(subject).map(|row| row.name.as_str());
        let (vendor, body) = told.message(&Seller { sums, rating: ratings.get(subject).copied(), name })?;
        Some((format!("{} {vendor}", told.week), body))
    };
    Ok(sums.chunk_by(|a, b| a.subject == b.subject).filter_map(message).collect())
}
