//! Finding the record that the database will not take.
//!
//! Decoding lets nothing through that PostgreSQL 15 with stock settings refuses. Should a server
//! refuse something all the same (a smaller stack, a stricter encoding), the batch fails again
//! and again while the database is well. Then the records are tried by themselves: a statement
//! that only evaluates their values, without locks and without writing, so that nothing but the
//! values can make it fail.

use analytics_core::business::Business;
use analytics_core::deltas::Deltas;
use analytics_core::event::Event;
use analytics_core::metric_type::MetricType;
use analytics_core::rejection::{Reason, Rejection};
use analytics_core::rules;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{Array, Bool, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use super::Batch;
use crate::{Connection, DbError};

/// Turns the records that the database refuses into rejections, and returns how many there were.
///
/// # Errors
/// [`DbError`] where the database is not well; then nothing was found out.
pub fn reject_refused(connection: &mut Connection, batch: &mut Batch, business: Business) -> Result<usize, DbError> {
    let mut refused = 0;
    let mut suspects: Vec<_> = batch.items.iter_mut().map(|item| &mut item.decoded).filter(|d| d.is_ok()).collect();
    let mut groups: Vec<&mut [&mut Result<Event, Rejection>]> = vec![&mut suspects];
    while let Some(group) = groups.pop() {
        let events: Vec<&Event> = group.iter().filter_map(|decoded| decoded.as_ref().ok()).collect();
        let Some(why) = refusal(connection, &events, business)? else { continue };
        match group {
            [only] => {
                **only = Err(Rejection::new(Reason::Unstorable, format!("the database refuses it: {why}")));
                refused += 1;
            }
            several => {
                let (first, second) = several.split_at_mut(several.len() / 2);
                groups.extend([first, second]);
            }
        }
    }
    Ok(refused)
}

/// Why the database refuses one of these events, if it does.
fn refusal(connection: &mut Connection, events: &[&Event], business: Business) -> Result<Option<String>, DbError> {
    if events.is_empty() {
        return Ok(None);
    }
    let values: Vec<&str> = events.iter().map(|event| event.metadata.as_str()).collect();
    let evaluated = sql_query("SELECT count(jsonb_typeof(v::jsonb)) FROM unnest($1) AS v")
        .bind::<Array<Text>, _>(values)
        .execute(connection);
    if let Err(error) = evaluated {
        // Only a database that is well can refuse.
        connection.batch_execute("SELECT 1")?;
        return Ok(Some(error.to_string()));
    }
    overflow(connection, events, business)
}

fn overflow(connection: &mut Connection, events: &[&Event], business: Business) -> Result<Option<String>, DbError> {
    #[derive(QueryableByName)]
    struct Fits {
        #[diesel(sql_type = Bool)]
        fits: bool,
    }
    let mut deltas = Deltas::default();
    for event in events {
        rules::count(event, business, &mut deltas);
    }
    let (types, sums): (Vec<String>, Vec<String>) =
        deltas.counters.iter().map(|(t, sum): (&MetricType, _)| (t.to_string(), sum.to_string())).unzip();
    let row: Fits = sql_query(
        "SELECT coalesce(bool_and(coalesce(m.value, 0) + d.sum::numeric <= 9223372036854775807), true) AS fits \
         FROM unnest($1, $2) AS d (type, sum) LEFT JOIN metrics m ON m.type = d.type",
    )
    .bind::<Array<Text>, _>(types)
    .bind::<Array<Text>, _>(sums)
    .get_result(connection)?;
    Ok((!row.fits).then(|| "its amount does not fit into a metric any more".to_owned()))
}
