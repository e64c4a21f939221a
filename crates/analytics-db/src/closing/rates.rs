//! Reads what conversion and ratings of sellers' months are made of, as of the batch of a closing: views from the rollups
//! of days, and the ratings that were received from the log, where alone they are kept by time.

use std::ops::Range;

use analytics_core::business::Business;
use analytics_core::identity::EventId;
use analytics_core::ids::Encoded;
use analytics_core::maps::HashMap;
use analytics_core::month::Month;
use analytics_core::ratios::{Fraction, Histogram};
use analytics_core::statement::{Account, PastRange, Rates};
use chrono::{DateTime, Utc};

use super::{Check, CloseError, Order};
use crate::sql::{row, statement};
use crate::tables::batches::AsOf;
use crate::tables::ratings::stars;
use crate::{Connection, DbError};

/// Views and ratings of sellers' months: a few numbers for each seller, whatever the number of events.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// By the sellers' encoded ids.
    views: HashMap<String, i64>,
    ratings: HashMap<String, Histogram>,
}

impl Received {
    /// Loads those of some sellers, as of the last counted batch.
    pub(super) fn load(
        connection: &mut Connection,
        order: &Order<'_>,
        vendors: &[String],
        check: Check<'_>,
    ) -> Result<Self, CloseError> {
        let as_of = AsOf::latest(connection)?;
        check()?;
        let mut received = Self::views(connection, order, Some(vendors))?;
        for day in order.month.ranges(order.business.calendar) {
            check()?;
            received.add_ratings(connection, &as_of, &day, Some(vendors))?;
        }
        Ok(received)
    }

    /// Loads the views of all sellers, or of some. Rollups have no earlier state, so this has to be in the snapshot whose
    /// batch the statements name.
    pub(super) fn views(
        connection: &mut Connection,
        Order { business, month, .. }: &Order<'_>,
        vendors: Option<&[String]>,
    ) -> Result<Self, DbError> {
        Ok(Self { views: views(connection, *business, *month, vendors)?, ..Self::default() })
    }

    /// Returns conversion and ratings of a seller whose orders are those of an account.
    pub(super) fn rates(&self, vendor: &str, account: &Account) -> Result<Rates, PastRange> {
        let views = self.views.get(&Encoded(vendor).to_string()).copied().unwrap_or(0);
        Ok(Rates {
            conversion: Fraction { numerator: account.orders()?, denominator: views },
            ratings: self.ratings.get(vendor).copied().unwrap_or_default(),
        })
    }

    /// Adds the ratings that were received in a range of time: those that the series of a rating counts.
    pub(super) fn add_ratings(
        &mut self,
        connection: &mut Connection,
        as_of: &AsOf,
        range: &Range<DateTime<Utc>>,
        vendors: Option<&[String]>,
    ) -> Result<(), DbError> {
        row! {
            struct Row {
                vendor_id: String,
                stars: i16,
                ratings: i64,
            }
        }
        let sql = format!(
            "SELECT e.vendor_id, e.stars, count(*) AS ratings FROM event_logs e \
             WHERE e.id >= $1 AND e.id < $2 AND e.event_type = 'rating.updated' AND e.vendor_id IS NOT NULL \
             AND e.stars IS NOT NULL AND e.user_id IS NOT NULL AND e.batch_id <> ALL ($3) {} GROUP BY 1, 2",
            if vendors.is_some() { "AND e.vendor_id = ANY ($4)" } else { "" }
        );
        let [from, to] = [range.start, range.end].map(|time| EventId::lowest_at(time.into()).0);
        let query = statement(sql).value(from).value(to).column(as_of.unseen());
        let query = match vendors {
            Some(vendors) => query.column(vendors.iter().map(String::as_str)),
            None => query,
        };
        let rows: Vec<Row> = query.load(connection)?;
        for row in rows {
            if let Some(stars) = stars(row.stars) {
                self.ratings.entry(row.vendor_id).or_default().add(stars, row.ratings);
            }
        }
        Ok(())
    }
}

fn views(
    connection: &mut Connection,
    business: Business,
    month: Month,
    vendors: Option<&[String]>,
) -> Result<HashMap<String, i64>, DbError> {
    row! {
        struct Row {
            subject: String,
            views: i64,
        }
    }
    // Each day is a part of the primary key; for some sellers, each row is looked up by its key.
    let (subjects, is_subject) = match vendors {
        Some(_) => ("CROSS JOIN unnest($2) AS s (subject)", "AND r.subject = s.subject"),
        None => ("", ""),
    };
    let sql = format!(
        "SELECT r.subject, stored_sum(sum(r.views)) AS views FROM unnest($1) AS d (start) {subjects} \
         CROSS JOIN LATERAL (SELECT r.subject, r.views FROM rollups r WHERE r.bucket_start = d.start \
             AND r.granularity = 'd' AND r.scope = 's' AND r.currency = '' {is_subject} OFFSET 0) AS r \
         WHERE r.views IS NOT NULL GROUP BY r.subject"
    );
    let query = statement(sql).column(month.days().map(|day| business.calendar.day_start(day)));
    let query = match vendors {
        Some(vendors) => query.column(vendors.iter().map(|vendor| Encoded(vendor).to_string())),
        None => query,
    };
    let rows: Vec<Row> = query.load(connection)?;
    Ok(rows.into_iter().map(|row| (row.subject, row.views)).collect())
}
