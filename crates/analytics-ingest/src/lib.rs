//! Kafka to PostgreSQL: every event counted once.
//!
//! The modules are declared in the order in which a record passes through them: `kafka` fetches
//! it, `buffer` holds it until a writer is free, `writer` decodes it (with `analytics-core`) and logs
//! it (with `analytics-db`), and `fold` counts what is logged. `session` runs all of these for one membership in the consumer
//! group; `supervisor` runs one session after another until the process ends.
//!
//! `oauth` keeps the tokens with which the clients of Kafka authenticate themselves, if the brokers want tokens.
//!
//! `audit` is apart: it reads from Kafka what was counted, and compares. Nothing that it proves has a part in it.

pub mod settings;

mod telemetry;

mod oauth;

mod kafka;

mod buffer;

mod writer;

mod fold;

mod session;

mod supervisor;

pub mod audit;

pub use fold::MostWaiting;
pub use supervisor::run;
