//! `analytics-jobs statements list`: which statements there are.

use analytics_core::ids::VendorId;
use analytics_core::month::Month;
use analytics_core::statement::Figures;
use analytics_db::read::statements;
use analytics_process::say;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anyhow::Context as _;
use chrono::SecondsFormat;
use clap::Args;

use crate::database;

#[derive(Debug, Args)]
pub struct List {
    /// Only statements of this month, such as 2026-10
    #[arg(long, value_name = "YYYY-MM", conflicts_with = "vendor")]
    month: Option<Month>,
    /// Only statements of this seller
    #[arg(long, value_name = "ID", value_parser = VendorId::parse)]
    vendor: Option<VendorId>,
    /// How many are listed at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

pub(super) fn run(list: &List, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    let connection = &mut database::ready(settings, shutdown)?;
    let found = match &list.vendor {
        Some(vendor) => statements::of_vendor(connection, vendor.as_str(), None, list.limit)?,
        None => statements::newest(connection, list.month, list.limit)?,
    };
    say!("{:<24}  {:<7}  {:>7}  {:<20}  {:<64}  NET", "SELLER", "MONTH", "VERSION", "CLOSED", "DIGEST");
    for stored in found {
        let checked = stored.checked().with_context(|| format!("the statement of {:?}", stored.vendor_id))?;
        let mut net = Vec::new();
        for (currency, days) in &checked.statement.currencies {
            net.push(format!("{} {currency}", Figures::sum(days.values())?.net()?));
        }
        say!(
            "{:<24}  {:<7}  {:>7}  {:<20}  {}  {}",
            stored.vendor_id,
            checked.statement.month,
            stored.version,
            stored.closed_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            checked.digest,
            net.join(", ")
        );
    }
    Ok(())
}
