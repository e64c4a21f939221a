//! `analytics-jobs token`

use analytics_process::settings::Settings;
use anyhow::{Context, bail};
use clap::Args;
use shared_auth::{Claims, mint};

#[derive(Debug, Args)]
pub struct Token {
    /// admin, super_admin, seller, vendor, buyer_seller or buyer
    #[arg(long)]
    role: String,
    /// The vendor that a seller acts for
    #[arg(long)]
    vendor: Option<String>,
    /// The user's id
    #[arg(long, default_value = "developer")]
    user: String,
    /// How long the token is valid, in hours
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
    hours: u64,
}

pub(super) fn run(token: &Token, settings: &Settings) -> anyhow::Result<()> {
    let needs_vendor = match token.role.as_str() {
        "admin" | "super_admin" | "buyer" => false,
        "seller" | "vendor" | "buyer_seller" => true,
        other => {
            bail!("there is no role {other}; there are admin, super_admin, seller, vendor, buyer_seller and buyer")
        }
    };
    if needs_vendor && token.vendor.is_none() {
        bail!("a {} needs a vendor: --vendor v-1", token.role);
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
