//! The service's real binaries.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use crate::wait;

/// A running process of the service. It is killed when the test is over.
pub struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
    /// Where it listens.
    pub address: String,
}

/// The path of a binary beside the program's own, or beside the folder of a test's own.
///
/// # Panics
/// Where it was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a path of its own");
    let folder = own.parent().expect("a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("target/profile") } else { folder };
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: build the binaries first, as scripts/test does", path.display());
    path
}

/// A port that nobody listens on.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A command that is killed when the thread that starts it ends, however that comes: nothing that
/// a harness starts outlives it.
pub(crate) fn tied(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

fn command(binary: &Path, environment: &BTreeMap<String, String>) -> Command {
    let mut command = tied(binary);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default()).envs(environment);
    // Away from any .env of the developer's.
    command.current_dir("/");
    command
}

/// Runs a binary to its end in a folder, whose `.env` it reads.
///
/// # Panics
/// Where it cannot be started.
#[must_use]
pub fn run_in(folder: &Path, name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Output {
    command(&binary(name), environment).args(arguments).current_dir(folder).output().expect(name)
}

/// A job that runs beside the test.
pub struct Job(Child);

impl Job {
    /// Starts it.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Self {
        let mut command = command(&binary(name), environment);
        Self(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect(name))
    }

    /// Asks it to stop, and waits for its end.
    ///
    /// # Panics
    /// Where that does not come in time.
    pub fn stop(&mut self, at_most: Duration) -> ExitStatus {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().expect("kill").success());
        self.wait_ended(at_most)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where that does not come in time.
    pub fn wait_ended(&mut self, at_most: Duration) -> ExitStatus {
        wait::until("the job to end", at_most, || self.0.try_wait().expect("its state"))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Runs a binary to its end.
///
/// # Panics
/// Where it cannot be started.
#[must_use]
pub fn run(name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Output {
    command(&binary(name), environment).args(arguments).output().expect(name)
}

impl Process {
    /// Starts a binary that listens at the address in `bind`'s variable.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(name: &'static str, bind: &str, environment: &BTreeMap<String, String>) -> Self {
        Self::start_at(&binary(name), name, bind, environment)
    }

    /// The same with a binary from elsewhere.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start_at(binary: &Path, name: &'static str, bind: &str, environment: &BTreeMap<String, String>) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let log = std::env::temp_dir().join(format!("{name}-{}.log", crate::database::unique_name()));
        let child = command(binary, environment)
            .env(bind, &address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log"))
            .spawn();
        Self { child: child.expect(name), name, log, address }
    }

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    /// Where it does not within a minute, or ends.
    pub fn wait_ready(&mut self) {
        wait::until("readiness", Duration::from_secs(60), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status}:\n{}", self.name, self.log());
            }
            self.is_ready().then_some(())
        });
    }

    /// Whether it says that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        ureq::get(format!("http://{}/health/ready", self.address)).call().is_ok()
    }

    /// What it has written.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal, such as `-TERM`.
    ///
    /// # Panics
    /// Where that fails.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Kills it in the middle of whatever it does.
    ///
    /// # Panics
    /// Where that fails.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("its end");
    }

    /// Asks it to stop and waits for that.
    ///
    /// # Panics
    /// Where it takes longer than ten seconds.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait_ended(Duration::from_secs(10))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where that does not come in time.
    pub fn wait_ended(&mut self, at_most: Duration) -> ExitStatus {
        wait::until("the process to end", at_most, || self.child.try_wait().expect("its state"))
    }

    /// The most memory that it ever had resident, in bytes.
    ///
    /// # Panics
    /// Where it does not run.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
    }

    /// How long processors have worked for it, in seconds.
    ///
    /// # Panics
    /// Where it does not run.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        // Linux counts in hundredths of a second towards programs, whatever it does inside.
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a running process");
        // The name of the program, in parentheses, may hold spaces.
        let (_, rest) = stat.rsplit_once(')').expect("a name");
        rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>()
            / TICKS
    }

    /// The value of a counter or gauge on its `/metrics`, summed over labels.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let url = format!("http://{}/metrics", self.address);
        let text = ureq::get(&url).call().ok().and_then(|mut answer| answer.body_mut().read_to_string().ok());
        let of_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '));
        let text = text.unwrap_or_default();
        text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}", self.name, self.log());
        }
        let _gone = std::fs::remove_file(&self.log);
    }
}
