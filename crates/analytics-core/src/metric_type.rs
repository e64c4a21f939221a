//! The catalogue of metrics, and the one place where a metric's type is written and read.
//!
//! A type is `name`, `name:subject` or, for money in other than the base currency,
//! `name:subject:CUR`; a subject's `%` and `:` are percent-encoded, so the parts never mix.

use std::fmt;

use chrono::{Datelike, NaiveDate};

use crate::ids::{Encoded, InvalidId, ProductId, VendorId, decode_encoded};
use crate::money::Currency;

/// Every metric that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the catalogue below says what each is")]
pub enum Metric {
    ProductViews,
    SellerViews,
    TotalViews,
    DailySignups,
    TotalSignups,
    TotalOrders,
    SellerOrders,
    ProductUnits,
    SellerUnits,
    TotalUnits,
    SellerRevenue,
    ProductRevenue,
    UnattributedRevenue,
    TotalRevenue,
    ConversionRate,
    ProductRating,
    SellerRating,
}

/// What a metric is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// The whole marketplace.
    Marketplace,
    /// One product.
    Product,
    /// One seller.
    Vendor,
    /// One business day.
    Day,
}

/// What a value is measured in, and with that how it comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Page views, counted.
    Views,
    /// New accounts, counted.
    Users,
    /// Orders, counted once per order and vendor.
    Orders,
    /// Units of order lines, summed.
    Units,
    /// Minor units of a currency, summed.
    MinorUnits,
    /// A ratio in hundredths of a percent.
    BasisPoints,
    /// An average of stars, times 100.
    HundredthsOfStars,
}

impl Unit {
    /// The unit's name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Views => "views",
            Self::Users => "users",
            Self::Orders => "orders",
            Self::Units => "units",
            Self::MinorUnits => "minor_units",
            Self::BasisPoints => "basis_points",
            Self::HundredthsOfStars => "stars_x100",
        }
    }

    /// Whether values are plain sums, which have rollups; ratios and averages have components.
    #[must_use]
    pub const fn is_counter(self) -> bool {
        !matches!(self, Self::BasisPoints | Self::HundredthsOfStars)
    }
}

use Metric as M;
use SubjectKind as S;

/// The catalogue: a line for each metric, with its name, its subject and its unit.
pub const CATALOGUE: [(Metric, &str, SubjectKind, Unit); 17] = [
    (M::ProductViews, "product_views", S::Product, Unit::Views),
    (M::SellerViews, "seller_views", S::Vendor, Unit::Views),
    (M::TotalViews, "total_views", S::Marketplace, Unit::Views),
    (M::DailySignups, "daily_signups", S::Day, Unit::Users),
    (M::TotalSignups, "total_signups", S::Marketplace, Unit::Users),
    (M::TotalOrders, "total_orders", S::Marketplace, Unit::Orders),
    (M::SellerOrders, "seller_orders", S::Vendor, Unit::Orders),
    (M::ProductUnits, "product_units", S::Product, Unit::Units),
    (M::SellerUnits, "seller_units", S::Vendor, Unit::Units),
    (M::TotalUnits, "total_units", S::Marketplace, Unit::Units),
    (M::SellerRevenue, "seller_revenue", S::Vendor, Unit::MinorUnits),
    (M::ProductRevenue, "product_revenue", S::Product, Unit::MinorUnits),
    (M::UnattributedRevenue, "unattributed_revenue", S::Marketplace, Unit::MinorUnits),
    (M::TotalRevenue, "total_revenue", S::Marketplace, Unit::MinorUnits),
    (M::ConversionRate, "conversion_rate", S::Vendor, Unit::BasisPoints),
    (M::ProductRating, "product_rating", S::Product, Unit::HundredthsOfStars),
    (M::SellerRating, "seller_rating", S::Vendor, Unit::HundredthsOfStars),
];

impl Metric {
    fn entry(self) -> (&'static str, SubjectKind, Unit) {
        let (_, name, subject, unit) = CATALOGUE.into_iter().find(|(metric, ..)| *metric == self).unwrap_or((
            self,
            "",
            S::Marketplace,
            Unit::Views,
        ));
        (name, subject, unit)
    }

