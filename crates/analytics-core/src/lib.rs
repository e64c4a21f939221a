//! The rules of counting as pure code: no I/O, no clock, no database access.
//!
//! The modules are listed in the order in which an event passes through them:
//!
//! `record` (a record as fetched from Kafka) → `json` (checks that it is an object that PostgreSQL
//! can store) → `envelope` (removes the wrapping around the payload and reads the explicit
//! identity) → `events` (decodes the fields into an [`event::Event`]) → `dedupe` (finds out whether
//! it was counted before) → `attribution` (decides the vendor of parts that name none) → `seal` (a
//! checksum over what was decided) → `rules` (what the event adds to which measure) →
//! [`deltas::Deltas`]. Events that name things end in `directory`. What a month came to for a seller is sealed in
//! a `statement`.
//!
//! What these modules share comes first: the tables of families and metrics (`family`,
//! `catalogue`), then ids, money, times, metric types and paths in payloads.

mod table;

pub mod catalogue;
pub mod family;

pub mod business;
pub mod calendar;
mod excerpt;
pub mod ids;
pub mod metadata;
pub mod metric_type;
pub mod money;
pub mod name;
pub mod rejection;
pub mod sums;
pub mod time;
pub mod topics;

pub mod range_digest;
pub mod record;

mod json;

mod identifier;

mod envelope;

pub mod events;

pub mod identity;

pub mod event;
pub mod reversal;

pub mod dedupe;

pub mod attribution;

pub mod directory;

pub mod seal;

pub mod rules;

pub mod deltas;
pub mod ratios;
pub mod rollup;

pub mod freshness;

pub mod completeness;

pub mod month;
pub mod period;

pub mod reconciliation;

pub mod statement;

pub mod maps;

pub use excerpt::harmless;
pub use json::storable_object;

pub use rules::VERSION as RULES_VERSION;
