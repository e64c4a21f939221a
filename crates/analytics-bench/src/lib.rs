//! Measures the service and PostgreSQL alone, alternately in the same run, so that noise of the
//! machine affects both alike.
//!
//! [`backlog`] provides the events, [`copy`] and [`ingest`] measure writing them, [`api`] with
//! [`requests`] measures reading them, [`jobs`] measures jobs and ingest beside them, and [`report`] compares the
//! results with the bars. [`anomalies`] measures how well anomalies are found, which needs none of these.

pub mod anomalies;
pub mod api;
pub mod backlog;
pub mod copy;
pub mod ingest;
pub mod jobs;
pub mod report;
pub mod requests;
pub mod watched;
