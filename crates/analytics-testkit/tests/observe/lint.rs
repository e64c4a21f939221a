//! Dashboards are such as Grafana reads and people can use.

use std::collections::HashSet;

use crate::dashboard::{Dashboard, Kind, Panel, Position, Target, Variable, dashboards};

fn overlap(a: Position, b: Position) -> bool {
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

/// Returns the variables that a text names, such as `${seller}` or `$seller`; not Grafana's own.
fn variables(text: &str) -> HashSet<&str> {
    let mut named = HashSet::new();
    for part in text.split('$').skip(1) {
        let part = part.strip_prefix('{').unwrap_or(part);
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        if !part.starts_with("__") {
            named.insert(&part[..end]);
        }
    }
    named
}

fn texts(dashboard: &Dashboard) -> Vec<&str> {
    let mut texts = Vec::new();
    for (datasource, targets) in dashboard.panels.iter().filter_map(Panel::queries) {
        texts.push(datasource.uid.as_str());
        texts.extend(targets.iter().map(|target| match target {
            Target::Prometheus(query) => query.expr.as_str(),
            Target::Postgres(query) => query.raw_sql.as_str(),
        }));
    }
    for variable in &dashboard.templating.list {
        if let Variable::Query { datasource, query, .. } = variable {
            texts.extend([datasource.uid.as_str(), query]);
        }
    }
    texts
}

#[test]
fn dashboards_have_names_of_their_own_and_panels_in_their_places() {
    let mut ids = HashSet::new();
    for (file, dashboard) in &dashboards() {
        assert_eq!(file, &format!("{}.json", dashboard.uid));
        assert!(ids.insert(dashboard.uid.clone()) && !dashboard.title.is_empty(), "{file}");
        assert_eq!(
            (dashboard.tags.as_slice(), dashboard.schema_version),
            (&["analytics".to_owned()][..], 41),
            "{file}"
        );
        let (mut panels, mut titles) = (HashSet::new(), HashSet::new());
        for panel in &dashboard.panels {
            let (title, place) = (panel.title(), panel.position());
            assert!(panels.insert(panel.id()) && titles.insert(title), "{file}: {title}: twice");
            assert!(place.w > 0 && place.h > 0 && place.x + place.w <= 24, "{file}: {title}: beside the grid");
            let others = dashboard.panels.iter().filter(|other| other.id() != panel.id());
            assert!(!others.map(Panel::position).any(|other| overlap(place, other)), "{file}: {title}: overlaps");
        }
    }
    assert_eq!(ids.len(), 3);
}

#[test]
fn queries_read_what_their_panel_says_and_nothing_that_may_change() {
    for (file, dashboard) in &dashboards() {
        for panel in &dashboard.panels {
            let Some((datasource, targets)) = panel.queries() else { continue };
            let what = format!("{file}: {}", panel.title());
            let expected = match datasource.kind {
                Kind::Prometheus => "${prometheus}",
                Kind::Postgres => "${postgres}",
            };
            assert_eq!(datasource.uid, expected, "{what}");
            assert!(!targets.is_empty(), "{what}: no query");
            let letters: HashSet<_> = targets.iter().map(Target::ref_id).collect();
            assert_eq!(letters.len(), targets.len(), "{what}: letters of queries");
            for target in targets {
                assert_eq!(target.datasource(), datasource, "{what}");
                match target {
                    Target::Prometheus(query) => {
                        assert_ne!(query.instant, query.range, "{what}: either at once or over a range");
                        let ranges: Vec<_> = query.expr.split('[').skip(1).collect();
                        let is_usual = |range: &&str| range.starts_with("$__rate_interval]");
                        assert!(ranges.iter().all(is_usual), "{what}: its range may be shorter than a scrape");
                        let is_counter = query.expr.contains("_total");
                        assert!(!is_counter || !ranges.is_empty(), "{what}: counters start over");
                    }
                    Target::Postgres(query) => {
                        assert!(query.raw_query, "{what}");
                        read_only_views(&query.raw_sql, &what);
                    }
                }
            }
        }
        for variable in &dashboard.templating.list {
            if let Variable::Query { query, .. } = variable {
                read_only_views(query, file);
            }
        }
    }
}

/// What a statement reads are views of `bi`, and variables are quoted by Grafana.
fn read_only_views(sql: &str, what: &str) {
    let mut words = sql.split_whitespace();
    while let Some(word) = words.next() {
        if matches!(word, "FROM" | "JOIN") {
            let relation = words.next().unwrap_or_default();
            // extract(epoch FROM now() - time)
            let is_fine = relation.starts_with("bi.") || relation == "(" || relation == "now()";
            assert!(is_fine, "{what}: {relation} is no view of bi");
        }
    }
    assert!(sql.contains(" bi."), "{what}");
    for part in sql.split('$').skip(1) {
        let is_quoted =
            part.starts_with("__") || part.strip_prefix('{').is_some_and(|rest| rest.contains(":sqlstring}"));
        assert!(is_quoted, "{what}: ${part} is not quoted");
    }
}

#[test]
fn every_variable_is_chosen_and_used() {
    for (file, dashboard) in &dashboards() {
        let declared: HashSet<&str> = dashboard.templating.list.iter().map(Variable::name).collect();
        assert_eq!(declared.len(), dashboard.templating.list.len(), "{file}");
        let used: HashSet<&str> = texts(dashboard).into_iter().flat_map(variables).collect();
        assert_eq!(declared, used, "{file}");
    }
}
