//! `analytics-jobs probe`: asks a process whether it is ready, where there is neither a shell nor curl.

use std::time::Duration;

use analytics_process::say;
use anyhow::{Context as _, bail};
use clap::Args;
use ureq::Agent;

#[derive(Debug, Args)]
pub struct Probe {
    /// The address, such as http://localhost:8080/health/ready
    #[arg(value_parser = http)]
    url: String,
    /// How many seconds the answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

fn http(url: &str) -> Result<String, &'static str> {
    url.starts_with("http://").then(|| url.to_owned()).ok_or("must start with http://")
}

pub(super) fn run(Probe { url, timeout }: &Probe) -> anyhow::Result<()> {
    let config = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(*timeout)))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build();
    let mut answer = config.new_agent().get(url).call().with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    if !status.is_success() {
        let body = answer.body_mut().read_to_string().unwrap_or_default();
        bail!("{url} answers {status}: {}", body.trim());
    }
    say!("{url} answers {status}");
    Ok(())
}
