//! The answer of a reconciliation as CSV (RFC 4180).

use analytics_core::money::{Currency, Minor};
use analytics_core::reconciliation::sums::{Sum, Sums};
use analytics_core::reconciliation::{Amounts, Row, major};

use crate::middleware::shown;

/// The columns of the answer.
pub(crate) const COLUMNS: [&str; 17] = [
    "record",
    "line",
    "orderId",
    "verdict",
    "currency",
    "listed",
    "countedCurrency",
    "counted",
    "difference",
    "refunded",
    "cancelled",
    "listedDay",
    "countedDay",
    "number",
    "eventId",
    "rows",
    "detail",
];

/// The rows that were made and not yet sent.
pub(crate) struct Table {
    writer: csv::Writer<Vec<u8>>,
}

/// A row by its columns. What is not there is empty.
#[derive(Default)]
struct Cells {
    record: &'static str,
    line: String,
    order: String,
    verdict: &'static str,
    currency: &'static str,
    listed: String,
    counted_currency: &'static str,
    counted: String,
    difference: String,
    refunded: String,
    cancelled: String,
    listed_day: String,
    counted_day: String,
    number: String,
    event: String,
    rows: String,
    detail: String,
}

impl Table {
    /// Begins with the header.
    pub(crate) fn new() -> Self {
        let mut table = Self { writer: writer() };
        table.write(&COLUMNS);
        table
    }

    /// Adds the row of a line, or of an order that stands in none.
    pub(crate) fn row(&mut self, row: &Row) {
        let text = |text: Option<String>| text.unwrap_or_default();
        let amounts = row.counted.map(|(amounts, currency)| (Written::of(amounts, currency), currency));
        let listed = row.listed.map(|(Minor(amount), currency)| (i128::from(amount), currency));
        let listed_in = |own: Currency| listed.map_or(Some(0), |(amount, of)| (of == own).then_some(amount));
        let difference = match row.counted {
            Some((Amounts { gross, .. }, own)) => {
                listed_in(own).map(|listed| major(listed.saturating_sub(gross.into()), own))
            }
            None => listed.map(|(amount, of)| major(amount, of)),
        };
        self.cells(Cells {
            record: if row.line.is_some() { "line" } else { "order" },
            line: text(row.line.map(|line| line.to_string())),
            order: shown(text(row.order.clone())),
            verdict: row.verdict.name(),
            currency: listed.or(row.counted.map(|(_, own)| (0, own))).map_or("", |(_, currency)| currency.code()),
            listed: text(listed.map(|(amount, currency)| major(amount, currency))),
            counted_currency: amounts.as_ref().map_or("", |(_, currency)| currency.code()),
            difference: text(difference),
            listed_day: text(row.listed_day.map(|day| day.to_string())),
            counted_day: text(row.counted_day.map(|day| day.to_string())),
            number: text(row.number.map(|number| number.to_string())),
            event: text(row.event.map(|event| event.to_string())),
            detail: shown(row.detail.clone()),
            ..amounts.map_or_else(Cells::default, |(written, _)| Cells {
                counted: written.counted,
                refunded: written.refunded,
                cancelled: written.cancelled,
                ..Cells::default()
            })
        });
    }

    /// Adds the sums: for each currency those of each verdict, what is outside the period, and the total, whose
    /// difference is the sum of the differences above it.
    pub(crate) fn sums(&mut self, sums: &Sums) {
        for currency in sums.currencies() {
            for (verdict, sum) in sums.by_verdict(currency) {
                self.sum("sum", verdict.name(), currency, sum);
            }
            let outside = sums.outside_period(currency);
            if outside != Sum::default() {
                self.sum("sum", "outside_period", currency, outside);
            }
            self.sum("total", "", currency, sums.total(currency));
        }
    }

    fn sum(&mut self, record: &'static str, verdict: &'static str, currency: Currency, sum: Sum) {
        let written = |minor: i128| major(minor, currency);
        self.cells(Cells {
            record,
            verdict,
            currency: currency.code(),
            listed: written(sum.listed),
            counted_currency: currency.code(),
            counted: written(sum.counted),
            difference: written(sum.difference()),
            refunded: written(sum.refunded),
            cancelled: written(sum.cancelled),
            rows: sum.rows.to_string(),
            ..Cells::default()
        });
    }

    /// Takes what was written since.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        // Memory never refuses a write.
        std::mem::replace(&mut self.writer, writer()).into_inner().unwrap_or_default()
    }

    fn cells(&mut self, cells: Cells) {
        let Cells { record, verdict, currency, counted_currency, .. } = cells;
        self.write(&[
            record,
            &cells.line,
            &cells.order,
            verdict,
            currency,
            &cells.listed,
            counted_currency,
            &cells.counted,
            &cells.difference,
            &cells.refunded,
            &cells.cancelled,
            &cells.listed_day,
            &cells.counted_day,
            &cells.number,
            &cells.event,
            &cells.rows,
            &cells.detail,
        ]);
    }

    fn write(&mut self, cells: &[&str; 17]) {
        // Memory never refuses a write, and every row has as many cells.
        let _never = self.writer.write_record(cells);
    }
}

/// What is counted, in units of its currency.
struct Written {
    counted: String,
    refunded: String,
    cancelled: String,
}

impl Written {
    fn of(amounts: Amounts, currency: Currency) -> Self {
        let written = |minor: i64| major(minor.into(), currency);
        Self {
            counted: written(amounts.gross),
            refunded: written(amounts.refunded),
            cancelled: written(amounts.cancelled),
        }
    }
}

fn writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new())
}
