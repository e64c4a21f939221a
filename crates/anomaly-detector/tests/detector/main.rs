//! Judges generated series: a table of cases, and properties of any series.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cases;
mod properties;
mod series;
