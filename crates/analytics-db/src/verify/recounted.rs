//! The recounted rollups of a day. They may be more than fit in memory, so they are put into a temporary table, one
//! piece at a time, and PostgreSQL adds up the pieces and compares them with the stored rollups.

use std::ops::Range;

use analytics_core::catalogue::{Definition, Measure, Metric, ScopeKind};
use analytics_core::maps::HashMap;
use analytics_core::rollup::{Bucket, Granularity, Measures};
use analytics_core::sums::stored;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::connection::SimpleConnection;

use super::starts_and_ends;
use crate::sql::{row, statement};
use crate::tables::rollups::{each, given_rows, granularity, scope, with_keys};
use crate::{Connection, DbError};

/// What a row of rollups is about, as in its columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    /// The kind of scope; `None` if the program does not know it.
    pub(super) kind: Option<ScopeKind>,
    /// The encoded id; empty for the marketplace.
    pub(super) id: String,
}

impl Subject {
    pub(super) fn of_row(kind: &str, id: String) -> Self {
        let kinds = [ScopeKind::Total, ScopeKind::Unattributed, ScopeKind::Product, ScopeKind::Seller];
        Self { kind: kinds.into_iter().find(|of| scope(*of) == kind), id }
    }

    /// Returns the types of the counters that sum a measure of a row. `day`: of a row of that whole day.
    pub(super) fn counters(&self, measure: Measure, currency: &str, day: Option<NaiveDate>) -> Vec<String> {
        let suffix = |text: &str| if text.is_empty() { String::new() } else { format!(":{text}") };
        let name = |metric: Metric| match (metric.definition(), day) {
            (Definition::Counter { measure: of, scope }, _) if of == measure && Some(scope) == self.kind => {
                Some(format!("{}{}{}", metric.name(), suffix(&self.id), suffix(currency)))
            }
            (Definition::Daily { measure: of }, Some(day)) if of == measure && self.kind == Some(ScopeKind::Total) => {
                Some(format!("{}:{day}{}", metric.name(), suffix(currency)))
            }
            _ => None,
        };
        Metric::ALL.into_iter().filter_map(name).collect()
    }
}

/// A counter's sum in a bucket that is stored otherwise.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) about: Subject,
    pub(super) metric_type: String,
    pub(super) granularity: Granularity,
    pub(super) bucket_start: DateTime<Utc>,
    /// What is stored; `None` if nothing is.
    pub(super) found: Option<i64>,
    /// What was recounted; `None` if nothing was.
    pub(super) expected: Option<i128>,
}

/// Creates the table, until the end of the transaction.
pub(super) fn create(connection: &mut Connection) -> Result<(), DbError> {
    let columns = each(|column| format!("{column} numeric"));
    Ok(connection.batch_execute(&format!(
        "CREATE TEMPORARY TABLE recounted (bucket_start timestamptz, granularity \"char\", scope \"char\", \
         subject text COLLATE \"C\", currency text COLLATE \"C\", {columns}) ON COMMIT DROP; SET LOCAL work_mem = '64MB'"
    ))?)
}

/// Adds recounted rollups.
pub(super) fn add(connection: &mut Connection, rollups: &HashMap<Bucket, Measures>) -> Result<(), DbError> {
    const PIECE: usize = 10_000;
    let rows: Vec<_> = rollups.iter().collect();
    for rows in rows.chunks(PIECE) {
        let sql = format!(
            "INSERT INTO recounted SELECT a.bucket_start, a.granularity::\"char\", a.scope::\"char\", a.subject, \
             a.currency, {} FROM {}",
            each(|column| format!("a.{column}::numeric")),
            given_rows(),
        );
        let mut query = with_keys(statement(sql), rows);
        for measure in Measure::ALL {
            query = query.column(rows.iter().map(|(_, measures)| measures.get(measure).map(|sum| sum.to_string())));
        }
        query.execute(connection)?;
    }
    Ok(())
}

