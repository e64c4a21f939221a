//! Tests of the dashboard in Chromium, with the real service behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod anomalies;
mod browser;
mod embedding;
mod every_page;
mod explaining;
mod live;
mod marketplace;
mod outage;
mod portal;
mod proxied;
mod reconciling;
mod screenshots;
mod signing_in;
mod statements;
