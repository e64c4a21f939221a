//! What watches the service, with a real Prometheus and Alertmanager: dashboards of Grafana, rules and alerts.

mod alerts;
mod dashboard;
mod lint;
mod panels;
mod upkeep;
mod watched;
