//! A service that Prometheus watches.

use analytics_testkit::process::Process;
use analytics_testkit::prometheus::{Alertmanager, Prometheus, Webhook};

use crate::dashboard::project;

/// Starts Prometheus with the shipped configuration and rules, which scrapes and judges every second.
pub(crate) fn watch(ingest: &Process, api: &Process, alertmanager: &str) -> Prometheus {
    let shipped = std::fs::read_to_string(project("docker/observe/prometheus.yml")).unwrap();
    let rules = project("deploy/prometheus/rules");
    let mut configuration = shipped;
    for (written, meant) in [
        ("rules/*.yaml", format!("{}/*.yaml", rules.display())),
        ("alertmanager:9093", alertmanager.to_owned()),
        ("ingest:9090", ingest.address.clone()),
        ("api:8080", api.address.clone()),
        ("15s", "1s".to_owned()),
        ("30s", "1s".to_owned()),
    ] {
        assert!(configuration.contains(written), "{written} is not in\n{configuration}");
        configuration = configuration.replace(written, &meant);
    }
    Prometheus::start(&configuration)
}

/// Starts Alertmanager with the shipped example, whose receivers are a webhook, and which waits for a second at
/// most.
pub(crate) fn deliver(webhook: &Webhook) -> Alertmanager {
    let mut configuration = std::fs::read_to_string(project("deploy/prometheus/alertmanager.yaml")).unwrap();
    let hook = |name: &str| format!("\n  - name: {name}\n    webhook_configs: [{{url: \"{}\"}}]\n", webhook.url);
    for (written, meant) in [
        ("\n  - name: pager\n", hook("pager")),
        ("\n  - name: mailbox\n", hook("mailbox")),
        ("group_wait: 30s", "group_wait: 1s".to_owned()),
        ("group_interval: 5m", "group_interval: 1s".to_owned()),
    ] {
        assert!(configuration.contains(written), "{written} is not in\n{configuration}");
        configuration = configuration.replace(written, &meant);
    }
    Alertmanager::start(&configuration)
}
