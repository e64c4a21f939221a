//! Metric types: the only place where they are written and parsed.
//!
//! A type is `name` or `name:subject`, with `:CUR` at the end for money in a currency other than
//! the base currency. `%` and `:` in a subject are percent-encoded, so that the parts can always be
//! told apart.

use std::fmt;

use chrono::{Datelike, NaiveDate};

use crate::catalogue::{Metric, SubjectKind};
use crate::ids::{Encoded, InvalidId, ProductId, VendorId, decode_encoded};
use crate::money::Currency;

/// What a metric is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The whole marketplace.
    Marketplace,
    /// One product.
    Product(ProductId),
    /// One seller.
    Vendor(VendorId),
    /// One business day.
    Day(NaiveDate),
}

/// The type of one metric row, such as `seller_revenue:v-1:EUR`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricType {
    /// The metric.
    pub metric: Metric,
    /// What it is about.
    pub subject: Subject,
    /// The currency of an amount of money, unless it is the base currency.
    pub foreign_currency: Option<Currency>,
}

/// The reason why a text is not a metric type of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidType {
    /// The name is not in the catalogue.
    #[error("there is no metric {0:?}")]
    UnknownMetric(String),
    /// The subject is missing or not valid, or there are too many parts.
    #[error("{0}")]
    Subject(String),
    /// The last part is not a currency, or the metric is not an amount of money.
    #[error("{0}")]
    Currency(String),
}

impl MetricType {
    /// Creates a type without a foreign currency.
    #[must_use]
    pub const fn new(metric: Metric, subject: Subject) -> Self {
        Self { metric, subject, foreign_currency: None }
    }

    /// Returns the seller that the metric is about, if it is about one.
    #[must_use]
    pub const fn vendor(&self) -> Option<&VendorId> {
        match &self.subject {
            Subject::Vendor(vendor) => Some(vendor),
            _ => None,
        }
    }

    /// Parses a type. `today` is the day of a `daily_signups` that names none. The base
    /// currency at the end means the same as no currency.
    ///
    /// # Errors
    /// [`InvalidType`] naming the part that is wrong.
    pub fn parse(text: &str, today: NaiveDate, base: Currency) -> Result<Self, InvalidType> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let metric = Metric::named(name).ok_or_else(|| InvalidType::UnknownMetric(name.to_owned()))?;
        let subject = match metric.subject() {
            SubjectKind::Marketplace => Subject::Marketplace,
            SubjectKind::Product => Subject::Product(id(name, "product", parts.next(), ProductId::parse)?),
            SubjectKind::Vendor => Subject::Vendor(id(name, "vendor", parts.next(), VendorId::parse)?),
            SubjectKind::Day => Subject::Day(day(name, parts.next(), today)?),
        };
        let foreign_currency = match parts.next() {
            None => None,
            Some(_) if !metric.has_currency() => {
                return Err(InvalidType::Currency(format!("{name} is not an amount of money and takes no currency")));
            }
            Some(code) => Some(currency(code)?).filter(|currency| *currency != base),
        };
        match parts.next() {
            None => Ok(Self { metric, subject, foreign_currency }),
            Some(_) => Err(InvalidType::Subject(format!("{text:?} has too many parts; a ':' in an id is written %3A"))),
        }
    }
}

fn id<T>(
    name: &str,
    what: &str,
    part: Option<&str>,
    parse: impl Fn(&str) -> Result<T, InvalidId>,
) -> Result<T, InvalidType> {
    let wrong = |why: String| InvalidType::Subject(format!("{name} needs a {what} id, as in {name}:<id>; {why}"));
    let part = part.ok_or_else(|| wrong("the id is missing".into()))?;
    let plain = decode_encoded(part).ok_or_else(|| wrong("a '%' in an id is written %25".into()))?;
    parse(&plain).map_err(|error| wrong(format!("the id {error}")))
}

fn day(name: &str, part: Option<&str>, today: NaiveDate) -> Result<NaiveDate, InvalidType> {
    let Some(part) = part else { return Ok(today) };
    // No event has another day: event times are in 2000 (UTC) or later, which includes 1999-12-31
    // in some timezones.
    let possible = |date: &NaiveDate| (1999..=9999).contains(&date.year()) && date.to_string() == part;
    let date = NaiveDate::parse_from_str(part, "%Y-%m-%d").ok().filter(possible);
    date.ok_or_else(|| InvalidType::Subject(format!("{name} needs a day, as in {name}:{today}")))
}

fn currency(code: &str) -> Result<Currency, InvalidType> {
    Currency::parse(code)
        .filter(|currency| currency.code() == code)
        .ok_or_else(|| InvalidType::Currency(format!("{code:?} is not an ISO 4217 currency code")))
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marketplace => Ok(()),
            Self::Product(id) => Encoded(id.as_str()).fmt(f),
            Self::Vendor(id) => Encoded(id.as_str()).fmt(f),
            Self::Day(day) => day.fmt(f),
        }
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric.name())?;
        if self.subject != Subject::Marketplace {
            write!(f, ":{}", self.subject)?;
        }
        match self.foreign_currency {
            Some(currency) => write!(f, ":{currency}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<MetricType, InvalidType> {
        let today = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
        MetricType::parse(text, today, Currency::parse("USD").unwrap())
    }

    #[test]
    fn every_type_of_the_catalogue_reads_back_as_it_is_written() {
        for text in [
            "product_views:123",
            "product_views:gid%3A//shop/Product/9",
            "seller_views:50%25off",
            "total_views",
            "daily_signups:2026-10-29",
            "total_signups",
            "total_orders",
            "seller_orders:urn%3Aseller%3A7",
            "product_units:p-1",
            "seller_units:v-1",
            "total_units",
            "seller_revenue:v-1",
            "seller_revenue:v-1:EUR",
            "product_revenue:p-1:JPY",
            "unattributed_revenue",
            "unattributed_revenue:KWD",
            "total_revenue:EUR",
            "conversion_rate:v-1",
            "product_rating:p-1",
            "seller_rating:v-1",
        ] {
            assert_eq!(parse(text).map(|t| t.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn shorthands_are_completed() {
        assert_eq!(parse("daily_signups").unwrap().to_string(), "daily_signups:2026-11-22");
        assert_eq!(parse("seller_revenue:v-1:USD").unwrap().to_string(), "seller_revenue:v-1");
    }

    #[test]
    fn everything_else_is_an_error() {
        for text in [
            "",
            "views",
            "Total_views",
            "product_views",
            "product_views:",
            "product_views:a:b",
            "seller_views:50%off",
            "daily_signups:2026-1-1",
            "daily_signups:soon",
            "daily_signups:1998-12-31",
            "daily_signups:+10000-01-01",
            "daily_signups:+262142-12-31",
            "daily_signups:-262143-01-01",
            "seller_revenue:v-1:eur",
            "seller_revenue:v-1:XYZ",
            "total_views:EUR",
            "seller_revenue:v-1:EUR:x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_longest_type_fits_its_column() {
        let id = "x".repeat(crate::ids::MAX_ENCODED_CHARS);
        for metric in Metric::ALL {
            let name = metric.name();
            assert!(format!("{name}:{id}:USD").chars().count() <= 100, "{name}");
        }
    }
}
