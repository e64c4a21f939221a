//! The REST API over the counted metrics.
//!
//! A request passes through `middleware` (request id, freshness headers, conditional responses) and
//! a check of the caller's role (`access`) to a handler in `routes`. The handler determines whose
//! numbers the caller may read (`caller`), parses the parameters (`query`), reads from `database`
//! and returns JSON. `problem` defines every error that a client can see, `openapi` generates the
//! OpenAPI document, `dashboard` serves the pages for browsers, and `server` assembles the application.

pub mod settings;

mod access;
mod as_of;

mod caller;

mod conditions;
mod kept;
mod query;
mod range;
mod rankings;
mod rates;

mod connections;

mod database;

mod live;
mod lookups;

mod problem;

mod middleware;

mod routes;

mod change;
mod lines;
mod links;
mod openapi;
mod page;
mod panel;
mod reconciliation;

mod telemetry;

mod exposition;

pub mod business_metrics;

mod dashboard;

mod server;

pub use openapi::document;
pub use server::run;
