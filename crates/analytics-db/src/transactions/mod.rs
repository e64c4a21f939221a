//! The transactions that write, one file each. A transaction is committed completely or not at all.
//!
//! `runner` runs them. `count` logs a batch, `fold` counts what is logged; `refusal` and `frozen` are
//! used when logging fails. `pay` and `reverse` settle orders, as `settling` says. The others add to the same numbers with the same statements.

pub mod adjust;
pub mod administer;
pub mod assignment;
pub mod count;
pub mod fold;
pub mod frozen;
pub mod pay;
pub mod reattribute;
pub mod refusal;
pub mod repair;
pub mod replay;
pub mod reverse;
mod runner;
mod settling;
pub mod summarize;

pub(crate) use runner::{Failure, run};
pub use runner::{Finished, Outcome, STATEMENT_SECONDS, observe};
