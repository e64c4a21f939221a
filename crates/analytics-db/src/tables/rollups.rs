//! `rollups`: the measures by hour and by day. The table has a column for each measure of the
//! catalogue.

use analytics_core::catalogue::{Measure, ScopeKind};
use analytics_core::ids::{Encoded, VendorId};
use analytics_core::maps::HashMap;
use analytics_core::money::Currency;
use analytics_core::rollup::{Bucket, Granularity, Measures, Scope};
use analytics_core::sums::stored;
use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;

use super::all_taken;
use crate::error::WriteError;
use crate::locks::CountingLock;
use crate::sql::{Statement, row, statement};
use crate::{Connection, DbError};

/// Maximum number of rows that one statement changes. A batch has fewer.
const PIECE: usize = 200_000;

/// Adds the rollups of a batch. Rows are locked in the order of their keys.
pub(crate) fn add(
    connection: &mut Connection,
    _: &CountingLock,
    rollups: &HashMap<Bucket, Measures>,
) -> Result<(), WriteError> {
    // NULL means "not counted here". It stays NULL until something is counted, which distinguishes
    // a counted zero from nothing.
    let sql = format!(
        "INSERT INTO rollups AS r (bucket_start, granularity, scope, subject, currency, {columns}) \
         SELECT a.bucket_start, a.granularity::\"char\", a.scope::\"char\", a.subject, a.currency, {added} FROM {rows} \
         ON CONFLICT (bucket_start, granularity, scope, subject, currency) DO UPDATE SET {sums}",
        columns = each(|column| column.to_owned()),
        added = each(|column| format!("a.{column}")),
        rows = given_rows(),
        sums = each(|column| format!(
            "{column} = coalesce(saturating_add(r.{column}, excluded.{column}), r.{column}, excluded.{column})"
        )),
    );
    let rows = with_rows(connection, &sql, rollups)?;
    all_taken("rollups", rows, rollups.len())
}

/// Removes zeros for which nothing was counted: those of the given measures become NULL ("not
/// counted here"), and rows without any measure are deleted.
pub(crate) fn forget_zeros(
    connection: &mut Connection,
    _: &CountingLock,
    rollups: &HashMap<Bucket, Measures>,
) -> Result<(), WriteError> {
    let key =
        |row: &str| format!("({row}.bucket_start, {row}.granularity, {row}.scope, {row}.subject, {row}.currency)");
    let sql = format!(
        "WITH left_over AS (\
             SELECT r.bucket_start, r.granularity, r.scope, r.subject, r.currency, {kept} FROM {rows} \
             JOIN rollups r ON {r} = (a.bucket_start, a.granularity::\"char\", a.scope::\"char\", a.subject, a.currency)\
         ), gone AS (DELETE FROM rollups r USING left_over l WHERE {r} = {l} AND coalesce({left}) IS NULL) \
         UPDATE rollups r SET {set} FROM left_over l WHERE {r} = {l} AND coalesce({left}) IS NOT NULL",
        kept =
            each(|column| format!("CASE WHEN a.{column} IS NULL OR r.{column} <> 0 THEN r.{column} END AS {column}")),
        rows = given_rows(),
        r = key("r"),
        l = key("l"),
        left = each(|column| format!("l.{column}")),
        set = each(|column| format!("{column} = l.{column}")),
    );
    with_rows(connection, &sql, rollups).map(drop)
}

/// Builds a list with an item for the column of each measure, separated by commas.
pub(crate) fn each(of: impl Fn(&str) -> String) -> String {
    Measure::ALL.map(|measure| of(measure.column())).join(", ")
}

/// Returns SQL that gives the parameters as rows `a`: those of [`with_keys`], then one for each measure.
pub(crate) fn given_rows() -> String {
    let parameters: Vec<String> = (1..=5 + Measure::ALL.len()).map(|number| format!("${number}")).collect();
    let columns = each(|column| column.to_owned());
    format!("unnest({}) AS a (bucket_start, granularity, scope, subject, currency, {columns})", parameters.join(", "))
}

/// Executes a statement with the rows, in chunks, so that no statement exceeds its time limit,
/// however much is rebuilt. Returns how many rows it changed.
fn with_rows(connection: &mut Connection, sql: &str, rollups: &HashMap<Bucket, Measures>) -> Result<usize, WriteError> {
    let mut rows: Vec<_> = rollups.iter().collect();
    rows.sort_unstable_by_key(|(bucket, _)| *bucket);
    rows.chunks(PIECE).map(|piece| with_piece(connection, sql, piece)).sum()
}

