//! A PgBouncer in transaction mode for one test: each transaction runs in whichever session is
//! free.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use analytics_db::{DatabaseUrl, connection};

use crate::database::{Server, unique_name};
use crate::process::free_port;
use crate::wait;

/// A connection pooler in front of one server.
pub struct Pooler {
    directory: PathBuf,
    port: u16,
    child: Child,
}

impl Pooler {
    /// Starts a pooler with `sessions` sessions on the server, which its clients share.
    /// `TEST_PGBOUNCER` is the path of the program; `scripts/test` and `scripts/torture` set it.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(server: &Server, sessions: u32) -> Self {
        let program = std::env::var("TEST_PGBOUNCER").expect("TEST_PGBOUNCER; scripts/test and scripts/torture set it");
        let directory = std::env::temp_dir().join(format!("analytics-test-pooler-{}", unique_name()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (host, server_port) =
            server.address().split_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).expect("a port");
        let port = free_port();
        let settings = format!(
            "[databases]\n* = host={host} port={server_port} user=analytics\n[pgbouncer]\nlisten_addr=127.0.0.1\n\
             listen_port={port}\nunix_socket_dir=\nauth_type=any\npool_mode=transaction\n\
             default_pool_size={sessions}\nmax_client_conn=500\nmax_prepared_statements=200\n\
             ignore_startup_parameters=extra_float_digits,options\n"
        );
        std::fs::write(directory.join("pgbouncer.ini"), settings).expect("the settings");
        let log = std::fs::File::create(directory.join("log")).expect("a log");
        // PgBouncer refuses to run as root, and user postgres may have no access to the checkout.
        let own = directory.join("pgbouncer");
        std::fs::copy(program, &own).expect("the program");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        }
        let child = command
            .arg(own)
            .arg(directory.join("pgbouncer.ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("pgbouncer");
        let pooler = Self { directory, port, child };
        let url = DatabaseUrl::parse(&pooler.in_front_of(&server.url(), server)).expect("a URL");
        wait::until("PgBouncer to answer", Duration::from_secs(30), || connection::connect(&url, "test").ok());
        pooler
    }

    /// Returns the URL of a database of the server with the pooler's address instead of the
    /// server's.
    #[must_use]
    pub fn in_front_of(&self, url: &str, server: &Server) -> String {
        url.replace(&server.address(), &format!("127.0.0.1:{}", self.port))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ended = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        let _gone = std::fs::remove_dir_all(&self.directory);
    }
}
