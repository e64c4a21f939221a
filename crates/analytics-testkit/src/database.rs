//! PostgreSQL for tests: a new database for each test, and servers that a test can crash or freeze.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use analytics_core::business::Business;
use analytics_db::tables::partitions;
use analytics_db::tables::service_settings;
use analytics_db::{Connection, DatabaseUrl, DbError, connection, migrations};
use diesel::connection::SimpleConnection;
use diesel::deserialize::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{RunQueryDsl, sql_query};

use crate::wait;

fn connect(url: &str) -> Result<Connection, DbError> {
    connection::connect(&DatabaseUrl::parse(url).expect("a URL"), "test")
}

/// A database of a single test, dropped with this value.
pub struct Database {
    /// Its URL.
    pub url: String,
    server_url: String,
    name: String,
}

impl Database {
    /// Creates a database without a schema on the shared server.
    ///
    /// # Panics
    /// If there is no server; `scripts/test` starts one.
    #[must_use]
    pub fn empty() -> Self {
        Self::made(&shared_server(), "")
    }

    /// Copies a database on the same server. The template must have no connections.
    #[must_use]
    pub fn like(template: &Self) -> Self {
        Self::made(&template.server_url, &format!("TEMPLATE {} STRATEGY file_copy", template.name))
    }

    /// Refers to an existing database, which is not dropped with this value.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), server_url: url.to_owned(), name: String::new() }
    }

    /// Creates a database without a schema on the given server.
    #[must_use]
    pub fn empty_on(server: &Server) -> Self {
        Self::made(&server.url(), "")
    }

    /// Creates a database without a schema, with the given encoding, on the shared server.
    #[must_use]
    pub fn encoded(encoding: &str) -> Self {
        Self::made(&shared_server(), &format!("ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
    }

    fn made(server_url: &str, how: &str) -> Self {
        let name = format!("test_{}", uuid::Uuid::new_v8(unique()).simple());
        let mut server = connect(server_url).expect("the tests' PostgreSQL");
        server.batch_execute(&format!("CREATE DATABASE {name} {how}")).expect("a new database");
        let (base, _) = server_url.rsplit_once('/').expect("a URL with a database");
        Self { url: format!("{base}/{name}"), server_url: server_url.to_owned(), name }
    }

    /// Creates a database with the current schema, base currency USD and business time zone UTC.
    #[must_use]
    pub fn migrated() -> Self {
        let database = Self::empty();
        database.migrate();
        database
    }

    /// The same on the given server.
    #[must_use]
    pub fn migrated_on(server: &Server) -> Self {
        let database = Self::empty_on(server);
        database.migrate();
        database
    }

    fn migrate(&self) {
        let connection = &mut self.connect();
        migrations::migrate(connection).expect("the migrations");
        let business = Business::parse("USD", "UTC").expect("a business");
        service_settings::store_or_check(connection, business).expect("the settings");
        partitions::ensure(connection, chrono::Utc::now()).expect("the partitions");
    }

    /// Returns the URL as the service parses it.
    ///
    /// # Panics
    /// If the URL is invalid, which the URLs of the tests are not.
    #[must_use]
    pub fn address(&self) -> DatabaseUrl {
        DatabaseUrl::parse(&self.url).expect("a URL")
    }

    /// Opens a connection.
    ///
    /// # Panics
    /// If the server does not accept one.
    #[must_use]
    pub fn connect(&self) -> Connection {
        connect(&self.url).expect("a connection")
    }

    /// Returns the single number that a query selects, or `None` for NULL.
    ///
    /// # Panics
    /// If the query fails.
    #[must_use]
    pub fn number(&self, query: &str) -> Option<i64> {
        number(&mut self.connect(), query)
    }

    /// Returns the rows of a query that selects one column, as text.
    ///
    /// # Panics
    /// If the query fails.
    #[must_use]
    pub fn lines(&self, query: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            line: String,
        }
        let query = format!("SELECT line::text AS line FROM ({query}) AS q (line)");
        let rows: Vec<Row> = sql_query(&query).load(&mut self.connect()).unwrap_or_else(|e| panic!("{query}: {e}"));
        rows.into_iter().map(|row| row.line).collect()
    }

    /// Runs statements.
    ///
    /// # Panics
    /// If one fails.
    pub fn execute(&self, statements: &str) {
        self.connect().batch_execute(statements).unwrap_or_else(|e| panic!("{statements}: {e}"));
    }
}

