//! Connections to PostgreSQL, lent to work that blocks, and limits on how long anybody waits for it.
//!
//! Work that is given up, because nothing came of it in time, may go on for as long as it likes: for ever,
//! where a server vanished without a word. It keeps its thread and its connection, and gives its place among
//! the connections to others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::rt::task::spawn_blocking;
use actix_web::rt::time::timeout;
use analytics_db::connection::connect;
use analytics_db::{Connection, DatabaseUrl, DbError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What `pg_stat_activity` shows.
pub(crate) const APPLICATION: &str = "analytics-api";

/// Why nothing came of some work.
#[derive(Debug, Clone)]
pub(crate) enum Failed {
    /// The database did not answer in time; later it may.
    Unavailable(String),
    /// Something that should not happen.
    Unexpected(String),
}

impl From<&DbError> for Failed {
    fn from(error: &DbError) -> Self {
        if error.is_temporary() { Self::Unavailable(error.to_string()) } else { Self::Unexpected(error.to_string()) }
    }
}

impl Failed {
    /// Logs it, once for all requests that it made fail.
    pub(crate) fn log(&self) {
        match self {
            Self::Unavailable(why) => log::warn!("requests failed: {why}"),
            Self::Unexpected(why) => log::error!("requests failed: {why}"),
        }
    }
}

/// A place among the connections, which ends with the work or when that is given up.
struct Place(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Place {
    /// Ends it, unless that has happened. It is free for others when what is returned is dropped.
    fn give_up(&self) -> Option<OwnedSemaphorePermit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

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
    pub(crate) async fn lend<T: Send + 'static>(
        &self,
        at_most: Duration,
        begin: impl Fn(&mut Connection) -> Result<(), DbError> + Send + 'static,
        work: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
        end: impl FnOnce(&mut Connection) + Send + 'static,
    ) -> Result<T, Failed> {
        let late = || Failed::Unavailable(format!("the database did not answer within {at_most:?}"));
        let until = Instant::now() + at_most;
        let Ok(place) = timeout(at_most, Arc::clone(&self.free).acquire_owned()).await else { return Err(late()) };
        let place = Place(Arc::new(Mutex::new(Some(place.map_err(|error| Failed::Unexpected(error.to_string()))?))));
        let (lent, kept) = (self.clone(), Place(Arc::clone(&place.0)));
        let blocking = spawn_blocking(move || {
            let begun = lent.begun(begin);
            let done = begun.and_then(|mut connection| {
                let done = work(&mut connection)?;
                end(&mut connection);
                Ok((done, connection))
            });
            let place = kept.give_up();
            done.map(|(done, connection)| {
                // Whoever was given up has no place to come back to.
                if place.is_some() {
                    lent.give_back(connection);
                }
                done
            })
        });
        match timeout(until.saturating_duration_since(Instant::now()), blocking).await {
            Ok(Ok(done)) => done.map_err(|error| Failed::from(&error)),
            Ok(Err(error)) => Err(Failed::Unexpected(error.to_string())),
            Err(_) => {
                // What happened to this connection may have happened to those that wait.
                self.forget_idle();
                place.give_up();
                Err(late())
            }
        }
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

    fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
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
