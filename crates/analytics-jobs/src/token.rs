//! `analytics-jobs token`: prints a token for development.

use analytics_process::settings::Settings;
use anyhow::{Context, bail};
use clap::Args;
use shared_auth::{Claims, mint};

#[derive(Debug, Args)]
pub struct Token {
    /// The role: admin, super_admin, seller, vendor, buyer_seller or buyer
    #[arg(long)]
    role: String,
    /// The id of the vendor; required for seller, vendor and buyer_seller
    #[arg(long)]
    vendor: Option<String>,
    /// The id of the user
    #[arg(long, default_value = "developer")]
    user: String,
    /// How many hours the token is valid
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
    hours: u64,
}

pub(super) fn run(token: &Token, settings: &Settings) -> anyhow::Result<()> {
    let needs_vendor = match token.role.as_str() {
        "admin" | "super_admin" | "buyer" => false,
        "seller" | "vendor" | "buyer_seller" => true,
        other => {
            bail!("--role: must be admin, super_admin, seller, vendor, buyer_seller or buyer, got {other}")
        }
    };
    if needs_vendor && token.vendor.is_none() {
        bail!("--vendor: is required for the role {}, as in --vendor v-1", token.role);
    }
    let expires = chrono::Utc::now() + chrono::Duration::hours(i64::try_from(token.hours)?);
    let claims = Claims {
        user_id: Some(token.user.clone()),
        role: vec![token.role.clone()],
        vendor_id: token.vendor.clone(),
        exp: u64::try_from(expires.timestamp())?,
        ..Claims::default()
    };
    let secret = settings.required("JWT_SECRET")?;
    println!("{}", mint(secret.as_bytes(), &claims).context("JWT_SECRET cannot be used")?);
    Ok(())
}
