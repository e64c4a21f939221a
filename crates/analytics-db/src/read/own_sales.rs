//! What a seller sold of each product, from its lines of orders. The counters of a product also contain what other
//! sellers sold of it.

use std::collections::BTreeMap;

use analytics_core::ids::{ProductId, VendorId};
use analytics_core::money::Currency;
use analytics_core::period::Span;
use analytics_core::sums::{self, difference};

use super::AsOf;
use super::rankings::By;
use crate::sql::{row, statement};
use crate::tables::payments;
use crate::tables::places::Places;
use crate::{Connection, DbError};

/// The value of each product in each range of time.
pub(super) type Sold = BTreeMap<String, Vec<i64>>;

/// Which lines are read.
pub(super) struct Lines<'a> {
    pub(super) vendor: &'a VendorId,
    /// The currency of amounts, unless it is the base currency.
    pub(super) foreign_currency: Option<Currency>,
    /// Those of these products; empty: of all.
    pub(super) products: &'a [String],
}

/// SQL for the currency. In all SQL of this file, $1 are the bounds of the ranges, $2 to $3 (exclusive) is all of them,
/// $4 the vendor, $5 the foreign currency, $6 the batches that are not seen, and $7 the products.
const CURRENCY: &str = "coalesce($5, (SELECT s.base_currency FROM service_settings s))";

impl Lines<'_> {
    /// Returns what was sold in some ranges of time: orders, units, revenue or net revenue. `None` for what is not counted
    /// from lines of orders.
    pub(super) fn sold(
        &self,
        connection: &mut Connection,
        as_of: &AsOf,
        by: By,
        ranges: &[Span],
    ) -> Result<Option<Sold>, DbError> {
        let value = match by {
            By::Orders => "count(DISTINCT l.event_id)",
            By::Units => "sum(l.quantity)",
            By::Revenue | By::NetRevenue => &format!("sum(l.amount) FILTER (WHERE l.currency = {CURRENCY})"),
            By::Views | By::Rating | By::Conversion => return Ok(None),
        };
        let lines = format!(
            "SELECT l.product_id, width_bucket(l.event_id, $1) AS place, stored_sum(coalesce({value}, 0)) AS value \
             FROM order_lines l WHERE l.event_id >= $2 AND l.event_id < $3 AND l.vendor_id = $4 \
             AND l.product_id IS NOT NULL AND (cardinality($7) = 0 OR l.product_id = ANY ($7)) \
             AND (cardinality($6) = 0 OR NOT EXISTS ( \
                 SELECT FROM event_logs e WHERE e.id = l.event_id AND e.batch_id = ANY ($6))) \
             AND {} GROUP BY 1, 2",
            payments::counts("l.event_id", "$6")
        );
        let mut sold = self.read(connection, as_of, &lines, ranges)?;
        if by == By::NetRevenue {
            // On the day of the reversal, wherever its order is.
            let refunds = format!(
                "SELECT l.product_id, width_bucket(n.event_id, $1) AS place, stored_sum(sum(n.amount)) AS value \
                 FROM reversal_entries n JOIN reversals r ON r.event_id = n.event_id \
                 CROSS JOIN LATERAL ( \
                     SELECT * FROM order_lines o WHERE o.event_id = r.order_id AND o.line = n.line LIMIT 1) AS l \
                 WHERE n.event_id >= $2 AND n.event_id < $3 AND l.vendor_id = $4 AND n.currency = {CURRENCY} AND n.line > 0 \
                 AND n.batch_id <> ALL ($6) AND l.product_id IS NOT NULL \
                 AND (cardinality($7) = 0 OR l.product_id = ANY ($7)) GROUP BY 1, 2"
            );
            for (product, refunds) in self.read(connection, as_of, &refunds, ranges)? {
                let values = sold.entry(product).or_insert_with(|| vec![0; ranges.len()]);
                values.iter_mut().zip(refunds).for_each(|(value, refund)| *value = difference(*value, refund));
            }
        }
        Ok(Some(sold))
    }

    fn read(&self, connection: &mut Connection, as_of: &AsOf, sql: &str, ranges: &[Span]) -> Result<Sold, DbError> {
        row! {
            struct Row {
                product_id: String,
                place: i32,
                value: i64,
            }
        }
        let places = Places::of(ranges);
        let bounds = places.bounds();
        let (Some(first), Some(last)) = (bounds.first(), bounds.last()) else { return Ok(Sold::new()) };
        let rows: Vec<Row> = statement(sql)
            .column(bounds.iter().copied())
            .value(*first)
            .value(*last)
            .value(self.vendor.as_str())
            .value(self.foreign_currency.map(Currency::code))
            .column(as_of.unseen())
            .column(self.products.iter().map(String::as_str))
            .load(connection)?;
        let mut sold = Sold::new();
        for Row { product_id, place, value } in rows.into_iter().filter(|row| ProductId::parse(&row.product_id).is_ok())
        {
            for range in places.ranges(place) {
                let values = sold.entry(product_id.clone()).or_insert_with(|| vec![0; ranges.len()]);
                values.get_mut(range).into_iter().for_each(|sum| *sum = sums::add(*sum, value));
            }
        }
        Ok(sold)
    }
}
