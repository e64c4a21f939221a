//! Runs the service's real binaries.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use crate::wait;

/// A running process of the service, killed when this value is dropped.
pub struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
    /// Host and port that it listens on.
    pub address: String,
}

/// Returns the path of a binary in the folder of the running program. A test runs in `deps`, and
/// its binaries are one folder above.
///
/// # Panics
/// If the binary was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let folder = own.parent().expect("a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("target/profile") } else { folder };
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: build the binaries first, as scripts/test does", path.display());
    path
}

/// Returns a port that is not in use.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Returns a command whose process is killed when the thread that starts it ends for any reason, so
/// that no process outlives the test or tool that started it.
pub(crate) fn tied(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

fn command(binary: &Path, environment: &BTreeMap<String, String>) -> Command {
    let mut command = tied(binary);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default()).envs(environment);
    // So that no .env of the checkout is read.
    command.current_dir("/");
    command
}

/// Runs a binary in a folder, whose `.env` it reads, and waits until it ends.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run_in(folder: &Path, name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Output {
    command(&binary(name), environment).args(arguments).current_dir(folder).output().expect(name)
}

/// A job that runs in parallel with the test.
pub struct Job(Child);

impl Job {
    /// Starts the job.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Self {
        let mut command = command(&binary(name), environment);
        Self(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect(name))
    }

    /// Sends SIGTERM and waits until it ends.
    ///
    /// # Panics
    /// If it has not ended within `at_most`.
    pub fn stop(&mut self, at_most: Duration) -> ExitStatus {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().expect("kill").success());
        self.wait_ended(at_most)
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// If it has not ended within `at_most`.
    pub fn wait_ended(&mut self, at_most: Duration) -> ExitStatus {
        self.wait_measured(at_most).0
    }

    /// Waits until it ends. Returns how it ended, and its peak resident memory in bytes.
    ///
    /// # Panics
    /// If it has not ended within `at_most`.
    pub fn wait_measured(&mut self, at_most: Duration) -> (ExitStatus, u64) {
        let mut peak = 0;
        let ended = wait::until("the job to end", at_most, || {
            // A process that has ended no longer has any.
            peak = peak_memory(&self.0).unwrap_or(peak);
            self.0.try_wait().expect("the process state")
        });
        (ended, peak)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Runs a binary and waits until it ends.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run(name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Output {
    command(&binary(name), environment).args(arguments).output().expect(name)
}

/// Runs a binary with this standard input and waits until it ends.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn run_with_input(name: &str, arguments: &[&str], environment: &BTreeMap<String, String>, input: &[u8]) -> Output {
    let mut command = command(&binary(name), environment);
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect(name);
    let mut stdin = child.stdin.take().expect("its standard input");
    std::thread::scope(|scope| {
        // It may end before it has read everything.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect(name)
    })
}

impl Process {
    /// Starts a binary that listens on the address in the environment variable named by `bind`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(name: &'static str, bind: &str, environment: &BTreeMap<String, String>) -> Self {
        Self::start_at(&binary(name), name, bind, environment)
    }

    /// The same with the given path of the binary.
    ///
    /// # Panics
    /// If it cannot be started.
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

    /// Waits until `/health/ready` answers with success.
    ///
    /// # Panics
    /// If it does not within three minutes, or if the process ends.
    pub fn wait_ready(&mut self) {
        // Behind a slow network, joining a group and reading the offsets takes a minute.
        wait::until("readiness", Duration::from_mins(3), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status}:\n{}", self.name, self.log());
            }
            self.is_ready().then_some(())
        });
    }

    /// Whether `/health/ready` answers with success.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        ureq::get(format!("http://{}/health/ready", self.address)).call().is_ok()
    }

    /// Returns what it has written to stderr.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal, such as `-TERM`.
    ///
    /// # Panics
    /// If that fails.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Kills it by SIGKILL.
    ///
    /// # Panics
    /// If that fails.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("the exit status");
    }

    /// Sends SIGTERM and waits until it ends.
    ///
    /// # Panics
    /// If it takes longer than ten seconds.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait_ended(Duration::from_secs(10))
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// If it has not ended within `at_most`.
    pub fn wait_ended(&mut self, at_most: Duration) -> ExitStatus {
        wait::until("the process to end", at_most, || self.child.try_wait().expect("the process state"))
    }

    /// Returns its peak resident memory in bytes.
    ///
    /// # Panics
    /// If it is not running.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        peak_memory(&self.child).expect("a running process")
    }

    /// Returns the processor time that it has used, in seconds.
    ///
    /// # Panics
    /// If it is not running.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        // Linux reports processor time in hundredths of a second, whatever the kernel's own tick.
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a running process");
        // The program's name, in parentheses, may contain spaces.
        let (_, rest) = stat.rsplit_once(')').expect("a name");
        rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>()
            / TICKS
    }

    /// Returns the value of a counter or gauge on its `/metrics`, summed over all labels; 0 if
    /// absent.
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

/// Returns the peak resident memory of a running process, in bytes.
fn peak_memory(process: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {}:\n{}", self.name, self.log());
        }
        let _gone = std::fs::remove_file(&self.log);
    }
}
