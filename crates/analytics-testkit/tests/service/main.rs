//! Tests of what every process of the service must do, with real binaries, Kafka and PostgreSQL.

mod database_url;
mod encoding;
mod frozen;
mod pooled;
mod secrets;
mod settings;
mod startup;
