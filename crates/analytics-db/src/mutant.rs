//! Deliberate faults, one at a time. `scripts/torture --mutants` proves with them that it would
//! detect each fault. Compiled only with the feature `mutants`; the variable `ANALYTICS_MUTANT`
//! selects the fault.

use std::sync::LazyLock;

use diesel::Connection as _;
use diesel::connection::SimpleConnection;

use crate::Connection;
use crate::batch::Batch;
use crate::error::WriteError;
use crate::sql::statement;

static CHOSEN: LazyLock<String> = LazyLock::new(|| std::env::var("ANALYTICS_MUTANT").unwrap_or_default());

fn is(name: &str) -> bool {
    *CHOSEN == name
}

/// `offset-before-data`: the offsets move in a transaction of their own, before the data.
pub(crate) fn move_offsets_before_data(connection: &mut Connection, batch: &mut Batch) -> Result<(), WriteError> {
    if !is("offset-before-data") {
        return Ok(());
    }
    connection.transaction(|connection| {
        for span in &mut batch.spans {
            let moved = statement(
                "UPDATE ingest_offsets SET next_offset = $5 \
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND next_offset = $4",
            )
            .value(&batch.consumer_group)
            .value(&*span.partition.topic)
            .value(span.partition.partition)
            .value(span.expected.0)
            .value(span.next.0)
            .execute(connection)?;
            if moved == 0 {
                return Err(WriteError::Fenced);
            }
        }
        Ok(())
    })?;
    // The transaction of the data then finds the offsets where it expects them.
    for span in &mut batch.spans {
        span.expected = span.next;
    }
    Ok(())
}

/// `skipped-range`: the records of some offsets are lost on the way, and the offsets move past them.
pub(crate) fn skip_records(batch: &mut Batch) {
    if is("skipped-range") {
        batch.items.retain(|item| item.record.place.offset.0 % 500 < 490);
    }
}

/// `no-fence`: the stored offsets move, wherever they are.
pub(crate) fn without_fence(statement: &'static str) -> String {
    let fence = "AND o.next_offset = s.expected";
    if is("no-fence") { statement.replace(fence, "") } else { statement.to_owned() }
}

/// `no-dedupe`: no identity of earlier batches is recognised.
pub(crate) fn knows_no_identity() -> bool {
    is("no-dedupe")
}

/// `lost-rollback`: what a fenced batch wrote before the fence is committed nevertheless.
pub(crate) fn commit_instead_of_rolling_back(connection: &mut Connection) -> Result<(), WriteError> {
    if is("lost-rollback") {
        connection.batch_execute("COMMIT")?;
    }
    Ok(())
}

/// `deltas-kept`: what a batch adds is added once more after it was counted.
pub(crate) fn counts_twice() -> bool {
    is("deltas-kept")
}

/// `deltas-dropped`: what a batch adds is not kept.
pub(crate) fn drops_deltas() -> bool {
    is("deltas-dropped")
}
