//! What was counted for a seller, order by order, to be compared with a list.
//!
//! Everything is read in one transaction with one snapshot, some orders at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use analytics_core::business::Business;
use analytics_core::events::ORDER_FIELDS;
use analytics_core::identity::{EventId, order_key};
use analytics_core::money::Currency;
use analytics_core::reconciliation::list::Listed;
use analytics_core::reconciliation::sums::Period;
use analytics_core::reconciliation::{Amounts, Found, Order, Unlisted};
use analytics_core::time::EventTime;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::{AsOf, ReadableOrders};
use crate::sql::{row, statement};
use crate::tables::payments;
use crate::{Connection, DbError};

/// The most other sellers of an order that are named.
const MOST_OTHERS: usize = 5;
/// Number of amounts that are read at once.
const PAGE: i64 = 5_000;

/// Reads what was counted for a seller up to one batch.
#[derive(Debug)]
pub struct Orders<'a> {
    readable: &'a ReadableOrders,
    /// The namespaces of the topics that are counted.
    namespaces: BTreeSet<Option<&'a str>>,
    /// Topics whose records are no orders, such as refunds, though they name one.
    other_topics: &'a [String],
    business: Business,
    /// The number of the last batch that is seen.
    pub number: i64,
    /// Batches that are logged, and not counted yet.
    unseen: Vec<i64>,
}

/// Where a page ends: the event and the currency of its last amount.
type Place = (Uuid, String);

/// An order and what was counted of it for the seller, in one currency.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Its event.
    pub event: EventId,
    /// The currency.
    pub currency: Currency,
    /// In minor units, before anything is taken back.
    pub gross: i64,
}

row! {
    struct EventRow {
        key: Uuid,
        event_id: Uuid,
        number: Option<i64>,
        waits: bool,
    }
}

row! {
    struct AmountRow {
        event_id: Uuid,
        vendor_id: Option<String>,
        currency: String,
        amount: i64,
    }
}

row! {
    struct BackRow {
        event_id: Uuid,
        currency: String,
        refunded: i64,
        cancelled: i64,
    }
}

row! {
    struct LetterRow {
        key: Uuid,
        reason: String,
        detail: String,
    }
}

row! {
    struct DetailRow {
        id: Uuid,
        number: Option<i64>,
        order_id: Option<String>,
    }
}

