//! What holds for every process of the service: real binaries, real Kafka, real PostgreSQL.

mod database_url;
mod encoding;
mod frozen;
mod pooled;
mod secrets;
mod settings;
mod startup;
