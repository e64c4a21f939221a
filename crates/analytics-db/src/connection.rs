//! Connections: one per writer, a pool for readers.

use std::time::Duration;

use diesel::Connection as _;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::r2d2::ConnectionManager;

use crate::error::DbError;

/// One connection.
pub type Connection = PgConnection;

/// Connections that requests borrow.
pub type Pool = r2d2::Pool<ConnectionManager<PgConnection>>;

/// How long to wait for a server to answer a connection attempt, in seconds.
const CONNECT_TIMEOUT: &str = "connect_timeout=5";

/// Opens one connection. `application` is what `pg_stat_activity` shows.
///
/// # Errors
/// [`DbError::Unreachable`].
pub fn connect(url: &str, application: &str) -> Result<Connection, DbError> {
    Ok(PgConnection::establish(&with_defaults(url, application))?)
}

/// Makes a pool that opens connections when they are first needed.
#[must_use]
pub fn pool(url: &str, application: &str, session: Session, size: u32) -> Pool {
    r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .connection_timeout(Duration::from_secs(5))
        .connection_customizer(Box::new(session))
        .build_unchecked(ConnectionManager::new(with_defaults(url, application)))
}

/// How many of a pool's connections are in use, and how many are idle.
#[must_use]
pub fn busy_and_idle(pool: &Pool) -> (u32, u32) {
    let state = pool.state();
    (state.connections.saturating_sub(state.idle_connections), state.idle_connections)
}

/// What a pool's sessions may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The session itself refuses to write.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

/// How a pool's sessions plan their statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plans {
    /// For the values that are asked for: how often something occurs decides how it is found.
    ForValues,
    /// Once, for whatever values: everything is found by its key.
    Once,
}

/// How a pool's sessions are set up.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// What they may do.
    pub access: Access,
    /// How they plan.
    pub plans: Plans,
    /// How long a statement may take.
    pub statement_timeout: Duration,
}

impl r2d2::CustomizeConnection<PgConnection, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        let read_only = self.access == Access::ReadOnly;
        let timeout = self.statement_timeout.as_millis();
        let plans = match self.plans {
            Plans::ForValues => "force_custom_plan",
            Plans::Once => "force_generic_plan",
        };
        let settings = format!(
            "SET default_transaction_read_only = {read_only}; SET statement_timeout = '{timeout}ms'; \
             SET idle_in_transaction_session_timeout = '15s'; SET plan_cache_mode = {plans}"
        );
        connection.batch_execute(&settings).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// The URL with a connect timeout and a name, unless it sets its own.
fn with_defaults(url: &str, application: &str) -> String {
    let mut url = url.to_owned();
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        // The keyword form (`host=... dbname=...`): later words win, so ours go first.
        return format!("{CONNECT_TIMEOUT} application_name={application} {url}");
    }
    for (name, default) in
        [("connect_timeout=", CONNECT_TIMEOUT), ("application_name=", &format!("application_name={application}"))]
    {
        if !url.contains(name) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(default);
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::with_defaults;

    #[test]
    fn defaults_do_not_overrule_the_url() {
        for (url, expected) in [
            ("postgres://u@h/d", "postgres://u@h/d?connect_timeout=5&application_name=x"),
            (
                "postgresql://u@h/d?sslmode=require&connect_timeout=1",
                "postgresql://u@h/d?sslmode=require&connect_timeout=1&application_name=x",
            ),
            ("host=h dbname=d", "connect_timeout=5 application_name=x host=h dbname=d"),
        ] {
            assert_eq!(with_defaults(url, "x"), expected);
        }
    }
}