/// Returns the single number that a query selects, or `None` for NULL.
///
/// # Panics
/// If the query fails.
#[must_use]
pub fn number(connection: &mut Connection, query: &str) -> Option<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<BigInt>)]
        number: Option<i64>,
    }
    let query = format!("SELECT ({query})::bigint AS number");
    sql_query(&query).get_result::<Row>(connection).unwrap_or_else(|e| panic!("{query}: {e}")).number
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        if let Ok(mut server) = connect(&self.server_url) {
            let _left_behind = server.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

pub(crate) fn shared_server() -> String {
    std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL; scripts/test starts a server and sets it")
}

/// Returns 16 bytes that are unique among all tests: time, process id and a counter.
fn unique() -> [u8; 16] {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default().unsigned_abs();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&nanos.to_be_bytes());
    bytes[8..12].copy_from_slice(&std::process::id().to_be_bytes());
    bytes[12..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

/// Returns a name that is unique among all tests.
#[must_use]
pub fn unique_name() -> String {
    uuid::Uuid::from_bytes(unique()).simple().to_string()
}

/// A PostgreSQL server of a single test, which the test may crash, freeze and start again.
pub struct Server {
    directory: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Initialises and starts a server.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::made_by(
            "initdb",
            &["-U", "analytics", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
        )
    }

    /// Starts a hot standby of this server.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn replica(&self) -> Self {
        Self::made_by("pg_basebackup", &["-d", &self.url(), "-R", "--checkpoint=fast", "--no-sync"])
    }

    /// Lets roles other than the superuser `analytics` log in by password only.
    ///
    /// # Panics
    /// If its configuration cannot be changed.
    pub fn require_passwords(&self) {
        let rules = "host all analytics all trust\nhost all all all scram-sha-256\n";
        std::fs::write(self.directory.join("data/pg_hba.conf"), rules).expect("pg_hba.conf");
        let mut connection = connect(&self.url()).expect("a connection");
        connection.batch_execute("SELECT pg_reload_conf()").expect("a reload");
    }

    fn made_by(program: &str, arguments: &[&str]) -> Self {
        let directory = PathBuf::from(format!("/var/tmp/analytics-test-{}", unique_name()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let port = crate::process::free_port();
        let mut server = Self { directory, port, child: None };
        if server.is_root() {
            assert!(Command::new("chown").arg("postgres").arg(&server.directory).status().expect("chown").success());
        }
        let data = server.directory.join("data");
        let made = server.command(program).args(arguments).arg("-D").arg(data).stdout(Stdio::null()).status();
        assert!(made.expect(program).success());
        server.run();
        server
    }

    fn is_root(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
    }

    /// Returns the folder of PostgreSQL's programs: `POSTGRES_BIN`, or that of the newest version of the machine.
    fn programs() -> PathBuf {
        if let Some(folder) = std::env::var_os("POSTGRES_BIN") {
            return folder.into();
        }
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
        let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
        folders.filter(|folder| folder.join("initdb").exists()).max().expect("PostgreSQL's programs")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        // PostgreSQL is stopped when the thread that started it ends, and it refuses to run as
        // root.
        command.args(["--pdeathsig", "QUIT"]);
        if self.is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        }
        command.arg(Self::programs().join(program));
        command
    }

    /// Starts the server on its existing data and waits until it accepts connections.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn run(&mut self) {
        let log = std::fs::File::create(self.directory.join("log")).expect("a log");
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.directory.join("data"))
            .args(["-p", &self.port.to_string(), "-k", "", "-c", "listen_addresses=127.0.0.1"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("postgres"));
        wait::until("PostgreSQL to answer", Duration::from_secs(60), || connect(&self.url()).ok());
    }

    /// Returns the URL of its database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgresql://analytics@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns its host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns what it has logged since its last start.
    #[must_use]
    pub fn log(&self) -> String {
        let log = std::fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Stops it by SIGQUIT, like a crash: nothing is flushed and every connection breaks.
    ///
    /// # Panics
    /// If it is not running.
    pub fn crash(&mut self) {
        self.signal("-QUIT");
    }

    /// Suspends all its processes by SIGSTOP. Connections stay open and get no answers.
    ///
    /// # Panics
    /// If it is not running.
    pub fn freeze(&self) {
        self.signal_all("-STOP");
    }

    /// Resumes all its processes by SIGCONT.
    ///
    /// # Panics
    /// If it is not running.
    pub fn thaw(&self) {
        self.signal_all("-CONT");
    }

    fn signal_all(&self, signal: &str) {
        let parent = self.child.as_ref().expect("a running server").id().to_string();
        let children = Command::new("pgrep").args(["-P", &parent]).output().expect("pgrep");
        let children = String::from_utf8(children.stdout).expect("process ids");
        assert!(Command::new("kill").args([signal, &parent]).status().expect("kill").success());
        // Some of them may have ended in the meantime.
        let _some_ended = Command::new("kill").arg(signal).args(children.lines()).stderr(Stdio::null()).status();
    }

    fn signal(&mut self, signal: &str) {
        let mut child = self.child.take().expect("a running server");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill").success());
        child.wait().expect("the exit status");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.thaw();
            self.signal("-QUIT");
        }
        let _left_behind = std::fs::remove_dir_all(&self.directory);
    }
}
