//! Tokens of every algorithm, published keys, and attacks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attacks;
mod published_keys;
mod tokens;