fn with_piece(connection: &mut Connection, sql: &str, rows: &[(&Bucket, &Measures)]) -> Result<usize, WriteError> {
    let mut query = with_keys(statement(sql), rows);
    for measure in Measure::ALL {
        query = query.column(rows.iter().map(|(_, measures)| measures.get(measure).map(stored)));
    }
    Ok(query.execute(connection)?)
}

/// Binds the columns of the primary key of some rows.
pub(crate) fn with_keys<'a>(statement: Statement<'a>, rows: &[(&Bucket, &Measures)]) -> Statement<'a> {
    statement
        .column(rows.iter().map(|(bucket, _)| bucket.start))
        .column(rows.iter().map(|(bucket, _)| granularity(bucket.granularity)))
        .column(rows.iter().map(|(bucket, _)| scope(bucket.scope.kind())))
        .column(rows.iter().map(|(bucket, _)| subject(&bucket.scope)))
        .column(rows.iter().map(|(bucket, _)| bucket.foreign_currency.map_or("", Currency::code)))
}

/// Whose rollups are summed: a scope, and the currency unless it is the base currency.
pub(crate) type Whose = (Scope, Option<Currency>);

/// The sums of measures over ranges of time.
pub(crate) struct RangeSums {
    measures: Vec<Measure>,
    ranges: usize,
    /// For each scope, range and measure.
    sums: Vec<i64>,
}

impl RangeSums {
    /// Returns the sums of a measure in the ranges, for the scope at this index. Empty if they were not read.
    pub(crate) fn of(&self, whose: usize, measure: Measure) -> Vec<i64> {
        let Some(column) = self.measures.iter().position(|read| *read == measure) else { return Vec::new() };
        let rows = self.sums.chunks_exact(self.measures.len()).skip(whose * self.ranges).take(self.ranges);
        rows.filter_map(|row| row.get(column).copied()).collect()
    }
}

/// Returns the sums of measures in some scopes over several ranges of time, in one statement. `pieces` are the rollups
/// of the ranges, each with the index of its range, and `ranges` is the number of ranges.
pub(crate) fn sums(
    connection: &mut Connection,
    measures: Vec<Measure>,
    whose: &[Whose],
    pieces: &[(usize, Granularity, DateTime<Utc>)],
    ranges: usize,
) -> Result<RangeSums, DbError> {
    row! {
        struct Row {
            whose: i32,
            range: i32,
            sums: Vec<i64>,
        }
    }
    let mut sums = vec![0; whose.len() * ranges * measures.len()];
    if !sums.is_empty() {
        let each =
            |of: fn(&str) -> String| measures.iter().map(|measure| of(measure.column())).collect::<Vec<_>>().join(", ");
        // Each row is looked up by its key, whatever the planner estimates for a join.
        let sql = format!(
            "SELECT w.number AS whose, k.range, ARRAY[{sums}] AS sums \
             FROM unnest($1, $2, $3) AS k (start, granularity, range) \
             CROSS JOIN unnest($4, $5, $6, $7) AS w (number, scope, subject, currency) \
             CROSS JOIN LATERAL (\
                 SELECT {columns} FROM rollups r WHERE r.bucket_start = k.start \
                 AND r.granularity = k.granularity::\"char\" AND r.scope = w.scope::\"char\" AND r.subject = w.subject \
                 AND r.currency = w.currency LIMIT 1) AS r \
             GROUP BY w.number, k.range",
            sums = each(|column| format!("stored_sum(coalesce(sum(r.{column}), 0))")),
            columns = each(|column| format!("r.{column}")),
        );
        let number = |index: usize| i32::try_from(index).unwrap_or(i32::MAX);
        let rows: Vec<Row> = statement(sql)
            .column(pieces.iter().map(|(_, _, start)| *start))
            .column(pieces.iter().map(|(_, width, _)| granularity(*width)))
            .column(pieces.iter().map(|(range, ..)| number(*range)))
            .column((0..whose.len()).map(number))
            .column(whose.iter().map(|(of, _)| scope(of.kind())))
            .column(whose.iter().map(|(of, _)| subject(of)))
            .column(whose.iter().map(|(_, foreign_currency)| foreign_currency.map_or("", Currency::code)))
            .load(connection)?;
        for row in rows {
            let (Ok(whose), Ok(range)) = (usize::try_from(row.whose), usize::try_from(row.range)) else { continue };
            let of_range = sums.chunks_exact_mut(measures.len()).nth(whose * ranges + range);
            of_range.into_iter().for_each(|sums| sums.copy_from_slice(&row.sums));
        }
    }
    Ok(RangeSums { measures, ranges, sums })
}

