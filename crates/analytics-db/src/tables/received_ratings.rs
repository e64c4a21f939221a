//! Counts the ratings that products and sellers received, from the log.

use analytics_core::identity::EventId;
use analytics_core::metric_type::Subject;
use analytics_core::period::Span;
use chrono::{DateTime, Utc};

use super::batches::AsOf;
use super::places::Places;
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Returns how many ratings of each number of stars a product or a vendor received in several ranges
/// of time: the index of the range, the stars, and the number.
pub(crate) fn ratings_received(
    connection: &mut Connection,
    as_of: &AsOf,
    target: &Subject,
    spans: &[Span],
) -> Result<Vec<(usize, i16, i64)>, DbError> {
    row! {
        struct Received {
            place: i32,
            stars: i16,
            ratings: i64,
        }
    }
    let (column, id) = match target {
        Subject::Product(product) => ("product_id", product.as_str()),
        Subject::Vendor(vendor) => ("vendor_id", vendor.as_str()),
        Subject::Marketplace | Subject::Day(_) => return Ok(Vec::new()),
    };
    // Ranges overlap: each rating is counted in one place.
    let places = Places::of(spans);
    let lowest = |time: DateTime<Utc>| EventId::lowest_at(time.into()).0;
    let sql = format!(
        "SELECT width_bucket(e.id, $1) AS place, e.stars, count(*) AS ratings FROM event_logs e \
         WHERE e.id >= $2 AND e.id < $3 AND e.event_type = 'rating.updated' AND e.{column} = $4 \
         AND e.stars IS NOT NULL AND e.user_id IS NOT NULL AND e.batch_id <> ALL ($5) GROUP BY 1, 2"
    );
    let mut rows: Vec<Received> = Vec::new();
    // Between a range and the one that it is compared with, nothing is read.
    for span in Span::united(spans) {
        let query =
            statement(&sql).column(places.bounds().iter().copied()).value(lowest(span.from)).value(lowest(span.to));
        rows.extend(query.value(id).column(as_of.unseen()).load(connection)?);
    }
    let of_row =
        |row: Received| places.ranges(row.place).map(move |range| (range, row.stars, row.ratings)).collect::<Vec<_>>();
    Ok(rows.into_iter().flat_map(of_row).collect())
}
