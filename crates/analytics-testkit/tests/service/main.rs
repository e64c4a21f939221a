//! The service as a whole: real binaries, real Kafka, real PostgreSQL.

mod recorded;
