//! Every rule of counting, and nothing else: no I/O, no clock of its own, no database.
//!
//! The modules stand in the order in which an event passes through them:
//!
//! `record` (what Kafka handed over) → `json` (is it a storable object?) → `envelope` (what is
//! the payload, who says it is which event?) → `events` (fields become an [`event::Event`]) →
//! `dedupe` (has it been counted before?) → `attribution` (whose sale is a line without a
//! vendor?) → `seal` (a checksum over what was decided) → `rules` (what does it add to which measure?)
//! → [`deltas::Deltas`].
//!
//! What they share comes first: the tables of what there is (`family`, `catalogue`), then ids, money, times
//! and metric types.

mod table;

pub mod catalogue;
pub mod family;

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

mod identifier;

mod envelope;

pub mod events;

pub mod identity;

pub mod event;

pub mod dedupe;

pub mod attribution;

pub mod seal;

pub mod rules;

pub mod deltas;
pub mod ratios;
pub mod rollup;

pub mod freshness;

pub mod maps;

pub use excerpt::harmless;
pub use json::storable_object;

pub use rules::VERSION as RULES_VERSION;
