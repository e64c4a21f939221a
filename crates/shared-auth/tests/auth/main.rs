//! Tokens of every algorithm and kind, published keys, gateways, and attacks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attacks;
mod embed;
#[cfg(feature = "actix")]
mod gateway;
mod published_keys;
mod tokens;
