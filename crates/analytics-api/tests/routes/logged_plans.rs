//! Plans of statements that PostgreSQL logged (`auto_explain`), and what is wrong with them.

use std::collections::BTreeMap;

use analytics_testkit::database::Database;
use serde_json::Value;

/// The tables that grow with the events. Their partitions count as one table.
const LARGE: &[&str] = &[
    "event_logs",
    "order_lines",
    "rollups",
    "metrics",
    "event_keys",
    "order_keys",
    "ratings",
    "dead_letters",
    "batches",
    "product_vendors",
    "directory",
];

/// A plan that was logged.
pub(crate) struct Plan {
    pub(crate) query: String,
    pub(crate) root: Value,
}

/// Parses the plans in a part of the server's log. Continued lines begin with a tab.
pub(crate) fn plans(log: &str, application: &str) -> Vec<Plan> {
    let (mut plans, mut lines) = (Vec::new(), log.lines().peekable());
    while let Some(line) = lines.next() {
        if !line.starts_with(&format!("{application} ")) || !line.ends_with("plan:") {
            continue;
        }
        let mut text = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            text.push_str(more);
        }
        let plan: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        plans.push(Plan { query: plan["Query Text"].as_str().unwrap().to_owned(), root: plan["Plan"].clone() });
    }
    plans
}

/// Partitions with fewer rows are read as a whole.
const FEW: f64 = 500.0;

/// The sizes of the large tables, and to which of them their partitions belong, with their sizes.
pub(crate) struct Tables {
    rows: BTreeMap<String, f64>,
    of_partition: BTreeMap<String, (String, f64)>,
}

impl Tables {
    pub(crate) fn of(database: &Database) -> Self {
        let rows = |table: &&str| {
            let rows = database.number(&format!("SELECT count(*) FROM {table}")).unwrap();
            assert!(rows >= 1_000, "{table} has only {rows} rows");
            ((*table).to_owned(), rows as f64)
        };
        let partitions = database.lines(
            "SELECT inhrelid::regclass || ' ' || inhparent::regclass FROM pg_inherits \
             WHERE inhparent IN ('event_logs'::regclass, 'order_lines'::regclass)",
        );
        let pair = |line: &String| {
            let (partition, table) = line.split_once(' ').unwrap();
            let rows = database.number(&format!("SELECT count(*) FROM {partition}")).unwrap();
            (partition.to_owned(), (table.to_owned(), rows as f64))
        };
        Self { rows: LARGE.iter().map(rows).collect(), of_partition: partitions.iter().map(pair).collect() }
    }

    /// Returns what is wrong with a plan: it reads all of a table, or more than two fifths of its rows.
    pub(crate) fn faults(&self, plan: &Plan) -> Vec<String> {
        let (mut read, mut faults) = (BTreeMap::<&str, f64>::new(), Vec::new());
        let mut nodes = vec![&plan.root];
        while let Some(node) = nodes.pop() {
            nodes.extend(node["Plans"].as_array().into_iter().flatten());
            let Some(relation) = node["Relation Name"].as_str() else { continue };
            let partition = self.of_partition.get(relation);
            let table = partition.map_or(relation, |(table, _)| table.as_str());
            if !self.rows.contains_key(table) {
                continue;
            }
            let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
            let rows =
                number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
            let loops = number("Actual Loops");
            let most = partition.map(|(_, all)| *all).filter(|all| *all < FEW).unwrap_or(f64::INFINITY);
            *read.entry(table).or_default() += (rows * loops).min(most);
            if node["Node Type"] == "Seq Scan" && relation == table && loops > 0.0 {
                faults.push(format!("a sequential scan of {table}"));
            }
        }
        let most = |(table, rows): &(&&str, &f64)| **rows > self.rows[**table] * 0.4;
        let too_many = read.iter().filter(most);
        faults.extend(too_many.map(|(table, rows)| format!("{rows} of {} rows of {table}", self.rows[*table])));
        faults
    }
}

/// The scans of a plan.
pub(crate) fn brief(node: &Value, depth: usize) -> String {
    let part = |name: &str| node[name].as_str().unwrap_or_default().chars().take(200).collect::<String>();
    let inner: String = node["Plans"].as_array().into_iter().flatten().map(|node| brief(node, depth + 1)).collect();
    format!(
        "{}{} {} {} rows {} loops {} removed {} {}\n{inner}",
        "  ".repeat(depth),
        part("Node Type"),
        part("Relation Name"),
        part("Index Cond"),
        node["Actual Rows"],
        node["Actual Loops"],
        node["Rows Removed by Filter"],
        part("Filter"),
    )
}
