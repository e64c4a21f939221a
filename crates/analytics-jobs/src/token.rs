//! `analytics-jobs token`: prints a token for development.

use analytics_process::say;
use analytics_process::settings::Settings;
use anyhow::{Context, bail};
use clap::Args;
use shared_auth::{Claims, Principal, mint};

#[derive(Debug, Args)]
pub struct Token {
    /// The role: admin, super_admin, support, seller, vendor, buyer_seller or buyer
    #[arg(long)]
    role: String,
    /// The id of a vendor; may be repeated. Required for seller, vendor and buyer_seller
    #[arg(long)]
    vendor: Vec<String>,
    /// The id of the user
    #[arg(long, default_value = "developer")]
    user: String,
    /// How many hours the token is valid
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
    hours: u64,
}

pub(super) fn run(token: &Token, settings: &Settings) -> anyhow::Result<()> {
    let needs_vendor = match token.role.as_str() {
        "admin" | "super_admin" | "support" | "buyer" => false,
        "seller" | "vendor" | "buyer_seller" => true,
        other => {
            bail!("--role: must be admin, super_admin, support, seller, vendor, buyer_seller or buyer, got {other}")
        }
    };
    if needs_vendor && token.vendor.is_empty() {
        bail!("--vendor: is required for the role {}, as in --vendor v-1", token.role);
    }
    let expires = chrono::Utc::now() + chrono::Duration::hours(i64::try_from(token.hours)?);
    // One vendor is in the claim that every service reads.
    let (vendor_id, vendor_ids) = match token.vendor.as_slice() {
        [vendor] => (Some(vendor.clone()), Vec::new()),
        vendors => (None, vendors.to_vec()),
    };
    let claims = Claims {
        user_id: Some(token.user.clone()),
        role: vec![token.role.clone()],
        vendor_id,
        vendor_ids,
        exp: u64::try_from(expires.timestamp())?,
        ..Claims::default()
    };
    Principal::of(claims.clone()).context("--vendor")?;
    let secret = settings.required("JWT_SECRET")?;
    say!("{}", mint(secret.as_bytes(), &claims).context("JWT_SECRET cannot be used")?);
    Ok(())
}
