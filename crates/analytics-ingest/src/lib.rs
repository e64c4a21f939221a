//! Kafka to PostgreSQL: every event counted once.
//!
//! The modules stand in the order in which a record passes them: `kafka` fetches it, `buffer`
//! keeps it until a writer is free, `writer` decodes it (`analytics-core`) and counts it
//! (`analytics-db`). `session` is one membership in the consumer group with all of these,
//! `supervisor` starts sessions for as long as the process lives.

pub mod settings;

mod telemetry;

mod kafka;

mod buffer;

mod writer;

mod session;

mod supervisor;

pub use supervisor::run;