/// The sums of all measures of a subject.
pub(crate) type Sums = [i64; Measure::ALL.len()];

/// Returns the sums of every measure over some business days, and over some earlier ones, for each
/// subject of a kind of scope, by its encoded id. The days are given by their starts.
pub(crate) fn sums_by_subject(
    connection: &mut Connection,
    of: ScopeKind,
    foreign_currency: Option<Currency>,
    days: &[DateTime<Utc>],
    earlier: &[DateTime<Utc>],
) -> Result<HashMap<String, [Sums; 2]>, DbError> {
    row! {
        struct Row {
            subject: String,
            is_earlier: bool,
            sums: Vec<i64>,
        }
    }
    let sql = format!(
        // OFFSET keeps the planner from turning the subquery into a join, which reads the whole table.
        "SELECT r.subject, d.place > cardinality($1) AS is_earlier, ARRAY[{}] AS sums \
         FROM unnest($1 || $2) WITH ORDINALITY AS d (start, place) \
         CROSS JOIN LATERAL ( \
             SELECT r.* FROM rollups r WHERE r.bucket_start = d.start AND r.granularity = 'd' \
             AND r.scope = $3::\"char\" AND r.currency = $4 OFFSET 0) AS r \
         GROUP BY 1, 2",
        each(|column| format!("stored_sum(coalesce(sum(r.{column}), 0))"))
    );
    // All subjects fit into the memory of one hash table.
    connection.batch_execute("SET LOCAL work_mem = '64MB'")?;
    let query = statement(sql).column(days.iter().copied()).column(earlier.iter().copied()).value(scope(of));
    let rows: Vec<Row> = query.value(foreign_currency.map_or("", Currency::code)).load(connection)?;
    let mut sums: HashMap<String, [Sums; 2]> = HashMap::default();
    for row in rows {
        let [current, earlier] = sums.entry(row.subject).or_default();
        let own = if row.is_earlier { earlier } else { current };
        own.iter_mut().zip(row.sums).for_each(|(own, sum)| *own = sum);
    }
    Ok(sums)
}

/// Returns the sums of two measures over business days for the products that are known to belong to
/// a vendor, by their encoded ids.
pub(crate) fn sums_by_product_of(
    connection: &mut Connection,
    measures: [Measure; 2],
    vendor: &VendorId,
    foreign_currency: Option<Currency>,
    days: &[DateTime<Utc>],
) -> Result<Vec<(String, [i64; 2])>, DbError> {
    let [first, second] = measures.map(Measure::column);
    let sql = format!(
        "SELECT p.subject, stored_sum(coalesce(sum(r.first), 0)) AS first, stored_sum(coalesce(sum(r.second), 0)) AS second \
         FROM (SELECT replace(replace(v.product_id, '%', '%25'), ':', '%3A') AS subject FROM product_vendors v \
               WHERE v.vendor_id = $1) AS p \
         CROSS JOIN unnest($2) AS d (start) \
         CROSS JOIN LATERAL (SELECT r.{first} AS first, r.{second} AS second FROM rollups r WHERE r.bucket_start = d.start \
             AND r.granularity = 'd' AND r.scope = 'p' AND r.subject = p.subject AND r.currency = $3 LIMIT 1) AS r \
         GROUP BY p.subject"
    );
    let query = statement(sql).value(vendor.as_str()).column(days.iter().copied());
    let rows: Vec<SubjectRow> = query.value(foreign_currency.map_or("", Currency::code)).load(connection)?;
    Ok(rows.into_iter().map(|row| (row.subject, [row.first, row.second])).collect())
}

row! {
    struct SubjectRow {
        subject: String,
        first: i64,
        second: i64,
    }
}

pub(crate) const fn granularity(granularity: Granularity) -> &'static str {
    match granularity {
        Granularity::Hour => "h",
        Granularity::Day => "d",
    }
}

pub(crate) const fn scope(scope: ScopeKind) -> &'static str {
    match scope {
        ScopeKind::Total => "t",
        ScopeKind::Unattributed => "u",
        ScopeKind::Product => "p",
        ScopeKind::Seller => "s",
    }
}

fn subject(scope: &Scope) -> String {
    match scope {
        Scope::Total | Scope::Unattributed => String::new(),
        Scope::Product(product) => Encoded(product.as_str()).to_string(),
        Scope::Seller(vendor) => Encoded(vendor.as_str()).to_string(),
    }
}