impl<'a> Orders<'a> {
    /// Begins to read what is counted by now.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn latest(
        connection: &mut Connection,
        readable: &'a ReadableOrders,
        namespaces: &'a [Option<String>],
        other_topics: &'a [String],
        business: Business,
    ) -> Result<Self, DbError> {
        let as_of = AsOf::latest(connection)?;
        let unseen = as_of.unseen().collect();
        let namespaces = namespaces.iter().map(Option::as_deref).collect();
        Ok(Self { readable, namespaces, other_topics, business, number: as_of.number, unseen })
    }

    /// Finds what is known of the orders of lines, for each line.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn find(&self, connection: &mut Connection, lines: &[Listed]) -> Result<Vec<Found>, DbError> {
        let keys_of = |line: &Listed| -> Vec<Uuid> {
            self.namespaces.iter().map(|namespace| order_key(&line.order, *namespace).0).collect()
        };
        let keys: Vec<Vec<Uuid>> = lines.iter().map(keys_of).collect();
        let mut unknown: BTreeSet<Uuid> = keys.iter().flatten().copied().collect();
        let events = self.events(connection, &unknown)?;
        let known = self.orders(connection, events)?;
        unknown.retain(|key| !known.contains_key(key));
        let letters = letters(connection, &unknown, self.other_topics)?;
        let found = |keys: Vec<Uuid>| {
            // An id may be used in several namespaces: then one of the seller's orders is meant.
            let known = || keys.iter().filter_map(|key| known.get(key));
            if let Some(best) = known().find(|found| found.is_of_seller()).or_else(|| known().next()) {
                return best.clone();
            }
            match keys.iter().find_map(|key| letters.get(key)) {
                Some((reason, detail)) => Found::Rejected { reason: reason.clone(), detail: detail.clone() },
                None => Found::Nothing,
            }
        };
        Ok(keys.into_iter().map(found).collect())
    }

    /// Returns the business day of an event: its id begins with its time.
    fn day(&self, event: EventId) -> NaiveDate {
        self.business.calendar.day(EventTime::from_micros(event.millis().saturating_mul(1000)))
    }

    /// Returns the events of orders.
    fn events(&self, connection: &mut Connection, keys: &BTreeSet<Uuid>) -> Result<Vec<EventRow>, DbError> {
        // LIMIT has each order looked up by its key, and each event in the partition of its id. Of an order that was
        // forgotten and came again, the later one is meant.
        Ok(statement(
            "SELECT w.key, k.event_id, b.number, \
                 u.event_id IS NOT NULL AND (u.paid_batch IS NULL OR u.paid_batch = ANY ((SELECT $2)::bigint[])) AS waits \
             FROM unnest((SELECT $1)) AS w (key) \
             CROSS JOIN LATERAL (SELECT * FROM order_keys o WHERE o.key = w.key ORDER BY o.generation DESC LIMIT 1) AS k \
             CROSS JOIN LATERAL (SELECT * FROM event_logs l WHERE l.id = k.event_id LIMIT 1) AS e \
             LEFT JOIN unpaid_orders u ON u.event_id = k.event_id \
             LEFT JOIN batches b ON b.id = coalesce(u.paid_batch, e.batch_id) \
             WHERE e.batch_id <> ALL ((SELECT $2)::bigint[])",
        )
        .column(keys.iter().copied())
        .column(self.unseen.iter().copied())
        .load(connection)?)
    }

    /// Returns orders by their keys.
    fn orders(&self, connection: &mut Connection, events: Vec<EventRow>) -> Result<HashMap<Uuid, Found>, DbError> {
        let ids: Vec<Uuid> = events.iter().map(|event| event.event_id).collect();
        let rows: Vec<AmountRow> = statement(
            "SELECT l.event_id, l.vendor_id, l.currency, sum(l.amount)::bigint AS amount \
             FROM unnest((SELECT $1)) AS w (id) \
             CROSS JOIN LATERAL (SELECT * FROM order_lines o WHERE o.event_id = w.id ORDER BY o.line) AS l \
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        )
        .column(ids)
        .load(connection)?;
        let mut own: HashMap<Uuid, BTreeMap<Currency, Amounts>> = HashMap::new();
        let mut others: HashMap<Uuid, Vec<String>> = HashMap::new();
        for row in rows {
            match row.vendor_id {
                Some(vendor) if vendor == self.readable.vendor.as_str() => {
                    let amounts = Amounts { gross: row.amount, ..Amounts::default() };
                    own.entry(row.event_id).or_default().insert(currency(&row.currency)?, amounts);
                }
                Some(vendor) => {
                    let named = others.entry(row.event_id).or_default();
                    if !named.contains(&vendor) && named.len() < MOST_OTHERS {
                        named.push(vendor);
                    }
                }
                None => {}
            }
        }
        let ids: Vec<Uuid> = own.keys().copied().collect();
        for ((event, currency), back) in self.taken_back(connection, ids)? {
            if let Some(amounts) = own.get_mut(&event).and_then(|amounts| amounts.get_mut(&currency)) {
                (amounts.refunded, amounts.cancelled) = (back.refunded, back.cancelled);
            }
        }
        let order = |row: EventRow| {
            let (event, amounts) = (EventId(row.event_id), own.remove(&row.event_id).unwrap_or_default());
            let found = match row.waits {
                true => Found::Unpaid { event, is_of_seller: !amounts.is_empty() },
                false => Found::Order(Order {
                    event,
                    day: self.day(event),
                    number: row.number,
                    amounts,
                    others: others.remove(&row.event_id).unwrap_or_default(),
                }),
            };
            (row.key, found)
        };
        Ok(events.into_iter().map(order).collect())
    }

    /// Returns what was taken back of the seller's lines of orders.
    fn taken_back(
        &self,
        connection: &mut Connection,
        orders: Vec<Uuid>,
    ) -> Result<HashMap<(Uuid, Currency), Amounts>, DbError> {
        let rows: Vec<BackRow> = statement(
            "SELECT r.order_id AS event_id, n.currency, \
                 coalesce(sum(n.amount) FILTER (WHERE r.claim ->> 'kind' <> 'cancellation'), 0)::bigint AS refunded, \
                 coalesce(sum(n.amount) FILTER (WHERE r.claim ->> 'kind' = 'cancellation'), 0)::bigint AS cancelled \
             FROM unnest((SELECT $1)) AS w (id) \
             JOIN reversals r ON r.order_id = w.id AND r.order_id IS NOT NULL \
             JOIN reversal_entries n ON n.event_id = r.event_id \
             CROSS JOIN LATERAL ( \
                 SELECT * FROM order_lines o WHERE o.event_id = r.order_id AND o.line = n.line LIMIT 1) AS l \
             WHERE n.line > 0 AND n.currency <> '' AND l.vendor_id = $2 AND n.batch_id <> ALL ((SELECT $3)::bigint[]) \
             GROUP BY 1, 2",
        )
        .column(orders)
        .value(self.readable.vendor.as_str())
        .column(self.unseen.iter().copied())
        .load(connection)?;
        let back = |row: BackRow| {
            let amounts = Amounts { gross: 0, refunded: row.refunded, cancelled: row.cancelled };
            Ok(((row.event_id, currency(&row.currency)?), amounts))
        };
        rows.into_iter().map(back).collect()
    }

    /// Calls `each` with everything that was counted for the seller in a period, some amounts at a time, in the order
    /// of days. It says whether to go on.
    ///
    /// # Errors
    /// [`DbError`], and those of `each`.
    pub fn in_period(
        &self,
        connection: &mut Connection,
        period: Period,
        mut each: impl FnMut(&mut Connection, Vec<Counted>) -> Result<bool, DbError>,
    ) -> Result<(), DbError> {
        let days = period.from.iter_days().take_while(|day| *day <= period.to);
        // The partition of today has small indexes: a window of a day bounds what is read for a page.
        for range in days.flat_map(|day| self.business.calendar.day_ranges(day)) {
            let lowest = |time: DateTime<Utc>| EventId::lowest_at(time.into()).0;
            let (mut after, end) = ((lowest(range.start), String::new()), lowest(range.end));
            loop {
                let (rows, last) = self.page(connection, &after, end)?;
                if !rows.is_empty() && !each(connection, rows)? {
                    return Ok(());
                }
                let Some(last) = last else { break };
                after = last;
            }
        }
        Ok(())
    }

    /// Returns a page of what was counted after an event and a currency, and where the next page begins.
    fn page(
        &self,
        connection: &mut Connection,
        (after, after_currency): &Place,
        end: Uuid,
    ) -> Result<(Vec<Counted>, Option<Place>), DbError> {
        row! {
            struct PageRow {
                event_id: Uuid,
                currency: String,
                amount: i64,
                batch_id: i64,
            }
        }
        let rows: Vec<PageRow> = statement(format!(
            "SELECT l.event_id, l.currency, l.amount, e.batch_id FROM ( \
                 SELECT o.event_id, o.currency, sum(o.amount)::bigint AS amount FROM order_lines o \
                 WHERE o.vendor_id = $1 AND o.event_id >= $2 AND o.event_id < $3 AND (o.event_id, o.currency) > ($2, $4) \
                 AND {} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $5) AS l \
             CROSS JOIN LATERAL (SELECT * FROM event_logs e WHERE e.id = l.event_id LIMIT 1) AS e \
             ORDER BY 1, 2",
            payments::counts("o.event_id", "$6")
        ))
        .value(self.readable.vendor.as_str())
        .value(*after)
        .value(end)
        .value(after_currency.as_str())
        .value(PAGE)
        .column(self.unseen.iter().copied())
        .load(connection)?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE);
        let last = rows.last().filter(|_| is_full).map(|last| (last.event_id, last.currency.clone()));
        let seen = rows.into_iter().filter(|row| !self.unseen.contains(&row.batch_id));
        let counted = seen.map(|row| {
            Ok(Counted { event: EventId(row.event_id), currency: currency(&row.currency)?, gross: row.amount })
        });
        Ok((counted.collect::<Result<_, DbError>>()?, last))
    }

    /// Returns amounts with what is known of their orders.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn described(&self, connection: &mut Connection, counted: &[Counted]) -> Result<Vec<Unlisted>, DbError> {
        let events: Vec<Uuid> = counted.iter().map(|counted| counted.event.0).collect();
        let back = self.taken_back(connection, events.clone())?;
        let order_id = ORDER_FIELDS.map(|name| format!("l.metadata ->> '{name}'")).join(", ");
        let rows: Vec<DetailRow> = statement(format!(
            "SELECT e.id, e.order_id, b.number FROM unnest((SELECT $1)) AS w (id) \
             CROSS JOIN LATERAL ( \
                 SELECT l.id, l.batch_id, left(coalesce({order_id}), 255) AS order_id \
                 FROM event_logs l WHERE l.id = w.id LIMIT 1) AS e \
             LEFT JOIN unpaid_orders u ON u.event_id = e.id \
             LEFT JOIN batches b ON b.id = coalesce(u.paid_batch, e.batch_id)",
        ))
        .column(events)
        .load(connection)?;
        let known: HashMap<Uuid, DetailRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        let described = |counted: &Counted| {
            let known = known.get(&counted.event.0);
            let taken = back.get(&(counted.event.0, counted.currency)).copied().unwrap_or_default();
            Unlisted {
                order: known.and_then(|row| Some(row.order_id.as_deref()?.trim().to_owned())),
                event: counted.event,
                day: self.day(counted.event),
                number: known.and_then(|row| row.number),
                counted: (Amounts { gross: counted.gross, ..taken }, counted.currency),
            }
        };
        Ok(counted.iter().map(described).collect())
    }
}

/// Returns, for each order, why its record was rejected: a letter that is open, if there is one, or else the newest.
fn letters(
    connection: &mut Connection,
    keys: &BTreeSet<Uuid>,
    other_topics: &[String],
) -> Result<HashMap<Uuid, (String, String)>, DbError> {
    let rows: Vec<LetterRow> = statement(
        "SELECT w.key, d.reason, d.detail FROM unnest((SELECT $1)) AS w (key) \
         CROSS JOIN LATERAL ( \
             SELECT * FROM dead_letters d WHERE d.order_key = w.key AND d.order_key IS NOT NULL AND d.state <> 'replayed' \
                 AND d.topic <> ALL($2) \
             ORDER BY d.state = 'open' DESC, d.created_at DESC, d.id LIMIT 1) AS d",
    )
    .column(keys.iter().copied())
    .column(other_topics)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.key, (row.reason, row.detail))).collect())
}

fn currency(code: &str) -> Result<Currency, DbError> {
    Currency::parse(code)
        .ok_or_else(|| DbError::Unusable(format!("an order line in the log has the currency {code:?}")))
}
