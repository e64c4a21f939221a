//! Measures the service beside PostgreSQL itself, in one run and by turns, so that what a noisy
//! machine does to one it does to the other.
//!
//! It walks along [`backlog`] (the events), [`copy`] and [`ingest`] (who writes them), [`api`] (who
//! reads them) and [`report`] (what it came to, against the bars).

pub mod api;
pub mod backlog;
pub mod copy;
pub mod ingest;
pub mod report;
pub mod requests;
pub mod watched;
