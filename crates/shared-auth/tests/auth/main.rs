//! Tokens of every algorithm, and the attacks on them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attacks;
mod published_keys;
mod tokens;
