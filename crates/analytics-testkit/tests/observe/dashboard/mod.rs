//! The dashboards of `deploy/grafana`, read strictly: a field that is not listed here is an error, since
//! Grafana would ignore it.
#![allow(dead_code, reason = "some fields are only checked for their type")]

use std::path::PathBuf;

use serde::Deserialize;

mod options;

use options::{FieldConfig, StatOptions, TableOptions, TimeseriesOptions, Transformation};

/// A dashboard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Dashboard {
    pub(crate) uid: String,
    pub(crate) title: String,
    description: String,
    pub(crate) tags: Vec<String>,
    timezone: Timezone,
    editable: bool,
    graph_tooltip: u8,
    pub(crate) schema_version: u32,
    refresh: String,
    time: Time,
    links: Vec<Link>,
    pub(crate) templating: Templating,
    annotations: Annotations,
    pub(crate) panels: Vec<Panel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Timezone {
    Browser,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    from: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Link {
    title: String,
    #[serde(rename = "type")]
    kind: LinkKind,
    tags: Vec<String>,
    as_dropdown: bool,
    keep_time: bool,
    icon: String,
    tooltip: String,
    target_blank: bool,
    include_vars: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LinkKind {
    Dashboards,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotations {
    list: [(); 0],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Templating {
    pub(crate) list: Vec<Variable>,
}

/// What the reader chooses at the top of a dashboard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "lowercase")]
pub(crate) enum Variable {
    Datasource {
        name: String,
        label: String,
        query: Kind,
        refresh: u8,
        hide: u8,
    },
    #[serde(rename_all = "camelCase")]
    Query {
        name: String,
        label: String,
        datasource: Datasource,
        refresh: u8,
        hide: u8,
        sort: u8,
        multi: bool,
        include_all: bool,
        query: String,
    },
}

impl Variable {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Datasource { name, .. } | Self::Query { name, .. } => name,
        }
    }
}

/// The kinds of databases that dashboards may read.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    #[serde(rename = "prometheus")]
    Prometheus,
    #[serde(rename = "grafana-postgresql-datasource")]
    Postgres,
}

#[derive(Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Datasource {
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) uid: String,
}

/// A panel, or the heading of the panels below it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "lowercase")]
pub(crate) enum Panel {
    #[serde(rename_all = "camelCase")]
    Row {
        id: u32,
        title: String,
        collapsed: bool,
        grid_pos: Position,
        panels: [(); 0],
    },
    Stat(Shown<StatOptions>),
    Table(Shown<TableOptions>),
    Timeseries(Shown<TimeseriesOptions>),
}

#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    pub(crate) h: u32,
    pub(crate) w: u32,
    pub(crate) x: u32,
    pub(crate) y: u32,
}

/// A panel with options of its kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Shown<Options> {
    pub(crate) id: u32,
    pub(crate) title: String,
    description: Option<String>,
    pub(crate) datasource: Datasource,
    pub(crate) grid_pos: Position,
    pub(crate) targets: Vec<Target>,
    field_config: FieldConfig,
    options: Options,
    transformations: Option<Vec<Transformation>>,
}

/// A query.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Target {
    Prometheus(Expression),
    Postgres(Statement),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Expression {
    pub(crate) ref_id: String,
    pub(crate) datasource: Datasource,
    editor_mode: Editor,
    pub(crate) expr: String,
    legend_format: String,
    pub(crate) format: Format,
    #[serde(default)]
    pub(crate) instant: bool,
    #[serde(default)]
    pub(crate) range: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Statement {
    pub(crate) ref_id: String,
    pub(crate) datasource: Datasource,
    editor_mode: Editor,
    pub(crate) raw_query: bool,
    pub(crate) format: Format,
    pub(crate) raw_sql: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Editor {
    Code,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    TimeSeries,
    Table,
}

impl Panel {
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Row { id, .. } => *id,
            Self::Stat(Shown { id, .. }) => *id,
            Self::Table(Shown { id, .. }) => *id,
            Self::Timeseries(Shown { id, .. }) => *id,
        }
    }

    pub(crate) fn title(&self) -> &str {
        match self {
            Self::Row { title, .. } => title,
            Self::Stat(Shown { title, .. }) => title,
            Self::Table(Shown { title, .. }) => title,
            Self::Timeseries(Shown { title, .. }) => title,
        }
    }

    pub(crate) fn position(&self) -> Position {
        match self {
            Self::Row { grid_pos, .. } => *grid_pos,
            Self::Stat(Shown { grid_pos, .. }) => *grid_pos,
            Self::Table(Shown { grid_pos, .. }) => *grid_pos,
            Self::Timeseries(Shown { grid_pos, .. }) => *grid_pos,
        }
    }

    /// Returns where it reads, and its queries; `None` for a heading.
    pub(crate) fn queries(&self) -> Option<(&Datasource, &[Target])> {
        match self {
            Self::Row { .. } => None,
            Self::Stat(Shown { datasource, targets, .. }) => Some((datasource, targets)),
            Self::Table(Shown { datasource, targets, .. }) => Some((datasource, targets)),
            Self::Timeseries(Shown { datasource, targets, .. }) => Some((datasource, targets)),
        }
    }
}

impl Target {
    pub(crate) fn ref_id(&self) -> &str {
        match self {
            Self::Prometheus(Expression { ref_id, .. }) | Self::Postgres(Statement { ref_id, .. }) => ref_id,
        }
    }

    pub(crate) fn datasource(&self) -> &Datasource {
        match self {
            Self::Prometheus(Expression { datasource, .. }) | Self::Postgres(Statement { datasource, .. }) => {
                datasource
            }
        }
    }
}

/// Returns the path of a file of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Reads every dashboard, with the name of its file.
pub(crate) fn dashboards() -> Vec<(String, Dashboard)> {
    let folder = project("deploy/grafana/dashboards");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let dashboard = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_name().unwrap().to_str().unwrap().to_owned(), dashboard)
    };
    paths.into_iter().map(read).collect()
}
