//! Jobs that read the whole log leave the machine to ingest while it has much to catch up with.

use std::thread;
use std::time::{Duration, Instant};

use crate::tables::ingest_offsets;
use crate::{Connection, DbError};

/// From how many records on ingest counts as behind: a second or so of what one process counts.
const BEHIND: i64 = 50_000;
/// How long a job rests, in times of what it worked.
const REST: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// Waits, in no transaction, while ingest has much to catch up with: for what only makes a job faster. `is_of_use` says
/// whether there is still something to wait for.
pub(crate) fn give_way<E: From<DbError>>(
    connection: &mut Connection,
    is_of_use: impl Fn() -> Result<bool, E>,
) -> Result<(), E> {
    while is_of_use()? && ingest_offsets::behind(connection)? >= BEHIND {
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Rests after a job has `worked`, in no transaction, until it has rested long enough, ingest has caught up, or `check`
/// fails.
pub(crate) fn rest<E: From<DbError>>(
    connection: &mut Connection,
    worked: Duration,
    check: impl Fn() -> Result<(), E>,
) -> Result<(), E> {
    let began = Instant::now();
    while began.elapsed() < worked * REST && ingest_offsets::behind(connection)? >= BEHIND {
        check()?;
        thread::sleep(PAUSE);
    }
    Ok(())
}
