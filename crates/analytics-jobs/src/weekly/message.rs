//! What is told about a seller's week.

use analytics_core::business::Business;
use analytics_core::ids::decode_encoded;
use analytics_core::money::Currency;
use analytics_core::ratios::{Fraction, change};
use analytics_core::sums;
use analytics_db::read::weeks::{SellerRating, WeekSums};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::week::Week;
use crate::notify::{Links, body};

/// What is told about all of them.
pub(super) struct Told<'a> {
    pub(super) week: Week,
    pub(super) end: DateTime<Utc>,
    pub(super) business: Business,
    pub(super) links: &'a Links,
}

/// One seller.
pub(super) struct Seller<'a> {
    /// The sums of both weeks, in the order of currencies.
    pub(super) sums: &'a [WeekSums],
    pub(super) rating: Option<&'a SellerRating>,
    pub(super) name: Option<&'a str>,
}

impl Told<'_> {
    /// Returns the seller's id and what is told about it; `None` if the id cannot be read.
    pub(super) fn message(&self, seller: &Seller<'_>) -> Option<(String, String)> {
        let vendor = decode_encoded(&seller.sums.first()?.subject)?;
        let of = |is_earlier, get: fn(&WeekSums) -> Option<i64>| {
            let row = seller.sums.iter().find(|row| row.currency.is_empty() && row.is_earlier == is_earlier);
            row.and_then(get).map_or(Some(0), sums::known)
        };
        let both = |get| (of(false, get), of(true, get));
        let (views, orders, units) = (both(|row| row.views), both(|row| row.orders), both(|row| row.units));
        let rate = |orders: Option<i64>, views: Option<i64>| {
            orders.zip(views).and_then(|(numerator, denominator)| Fraction { numerator, denominator }.value(10_000))
        };
        let conversion = (rate(orders.0, views.0), rate(orders.1, views.1));
        let revenue = self.revenue(seller.sums);
        let data = json!({
            "week": self.week.to_string(), "from": self.week.monday(), "to": self.week.sunday(),
            "timezone": self.business.calendar.name(), "vendorId": vendor, "name": seller.name,
            "views": number("views", views), "orders": number("orders", orders), "units": number("units", units),
            "conversion": number("basis_points", conversion),
            "revenue": revenue.iter().map(Revenue::json).collect::<Vec<_>>(),
            "rating": seller.rating.map(|rating| json!({
                "average": rating.average, "unit": "stars_times_100", "ratings": rating.ratings,
            })),
            "link": self.links.seller(&vendor, &format!("?from={}&to={}", self.week.monday(), self.week.sunday())),
        });
        let text = self.text(seller.name.unwrap_or(&vendor), views, orders, &revenue);
        Some((vendor, body("seller.week", self.end, &text, &data)))
    }

    fn revenue(&self, rows: &[WeekSums]) -> Vec<Revenue> {
        let currencies = rows.chunk_by(|a, b| a.currency == b.currency);
        let revenue = |rows: &[WeekSums]| {
            let of = |is_earlier| {
                let row = rows.iter().find(|row| row.is_earlier == is_earlier);
                row.and_then(|row| row.revenue).map_or(Some(0), sums::known)
            };
            let code = rows.first()?.currency.as_str();
            let currency = if code.is_empty() { self.business.base_currency } else { Currency::parse(code)? };
            Some(Revenue { currency, amounts: (of(false), of(true)) })
        };
        currencies.filter_map(revenue).collect()
    }

    fn text(&self, name: &str, views: Compared, orders: Compared, revenue: &[Revenue]) -> String {
        let count = |what: &str, compared: Compared| {
            let value = compared.0.map_or_else(|| "too many".to_owned(), |value| value.to_string());
            format!("{value} {what}{}", changed(compared))
        };
        let amounts = revenue.iter().map(|Revenue { currency, amounts }| {
            let value = amounts.0.map_or_else(|| "too much".to_owned(), |value| decimal(value, *currency));
            format!("{} {value}{}", currency.code(), changed(*amounts))
        });
        let parts: Vec<String> = [count("views", views), count("orders", orders)].into_iter().chain(amounts).collect();
        format!("{name}, week {}: {}", self.week, parts.join(", "))
    }
}

/// A number of the week, and of the week before. `None`: past the range of a sum, or a rate of nothing.
type Compared = (Option<i64>, Option<i64>);

/// What was sold in one currency, in minor units.
struct Revenue {
    currency: Currency,
    amounts: Compared,
}

impl Revenue {
    fn json(&self) -> Value {
        let Self { currency, amounts } = self;
        let mut revenue = number("minor_units", *amounts);
        if let Some(fields) = revenue.as_object_mut() {
            fields.insert("currency".to_owned(), json!(currency.code()));
            fields.insert("amount".to_owned(), json!(amounts.0.map(|value| decimal(value, *currency))));
        }
        revenue
    }
}

fn number(unit: &str, (value, previous): Compared) -> Value {
    json!({ "value": value, "previous": previous, "change": change(value, previous), "unit": unit })
}

/// The change in whole percent, if there is one.
fn changed((value, previous): Compared) -> String {
    change(value, previous).map_or_else(String::new, |change| format!(" ({:+} %)", (change + 50).div_euclid(100)))
}

/// Minor units as people write them: 1234 of USD is 12.34.
fn decimal(minor: i64, currency: Currency) -> String {
    let digits = usize::try_from(currency.minor_digits()).unwrap_or(0);
    if digits == 0 {
        return minor.to_string();
    }
    let sign = if minor < 0 { "-" } else { "" };
    let padded = format!("{:0>width$}", minor.unsigned_abs(), width = digits + 1);
    let (whole, part) = padded.split_at(padded.len() - digits);
    format!("{sign}{whole}.{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_changes_are_written_as_people_write_them() {
        for (minor, currency, text) in [
            (1_234, "USD", "12.34"),
            (5, "USD", "0.05"),
            (-5, "USD", "-0.05"),
            (0, "USD", "0.00"),
            (1_234, "JPY", "1234"),
            (1_234, "KWD", "1.234"),
            (i64::MIN, "JPY", "-9223372036854775808"),
        ] {
            assert_eq!(decimal(minor, Currency::parse(currency).unwrap()), text);
        }
        for (value, previous, text) in [(3, 2, " (+50 %)"), (1, 3, " (-67 %)"), (2, 2, " (+0 %)"), (2, 0, "")] {
            assert_eq!(changed((Some(value), Some(previous))), text);
        }
    }
}