/// Returns every sum in these ranges of time, all of one day, that is stored otherwise than recounted, in the order of
/// buckets and metrics.
pub(super) fn mismatches(
    connection: &mut Connection,
    day: NaiveDate,
    ranges: &[Range<DateTime<Utc>>],
) -> Result<Vec<Mismatch>, DbError> {
    row! {
        struct Row {
            bucket_start: DateTime<Utc>,
            granularity: String,
            scope: String,
            subject: String,
            currency: String,
            found: Vec<Option<i64>>,
            expected: Vec<Option<String>>,
        }
    }
    let (starts, ends) = starts_and_ends(ranges);
    let of = |table: &str| each(|column| format!("{table}.{column}"));
    let rows: Vec<Row> = statement(format!(
        "SELECT bucket_start, granularity::text, scope::text, subject, currency, ARRAY[{found}] AS found, \
             ARRAY[{expected}] AS expected \
         FROM (SELECT bucket_start, granularity, scope, subject, currency, {sums} FROM recounted GROUP BY 1, 2, 3, 4, 5) e \
         FULL JOIN (SELECT r.bucket_start, r.granularity, r.scope, r.subject::text, r.currency::text, {stored} \
             FROM unnest($1, $2) AS s (first, last) \
             JOIN rollups r ON r.bucket_start >= s.first AND r.bucket_start < s.last) f \
         USING (bucket_start, granularity, scope, subject, currency) \
         WHERE ({found}) IS DISTINCT FROM ({recounted})",
        found = of("f"),
        expected = each(|column| format!("e.{column}::text")),
        sums = each(|column| format!("sum({column}) AS {column}")),
        stored = of("r"),
        recounted = of("e"),
    ))
    .column(starts)
    .column(ends)
    .load(connection)?;
    let mut mismatches = Vec::new();
    for row in rows {
        let width =
            if row.granularity == granularity(Granularity::Hour) { Granularity::Hour } else { Granularity::Day };
        let about = Subject::of_row(&row.scope, row.subject);
        for ((measure, found), expected) in Measure::ALL.into_iter().zip(row.found).zip(row.expected) {
            let expected = expected.and_then(|sum| sum.parse::<i128>().ok());
            if found == expected.map(stored) {
                continue;
            }
            let of_day = (width == Granularity::Day).then_some(day);
            mismatches.extend(about.counters(measure, &row.currency, of_day).into_iter().map(|metric_type| Mismatch {
                about: about.clone(),
                metric_type,
                granularity: width,
                bucket_start: row.bucket_start,
                found,
                expected,
            }));
        }
    }
    mismatches.sort_by(|a, b| {
        (a.granularity, a.bucket_start, &a.metric_type).cmp(&(b.granularity, b.bucket_start, &b.metric_type))
    });
    Ok(mismatches)
}

/// Returns the counters of which the recounted hours, if there are any, do not sum to the day: its type, the day's sum,
/// and that of the hours.
pub(super) fn uneven(connection: &mut Connection) -> Result<Vec<(String, i128, i128)>, DbError> {
    row! {
        struct Row {
            scope: String,
            subject: String,
            currency: String,
            days: Vec<Option<String>>,
            hours: Vec<Option<String>>,
        }
    }
    let of = |width: Granularity| {
        let width = granularity(width);
        each(|column| format!("sum({column}) FILTER (WHERE granularity = '{width}')::text"))
    };
    let sums = |width: Granularity| {
        let width = granularity(width);
        each(|column| format!("coalesce(sum({column}) FILTER (WHERE granularity = '{width}'), 0)"))
    };
    let (days, hours) = (of(Granularity::Day), of(Granularity::Hour));
    let rows: Vec<Row> = statement(format!(
        "SELECT scope::text, subject, currency, ARRAY[{days}] AS days, ARRAY[{hours}] AS hours FROM recounted \
         WHERE scope <> '{product}' GROUP BY scope, subject, currency HAVING ({}) <> ({}) ORDER BY 1, 2, 3",
        sums(Granularity::Day),
        sums(Granularity::Hour),
        product = scope(ScopeKind::Product),
    ))
    .load(connection)?;
    let parse = |sum: Option<String>| sum.and_then(|sum| sum.parse::<i128>().ok());
    let mut uneven = Vec::new();
    for row in rows {
        let about = Subject::of_row(&row.scope, row.subject);
        for ((measure, total), parts) in Measure::ALL.into_iter().zip(row.days).zip(row.hours) {
            let (total, Some(parts)) = (parse(total).unwrap_or(0), parse(parts)) else { continue };
            if total != parts {
                let counters = about.counters(measure, &row.currency, None);
                uneven.extend(counters.into_iter().map(|counter| (counter, total, parts)));
            }
        }
    }
    Ok(uneven)
}
