//! The REST API over the counted metrics.
//!
//! A request meets `middleware` (its id, freshness, conditional answers), then a handler in `routes`
//! that says who may ask (`caller`), what was asked (`query`), reads it (`database`) and shows it.
//! `problem` is every error that a client can see; `openapi` describes all of it; `server` puts it
//! together.

pub mod settings;

mod access;

mod caller;

mod query;

mod connections;

mod database;

mod lookups;

mod problem;

mod middleware;

mod routes;

mod openapi;
mod page;

mod telemetry;

mod server;

pub use openapi::document;
pub use server::run;
