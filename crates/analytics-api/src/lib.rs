//! The REST API over the counted metrics.
//!
//! `server` puts the application together, `routes` has the table of routes and a file for each
//! resource, `problem` is every error that a client can see.

pub mod settings;

mod database;

mod problem;

mod query;

mod routes;

mod telemetry;

mod server;

pub use server::run;
