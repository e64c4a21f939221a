//! A pool of connections to PostgreSQL. Lends them to blocking work, and limits how long a caller
//! waits for that work.
//!
//! Work that does not finish in time is abandoned, not stopped: it may run for any length of time,
//! even forever if the server disappeared without closing the connection. Abandoned work keeps its
//! thread and its connection, but no longer counts towards the pool's limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::rt::task::spawn_blocking;
use actix_web::rt::time::timeout;
use analytics_db::connection::connect;
use analytics_db::{Connection, DatabaseUrl, DbError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The application name in `pg_stat_activity`.
pub(crate) const APPLICATION: &str = "analytics-api";

/// Why work with the database failed.
#[derive(Debug, Clone)]
pub(crate) enum Failed {
    /// The database is unavailable or did not answer in time. A later attempt may succeed.
    Unavailable(String),
    /// All slots for expensive reads were taken. A later attempt may succeed.
    Busy(String),
    /// A failure that should not happen. Trying again does not help.
    Unexpected(String),
}

impl From<&DbError> for Failed {
    fn from(error: &DbError) -> Self {
        if error.is_temporary() { Self::Unavailable(error.to_string()) } else { Self::Unexpected(error.to_string()) }
    }
}

impl Failed {
    /// Logs the failure. Called once per failure, even if several requests fail because of it.
    pub(crate) fn log(&self) {
        match self {
            Self::Unavailable(why) | Self::Busy(why) => log::warn!("requests failed: {why}"),
            Self::Unexpected(why) => log::error!("requests failed: {why}"),
        }
    }
}

/// The right to run one expensive read: one that may take seconds, such as a list over the event
/// log. At most half of the connections serve such reads at a time, so that the others stay free for
/// the panels.
pub(crate) struct Slot(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit);

/// What work holds of the pool: a connection and, if it is an expensive read, its slot.
type Held = (OwnedSemaphorePermit, Option<Slot>);

/// A share of the pool's limits, held until the work ends or is abandoned. A client that goes away
/// does not free it: the statement may still run.
struct Place(Arc<Mutex<Option<Held>>>);

impl Place {
    /// Takes the share out, or returns `None` if it was taken out before. Dropping it frees the
    /// place for others.
    fn give_up(&self) -> Option<Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A pool of at most `most` connections, not counting those of abandoned work. Clones share it.
#[derive(Clone)]
pub(crate) struct Connections {
    url: DatabaseUrl,
    most: u32,
    free: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    /// A stack: the connection that was used most recently is used next.
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Connections {
    pub(crate) fn new(url: DatabaseUrl, most: u32) -> Self {
        let permits = |count| Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { url, most, free: permits(most), slots: permits((most / 2).max(1)), idle: Arc::default() }
    }

    /// Waits for a slot for an expensive read. The requests that wait get theirs in the order of
    /// their arrival.
    ///
    /// # Errors
    /// [`Failed::Busy`] if no slot becomes free within `at_most`.
    pub(crate) async fn slot(&self, at_most: Duration) -> Result<Slot, Failed> {
        match timeout(at_most, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(slot) => slot.map(Slot).map_err(|error| Failed::Unexpected(error.to_string())),
            Err(_) => Err(Failed::Busy(format!("other expensive reads took all slots for {at_most:?}"))),
        }
    }

    /// Runs `work` with a connection, on a thread that may block, and returns its result. Waits at
    /// most `at_most`, including the wait for a free connection. An expensive read needs a `slot`.
    ///
    /// `begin` is called with the connection before `work`, and `end` after `work` has succeeded.
    /// If `begin` finds an idle connection broken, another connection is used.
    ///
    /// # Errors
    /// [`Failed`] with the error of `begin` or `work`, or if they do not finish in time.
    pub(crate) async fn lend<T: Send + 'static>(
        &self,
        at_most: Duration,
        slot: Option<Slot>,
        begin: impl Fn(&mut Connection) -> Result<(), DbError> + Send + 'static,
        work: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
        end: impl FnOnce(&mut Connection) + Send + 'static,
    ) -> Result<T, Failed> {
        let late = || Failed::Unavailable(format!("the database did not answer within {at_most:?}"));
        let until = Instant::now() + at_most;
        let Ok(place) = timeout(at_most, Arc::clone(&self.free).acquire_owned()).await else { return Err(late()) };
        let held = (place.map_err(|error| Failed::Unexpected(error.to_string()))?, slot);
        let place = Place(Arc::new(Mutex::new(Some(held))));
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
                // Abandoned work has lost its place: its connection is closed.
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
                // The idle connections may be broken for the same reason as this one.
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
                Err(DbError::Unreachable(why)) => log::debug!("an idle connection is broken: {why}"),
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

    /// Returns the numbers of connections in use and of idle ones.
    pub(crate) fn busy_and_idle(&self) -> (u32, u32) {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(self.most);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        (self.most.saturating_sub(free), u32::try_from(idle).unwrap_or(u32::MAX))
    }
}
