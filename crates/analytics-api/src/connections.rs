//! Connections to PostgreSQL, lent to work that blocks, and limits on how long anybody waits for it.
//!
//! A server that does not answer takes the time of those who ask, and no more: work that is given up goes
//! on with its connection and its place among the connections, until the server answers or the connection
//! breaks. So there are never more connections, nor threads that wait, than there are to be.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::rt::task::spawn_blocking;
use actix_web::rt::time::timeout;
use analytics_db::connection::connect;
use analytics_db::{Connection, DatabaseUrl, DbError};
use tokio::sync::Semaphore;

/// What `pg_stat_activity` shows.
pub(crate) const APPLICATION: &str = "analytics-api";

/// As many connections as there may be. Clones share them.
#[derive(Clone)]
pub(crate) struct Connections {
    url: DatabaseUrl,
    most: u32,
    free: Arc<Semaphore>,
    /// The one that was used last is used first.
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Connections {
    pub(crate) fn new(url: DatabaseUrl, most: u32) -> Self {
        let free = Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS));
        Self { url, most, free: Arc::new(free), idle: Arc::default() }
    }

    /// Lends a connection to some work, on a thread that may block, and waits for it, at most this long.
    /// `begin` is the first thing that is done with it: where an idle connection turns out to be broken,
    /// the work gets another one. `end` is the last.
    ///
    /// # Errors
    /// What went wrong, or that nothing came of it in time.
    pub(crate) async fn lend<T: Send + 'static, E: From<DbError> + fmt::Display + Send + 'static>(
        &self,
        at_most: Duration,
        begin: impl Fn(&mut Connection) -> Result<(), DbError> + Send + 'static,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
        end: impl FnOnce(&mut Connection) + Send + 'static,
    ) -> Result<T, String> {
        let lent = self.clone();
        let answered = timeout(at_most, async move {
            let place = Arc::clone(&lent.free).acquire_owned().await.map_err(|error| error.to_string())?;
            let blocking = spawn_blocking(move || {
                let mut connection = lent.begun(begin)?;
                let done = work(&mut connection);
                end(&mut connection);
                // After a failure it may be broken, or in whatever state.
                if done.is_ok() {
                    lent.give_back(connection);
                }
                drop(place);
                done
            });
            blocking.await.map_err(|error| error.to_string())?.map_err(|error: E| error.to_string())
        });
        answered.await.unwrap_or_else(|_| Err(format!("the database did not answer within {at_most:?}")))
    }

    fn begun(&self, begin: impl Fn(&mut Connection) -> Result<(), DbError>) -> Result<Connection, DbError> {
        while let Some(mut connection) = self.idle() {
            match begin(&mut connection) {
                Ok(()) => return Ok(connection),
                Err(DbError::Unreachable(why)) => log::debug!("an idle connection was broken: {why}"),
                Err(error) => return Err(error),
            }
        }
        let mut connection = connect(&self.url, APPLICATION)?;
        begin(&mut connection)?;
        Ok(connection)
    }

    fn idle(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// How many are at work, and how many wait for some.
    pub(crate) fn busy_and_idle(&self) -> (u32, u32) {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(self.most);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        (self.most.saturating_sub(free), u32::try_from(idle).unwrap_or(u32::MAX))
    }
}
