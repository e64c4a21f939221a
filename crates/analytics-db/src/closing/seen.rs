//! A run that closes statements, and which batches its statements include.

use std::collections::HashSet;

use analytics_core::month::Month;

use crate::sql::{row, statement};
use crate::tables::batches::watermark;
use crate::{Connection, DbError};

/// A run that closes statements as of one batch.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) id: i64,
    /// The number of the last batch that its statements include.
    pub(super) as_of: i64,
}

/// Batches that statements of an earlier closing include.
#[derive(Debug)]
pub(super) struct Seen {
    last: i64,
    unseen: HashSet<i64>,
}

/// The batches that are not included are those that are logged and not counted, and those that are not committed yet.
/// Of the latter, only the ids are known to be missing: ids that were never used are among them, and do no harm. No
/// batch is open for an hour.
const BEGIN: &str = "INSERT INTO statement_closings (month, as_of, last_batch, unseen_batches) \
    SELECT $1, w.number, l.last, ARRAY( \
        SELECT i.id FROM generate_series( \
            greatest((SELECT max(b.id) FROM batches b WHERE b.counted_at < now() - interval '1 hour'), \
                     (SELECT min(b.id) FROM batches b) - 1, 0) + 1, l.last) AS i (id) \
        WHERE NOT EXISTS (SELECT FROM batches b WHERE b.id = i.id AND b.number IS NOT NULL) \
        UNION SELECT b.id FROM batches b WHERE b.number IS NULL ORDER BY 1) \
    FROM watermark w CROSS JOIN (SELECT last_value AS last FROM batch_ids) AS l \
    RETURNING id";

impl Closing {
    /// Begins a closing as of the last counted batch, in the snapshot of the caller's transaction.
    pub(super) fn begin_in(connection: &mut Connection, month: Month) -> Result<Self, DbError> {
        row! {
            struct Row {
                id: i64,
            }
        }
        let (as_of, _) = watermark(connection)?;
        let row: Row = statement(BEGIN).value(month.first()).get_result(connection)?;
        Ok(Self { id: row.id, as_of })
    }

    /// Notes that every seller of the month has a statement.
    pub(super) fn finish(self, connection: &mut Connection) -> Result<(), DbError> {
        statement("UPDATE statement_closings SET finished_at = clock_timestamp() WHERE id = $1")
            .value(self.id)
            .execute(connection)?;
        Ok(())
    }
}

impl Seen {
    /// Loads which batches the statements of a closing include.
    pub(super) fn by(connection: &mut Connection, closing: i64) -> Result<Self, DbError> {
        row! {
            struct Row {
                last_batch: i64,
                unseen_batches: Vec<i64>,
            }
        }
        let row: Row = statement("SELECT last_batch, unseen_batches FROM statement_closings WHERE id = $1")
            .value(closing)
            .get_result(connection)?;
        Ok(Self { last: row.last_batch, unseen: row.unseen_batches.into_iter().collect() })
    }

    pub(super) fn sees(&self, batch: i64) -> bool {
        batch <= self.last && !self.unseen.contains(&batch)
    }
}
