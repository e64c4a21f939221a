//! What happens together: each file is one transaction, all of it or nothing.
//!
//! `runner` runs them; `count` is the one that counts a batch, `refusal` and `frozen` are what a
//! writer does when it does not succeed. The others add to the same numbers by the same statements.

pub mod adjust;
pub mod assignment;
pub mod count;
pub mod frozen;
pub mod reattribute;
pub mod refusal;
pub mod repair;
pub mod replay;
mod runner;

pub(crate) use runner::{Failure, run};
pub use runner::{Finished, Outcome, STATEMENT_SECONDS, observe};