    /// The name before the first `:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// What it is counted for.
    #[must_use]
    pub fn subject(self) -> SubjectKind {
        self.entry().1
    }

    /// The metric of a name, if the catalogue has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        CATALOGUE.into_iter().find(|(_, known, ..)| *known == name).map(|(metric, ..)| metric)
    }

    /// Whether its value follows from other metrics: rates, averages, and totals over sellers. A
    /// derived metric cannot be set by hand.
    #[must_use]
    pub fn is_derived(self) -> bool {
        !self.unit().is_counter()
            || matches!(self, Self::TotalViews | Self::TotalOrders | Self::TotalUnits | Self::TotalRevenue)
    }

    /// What its values are measured in.
    #[must_use]
    pub fn unit(self) -> Unit {
        self.entry().2
    }
}

/// Whom or what one metric is about.
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
    /// Which metric.
    pub metric: Metric,
    /// Of whom.
    pub subject: Subject,
    /// For money: the currency, unless it is the base currency.
    pub foreign_currency: Option<Currency>,
}

/// Why a text is no metric type of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidType {
    /// The name is not in the catalogue.
    #[error("there is no metric {0:?}")]
    UnknownMetric(String),
    /// The subject is missing, superfluous, or no id.
    #[error("{0}")]
    Subject(String),
    /// The last part is no currency, or the metric is no money.
    #[error("{0}")]
    Currency(String),
}

impl MetricType {
    /// A type without a foreign currency.
    #[must_use]
    pub const fn new(metric: Metric, subject: Subject) -> Self {
        Self { metric, subject, foreign_currency: None }
    }

    /// The seller that it is about, if it is about one.
    #[must_use]
    pub const fn vendor(&self) -> Option<&VendorId> {
        match &self.subject {
            Subject::Vendor(vendor) => Some(vendor),
            _ => None,
        }
    }

    /// Reads a type. `today` completes a bare `daily_signups`; a currency at the end that is the
    /// base currency means the same as none.
    ///
    /// # Errors
    /// [`InvalidType`] naming the part that is wrong.
    pub fn parse(text: &str, today: NaiveDate, base: Currency) -> Result<Self, InvalidType> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let (metric, _, kind, unit) = CATALOGUE
            .into_iter()
            .find(|(_, known, ..)| *known == name)
            .ok_or_else(|| InvalidType::UnknownMetric(name.to_owned()))?;
        let subject = match kind {
            S::Marketplace => Subject::Marketplace,
            S::Product => Subject::Product(id(name, "product", parts.next(), ProductId::parse)?),
            S::Vendor => Subject::Vendor(id(name, "vendor", parts.next(), VendorId::parse)?),
            S::Day => Subject::Day(day(name, parts.next(), today)?),
        };
        let foreign_currency = match parts.next() {
            None => None,
            Some(_) if unit != Unit::MinorUnits => {
                return Err(InvalidType::Currency(format!("{name} is no money and takes no currency")));
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
    let part = part.ok_or_else(|| wrong("it has none".into()))?;
    let plain = decode_encoded(part).ok_or_else(|| wrong("a '%' in an id is written %25".into()))?;
    parse(&plain).map_err(|error| wrong(format!("the id {error}")))
}

fn day(name: &str, part: Option<&str>, today: NaiveDate) -> Result<NaiveDate, InvalidType> {
    let Some(part) = part else { return Ok(today) };
    // No event has another day: times are from 2000 on, and in some zone that is still 1999.
    let possible = |date: &NaiveDate| (1999..=9999).contains(&date.year()) && date.to_string() == part;
    let date = NaiveDate::parse_from_str(part, "%Y-%m-%d").ok().filter(possible);
    date.ok_or_else(|| InvalidType::Subject(format!("{name} needs a day, as in {name}:{today}")))
}

fn currency(code: &str) -> Result<Currency, InvalidType> {
    Currency::parse(code)
        .filter(|currency| currency.code() == code)
        .ok_or_else(|| InvalidType::Currency(format!("{code:?} is no currency code of ISO 4217")))
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
    fn everything_else_says_what_is_wrong() {
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
        for (_, name, ..) in CATALOGUE {
            assert!(format!("{name}:{id}:USD").chars().count() <= 100, "{name}");
        }
    }
}
