//! Roles in PostgreSQL for one test.

use diesel::connection::SimpleConnection as _;

use crate::database::{Database, unique_name};

/// Names of the roles of one test, which are dropped with this value: to be declared before the database.
pub struct Roles(String);

impl Default for Roles {
    fn default() -> Self {
        Self::new()
    }
}

impl Roles {
    /// Returns names of their own. `analytics-jobs roles --apply --prefix` creates the roles.
    #[must_use]
    pub fn new() -> Self {
        let mut prefix = format!("t{}", unique_name());
        prefix.truncate(25);
        Self(prefix)
    }

    /// Returns the beginning of the names.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// Returns the URL of a database for a role, such as `reader`.
    ///
    /// # Panics
    /// If the database's URL is invalid, which those of the tests are not.
    #[must_use]
    pub fn url(&self, database: &Database, role: &str) -> String {
        let (scheme, rest) = database.url.split_once("://").expect("a URL");
        let address = rest.split_once('@').map_or(rest, |(_, address)| address);
        format!("{scheme}://{}_{role}@{address}", self.0)
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        let server = Database::at(&crate::database::shared_server());
        for role in ["ingest", "admin", "reader", "owner"] {
            let _gone = server.connect().batch_execute(&format!("DROP ROLE {}_{role}", self.0));
        }
    }
}
