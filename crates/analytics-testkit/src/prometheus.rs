//! Prometheus and Alertmanager for one test, and a listener for what they deliver.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::database::unique_name;
use crate::process::{free_port, tied};
use crate::wait;

/// A running server of this module, killed when this value is dropped.
struct Server {
    directory: PathBuf,
    child: Child,
    name: &'static str,
    address: String,
}

impl Server {
    /// Starts a program of the folder `TEST_PROMETHEUS`, which `scripts/test` sets, and waits until it is ready.
    fn start(name: &'static str, configuration: &str, storage: &str, arguments: &[&str]) -> Self {
        let programs = std::env::var("TEST_PROMETHEUS").expect("TEST_PROMETHEUS; scripts/test sets it");
        let directory = std::env::temp_dir().join(format!("{name}-{}", unique_name()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("config.yml");
        std::fs::write(&file, configuration).expect("the configuration");
        let address = format!("127.0.0.1:{}", free_port());
        let child = tied(Path::new(&programs).join(name))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--{storage}={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join("log")).expect("a log"))
            .spawn()
            .expect(name);
        let mut server = Self { directory, child, name, address };
        wait::until("its readiness", Duration::from_secs(30), || {
            if let Ok(Some(status)) = server.child.try_wait() {
                panic!("{name} ended with {status}: {}", server.log());
            }
            ureq::get(format!("http://{}/-/ready", server.address)).call().ok()
        });
        server
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of {}:\n{}", self.name, self.log());
        }
        let _gone = std::fs::remove_dir_all(&self.directory);
    }
}

/// A Prometheus.
pub struct Prometheus(Server);

impl Prometheus {
    /// Starts it with a configuration.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(configuration: &str) -> Self {
        Self(Server::start("prometheus", configuration, "storage.tsdb.path", &[]))
    }

    fn data(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let mut request =
            ureq::get(format!("http://{}{path}", self.0.address)).config().http_status_as_error(false).build();
        for (name, value) in query {
            request = request.query(name, value);
        }
        let mut answer = request.call().map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        let mut body: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        if body["status"] == "success" { Ok(body["data"].take()) } else { Err(body["error"].to_string()) }
    }

    /// Returns how many series an expression has now.
    ///
    /// # Errors
    /// What Prometheus says, if it cannot be evaluated.
    pub fn series(&self, expression: &str) -> Result<usize, String> {
        let data = self.data("/api/v1/query", &[("query", expression)])?;
        Ok(data["result"].as_array().map_or(0, Vec::len))
    }

    /// Returns the names of all metrics.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn metrics(&self) -> Vec<String> {
        let names = self.data("/api/v1/label/__name__/values", &[]).expect("the names of metrics");
        names.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(ToOwned::to_owned)).collect()
    }
}

/// An Alertmanager.
pub struct Alertmanager(Server);

impl Alertmanager {
    /// Starts it with a configuration.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(configuration: &str) -> Self {
        // Alone, it needs no port for others of its kind.
        let alone = ["--cluster.listen-address="];
        Self(Server::start("prometheus-alertmanager", configuration, "storage.path", &alone))
    }

    /// Returns its host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Gives it alerts that fire, by their names.
    ///
    /// # Panics
    /// If it does not take them.
    pub fn fire(&self, names: &[&str]) {
        let alerts: Vec<Value> = names.iter().map(|name| json!({"labels": {"alertname": name}})).collect();
        let url = format!("http://{}/api/v2/alerts", self.0.address);
        let request = ureq::post(url).header("content-type", "application/json");
        request.send(Value::from(alerts).to_string()).expect("the alerts to be taken");
    }

    /// Returns what it makes of an alert that fires: active, suppressed or unprocessed; `None` if it has none of
    /// this name.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<String> {
        let url = format!("http://{}/api/v2/alerts", self.0.address);
        let text = ureq::get(url).query("filter", format!("alertname={name}")).call().ok()?.body_mut().read_to_string();
        let alerts: Value = serde_json::from_str(&text.ok()?).ok()?;
        alerts[0]["status"]["state"].as_str().map(ToOwned::to_owned)
    }
}

/// An HTTP server that keeps what is posted to it.
pub struct Webhook {
    /// Its URL.
    pub url: String,
    posted: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    /// Starts to listen, until the test's process ends.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let posted = Arc::new(Mutex::new(Vec::new()));
        let kept = posted.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(body) = receive(stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(body);
                }
            }
        });
        Self { url, posted }
    }

    /// Returns the alerts that Alertmanager posted, in order: status, name and summary of each.
    #[must_use]
    pub fn alerts(&self) -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |alert: &Value| {
            (text(&alert["status"]), text(&alert["labels"]["alertname"]), text(&alert["annotations"]["summary"]))
        };
        let posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        posted
            .iter()
            .flat_map(|post| post["alerts"].as_array().into_iter().flatten().map(of).collect::<Vec<_>>())
            .collect()
    }
}

/// Reads a request with a JSON body, and answers it.
fn receive(mut stream: TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    serde_json::from_slice(&body).ok()
}
