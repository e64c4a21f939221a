//! What counting paid orders and deciding reversals have in common.

use analytics_core::business::Business;

use crate::locks::CountingLock;
use crate::tables::batches::BatchId;

/// How orders are settled: what is seen of the log, and which batch the result belongs to.
pub(super) struct Settling<'a> {
    /// The lock under which it is done.
    pub(super) lock: &'a CountingLock,
    /// The business.
    pub(super) business: Business,
    /// The batches that are counted now. What is logged is seen if it is of these, or was counted before.
    pub(super) counting: &'a [i64],
    /// The batch that books the result. It is one of those that are counted now, or was numbered for this.
    pub(super) batch: BatchId,
}
