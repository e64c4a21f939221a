//! Every rule of counting, and nothing else: no I/O, no clock of its own, no database.
//!
//! The modules stand in the order in which an event passes through them:
//!
//! `record` (what Kafka handed over) → `json` (is it a storable object?) → `envelope` (what is
//! the payload, who says it is which event?) → `decode` (fields become an [`event::Event`]) →
//! `dedupe` (has it been counted before?) → `attribution` (whose sale is a line without a
//! vendor?) → `seal` (a checksum over what was decided) → `rules` (what does it add to which metric?)
//! → [`deltas::Deltas`].
//!
//! The vocabulary they share (`business`, `ids`, `money`, `time`, `calendar`, `metric_type`, `rejection`)
//! comes first.

pub mod business;
pub mod calendar;
mod excerpt;
pub mod ids;
pub mod metric_type;
pub mod money;
pub mod rejection;
pub mod time;
pub mod topics;

pub mod record;

mod json;

mod envelope;

pub mod decode;

pub mod identity;

pub mod event;

pub mod dedupe;

pub mod attribution;

pub mod seal;

pub mod rules;

pub mod deltas;

pub mod freshness;

pub mod maps;

pub use excerpt::harmless;
pub use json::storable_object;

/// The version of the rules in this crate, frozen with each event that they decided.
///
/// Raise it whenever the same record would be counted differently than before.
pub const RULES_VERSION: i16 = 1;
