//! Tests of the dashboard in Chromium, with the real service behind it.

mod browser;
mod embedding;
mod every_page;
mod explaining;
mod live;
mod marketplace;
mod outage;
mod portal;
mod proxied;
mod screenshots;
mod signing_in;
