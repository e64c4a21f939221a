//! The lines of a list, as a seller or the marketplace exports them.

use chrono::{DateTime, NaiveDate};

use crate::business::Business;
use crate::ids::OrderId;
use crate::money::{Amount, Currency, Minor, Quantity};

/// The most lines of a list.
pub const MOST_LINES: usize = 100_000;

/// A line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number, from 1, as an editor counts them: the header is a line, too.
    pub line: u64,
    /// The order.
    pub order: OrderId,
    /// Its amount.
    pub amount: Minor,
    /// The currency of the amount.
    pub currency: Currency,
    /// Its business day, if the list has one.
    pub day: Option<NaiveDate>,
}

/// A column of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Order,
    Amount,
    Currency,
    Date,
}

use Column::{Amount as AmountColumn, Currency as CurrencyColumn, Date as DateColumn, Order as OrderColumn};

/// The names of each column, in lower case and without anything but letters and digits: `Order ID`, `order_id` and
/// `orderId` are the same.
const NAMES: [(Column, &[&str]); 4] = [
    (OrderColumn, &["orderid", "order", "ordernumber", "orderno"]),
    (AmountColumn, &["amount", "total", "totalamount", "gross", "orderamount", "ordertotal"]),
    (CurrencyColumn, &["currency", "currencycode"]),
    (DateColumn, &["date", "day", "orderdate", "createdat", "orderedat", "placedat", "occurredat"]),
];

/// The reason why a header or a line cannot be used. Nothing of the list is quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A column is missing.
    #[error("the header has no column for the {0}: name it {1}, and separate columns by commas")]
    NoColumn(&'static str, &'static str),
    /// Several columns could be meant.
    #[error("the header has several columns for the {0}: leave one")]
    SeveralColumns(&'static str),
    /// A field is not valid.
    #[error("{0} {1}")]
    Field(&'static str, String),
}

/// Where the columns of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    order: usize,
    amount: usize,
    currency: Option<usize>,
    date: Option<usize>,
}

impl Columns {
    /// Reads a header. Columns of other names are ignored.
    ///
    /// # Errors
    /// [`Unreadable`] if there is no order id or no amount, or if it is not clear which column is meant.
    pub fn of<'a>(header: impl Iterator<Item = &'a str>) -> Result<Self, Unreadable> {
        let known: Vec<Option<Column>> = header.map(column).collect();
        let place = |wanted: Column| {
            let mut places = known.iter().enumerate().filter(|(_, column)| **column == Some(wanted));
            match (places.next(), places.next()) {
                (place, None) => Ok(place.map(|(place, _)| place)),
                (_, Some(_)) => Err(Unreadable::SeveralColumns(wanted.name())),
            }
        };
        let needed =
            |wanted: Column, example| place(wanted)?.ok_or_else(|| Unreadable::NoColumn(wanted.name(), example));
        Ok(Self {
            order: needed(OrderColumn, "orderId")?,
            amount: needed(AmountColumn, "amount")?,
            currency: place(CurrencyColumn)?,
            date: place(DateColumn)?,
        })
    }

    /// Reads a line. An amount without a currency is in the base currency. A date is a business day, and a time the
    /// business day that contains it.
    ///
    /// # Errors
    /// [`Unreadable::Field`].
    pub fn read<'a>(
        &self,
        line: u64,
        field: impl Fn(usize) -> Option<&'a str>,
        business: Business,
    ) -> Result<Listed, Unreadable> {
        let text = |place: usize| field(place).unwrap_or_default().trim();
        let optional = |place: Option<usize>| place.map(text).filter(|text| !text.is_empty());
        let invalid = |column: Column| move |why: String| Unreadable::Field(column.name(), why);
        let order = text(self.order);
        if order.contains('\0') {
            return Err(invalid(OrderColumn)("contains the character NUL".into()));
        }
        let order = OrderId::parse(order).map_err(|why| invalid(OrderColumn)(why.to_string()))?;
        let currency = match optional(self.currency) {
            None => business.base_currency,
            Some(code) => Currency::parse(code)
                .ok_or_else(|| invalid(CurrencyColumn)("is not a currency code of ISO 4217, such as USD".into()))?,
        };
        let amount = Amount::parse(text(self.amount))
            .and_then(|amount| amount.times(Quantity::ONE, currency))
            .map_err(|why| invalid(AmountColumn)(format!("{why}: it must be a number such as 1234.50")))?;
        let day = optional(self.date).map(|date| day(date, business)).transpose().map_err(invalid(DateColumn))?;
        Ok(Listed { line, order, amount, currency, day })
    }
}

impl Column {
    const fn name(self) -> &'static str {
        match self {
            OrderColumn => "order id",
            AmountColumn => "amount",
            CurrencyColumn => "currency",
            DateColumn => "date",
        }
    }
}

fn column(name: &str) -> Option<Column> {
    let plain: String = name
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric())
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    NAMES.into_iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(column, _)| column)
}

fn day(text: &str, business: Business) -> Result<NaiveDate, String> {
    let day = match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) => Some(day),
        Err(_) => DateTime::parse_from_rfc3339(text).ok().map(|time| business.calendar.day(time.to_utc().into())),
    };
    let years = |day: &NaiveDate| {
        (NaiveDate::from_ymd_opt(2000, 1, 1)..NaiveDate::from_ymd_opt(2100, 1, 1)).contains(&Some(*day))
    };
    day.filter(years).ok_or_else(|| "must be a date such as 2026-11-01, or a time such as 2026-11-01T12:00:00Z".into())
}
