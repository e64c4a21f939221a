//! Products and sellers in the order of what was counted for them in a range of business days.

use std::collections::HashMap;

use analytics_core::calendar::Calendar;
use analytics_core::catalogue::{Definition, Measure, Metric, ScopeKind};
use analytics_core::ids::{ProductId, VendorId, decode_encoded};
use analytics_core::money::Currency;
use analytics_core::period::{Interval, Span};
use analytics_core::ratios::Fraction;
use chrono::Weekday;

use super::AsOf;
use crate::sql::{row, statement};
use crate::tables::rollups;
use crate::{Connection, DbError};

/// What is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ranked {
    /// Products.
    Products,
    /// Sellers.
    Sellers,
}

/// What decides the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// Page views.
    Views,
    /// Orders, each once for each product or seller in it.
    Orders,
    /// Units ordered.
    Units,
    /// Revenue in one currency.
    Revenue,
    /// The Bayesian mean of all current ratings: that of ten more ratings of the average number of
    /// stars, so that one rating of five stars does not lead.
    Rating,
    /// Orders divided by views.
    Conversion,
}

impl By {
    /// Everything that decides ranks, by its name in the API.
    pub const ALL: [(&'static str, Self); 6] = [
        ("views", Self::Views),
        ("orders", Self::Orders),
        ("units", Self::Units),
        ("revenue", Self::Revenue),
        ("rating", Self::Rating),
        ("conversion", Self::Conversion),
    ];

    /// Whether it is an amount of money.
    #[must_use]
    pub const fn is_money(self) -> bool {
        matches!(self, Self::Revenue)
    }

    /// The measures that it is made of.
    const fn measures(self) -> Option<[Measure; 2]> {
        match self {
            Self::Views => Some([Measure::Views, Measure::Views]),
            Self::Orders => Some([Measure::Orders, Measure::Orders]),
            Self::Units => Some([Measure::Units, Measure::Units]),
            Self::Revenue => Some([Measure::Revenue, Measure::Revenue]),
            Self::Conversion => Some([Measure::Orders, Measure::Views]),
            Self::Rating => None,
        }
    }

    /// The value of the sums of its measures; `None` if it has no rank.
    fn value(self, [first, second]: [i64; 2]) -> Option<i64> {
        let value = match self {
            Self::Conversion => Fraction { numerator: first, denominator: second }.value(10_000)?,
            Self::Views | Self::Orders | Self::Units | Self::Revenue | Self::Rating => first,
        };
        Some(value).filter(|value| *value != 0)
    }
}

impl Ranked {
    const fn scope(self) -> ScopeKind {
        match self {
            Self::Products => ScopeKind::Product,
            Self::Sellers => ScopeKind::Seller,
        }
    }

    /// The metric of a subject whose events are those of its value, if there is one.
    #[must_use]
    pub fn metric(self, by: By) -> Option<Metric> {
        let counter = |measure: Measure| measure.counter(self.scope());
        match by {
            By::Views => counter(Measure::Views),
            By::Orders => counter(Measure::Orders),
            By::Units => counter(Measure::Units),
            By::Revenue => counter(Measure::Revenue),
            By::Rating => self.of(|definition| matches!(definition, Definition::AverageRating { .. })),
            By::Conversion => self.of(|definition| matches!(definition, Definition::Ratio { .. })),
        }
    }

    fn of(self, wanted: impl Fn(Definition) -> bool) -> Option<Metric> {
        let scope = |definition| match definition {
            Definition::Ratio { scope, .. } | Definition::AverageRating { scope } => Some(scope),
            Definition::Counter { .. } | Definition::Daily { .. } => None,
        };
        let is_own = |metric: &Metric| scope(metric.definition()) == Some(self.scope());
        Metric::ALL.into_iter().find(|metric| is_own(metric) && wanted(metric.definition()))
    }
}

/// One rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rank {
    /// The product's or the seller's id.
    pub id: String,
    /// Its value.
    pub value: i64,
    /// Its rank in the earlier range, from 1, and its value there.
    pub previous: Option<(usize, i64)>,
}

/// A ranking.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// The number of the last batch that it includes.
    pub as_of: i64,
    /// The ranks, the first one first; of equal values the lesser id comes first.
    pub ranks: Vec<Rank>,
}

/// What is ranked by what, and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// What is ranked.
    pub ranked: Ranked,
    /// By what.
    pub by: By,
    /// Of money: its currency, unless it is the base currency.
    pub foreign_currency: Option<Currency>,
    /// The start and the end of the business days.
    pub days: (i64, i64),
    /// The same of the earlier ones.
    pub previous: (i64, i64),
    /// Only products of this vendor.
    pub vendor: Option<String>,
}

impl Question {
    /// Whether only the numbers of one vendor's products have to be read. Ratings are compared with
    /// those of all products.
    #[must_use]
    pub fn is_of_one_vendor(&self) -> bool {
        self.vendor.is_some() && self.by.measures().is_some()
    }
}

/// Reads a ranking.
///
/// # Errors
/// [`DbError`].
pub fn ranking(connection: &mut Connection, question: &Question, calendar: Calendar) -> Result<Ranking, DbError> {
    let as_of = AsOf::latest(connection)?.number;
    let Some(measures) = question.by.measures() else {
        let ranks = ranked(ratings(connection, question.ranked)?);
        let rank = |(id, value)| Rank { id, value, previous: None };
        return Ok(Ranking { as_of, ranks: ranks.into_iter().map(rank).collect() });
    };
    let mut values = |days| sums(connection, question, measures, days, calendar);
    let (current, earlier) = (ranked(values(question.days)?), ranked(values(question.previous)?));
    let earlier: HashMap<String, (usize, i64)> =
        (1..).zip(earlier).map(|(rank, (id, value))| (id, (rank, value))).collect();
    let rank = |(id, value): (String, i64)| Rank { previous: earlier.get(&id).copied(), id, value };
    Ok(Ranking { as_of, ranks: current.into_iter().map(rank).collect() })
}

fn ranked(mut values: Vec<(String, i64)>) -> Vec<(String, i64)> {
    values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values
}

fn sums(
    connection: &mut Connection,
    question: &Question,
    measures: [Measure; 2],
    (from, to): (i64, i64),
    calendar: Calendar,
) -> Result<Vec<(String, i64)>, DbError> {
    let time = |seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    let days = Span { from: time(from), to: time(to) };
    let vendor = question.vendor.as_deref().map(VendorId::parse).transpose();
    let vendor = vendor.map_err(|why| DbError::Unusable(format!("the vendor {why}")))?;
    let rows = match vendor {
        Some(vendor) => {
            let starts: Vec<_> =
                Interval::Day.buckets(calendar, Weekday::Mon, days).iter().map(|day| day.from).collect();
            rollups::sums_by_product_of(connection, measures, &vendor, question.foreign_currency, &starts)?
        }
        None => {
            rollups::sums_by_subject(connection, measures, question.ranked.scope(), question.foreign_currency, days)?
        }
    };
    let decoded =
        |(subject, sums): (String, [i64; 2])| Some((id(question.ranked, &subject)?, question.by.value(sums)?));
    Ok(rows.into_iter().filter_map(decoded).collect())
}

/// The id that a subject encodes.
fn id(ranked: Ranked, subject: &str) -> Option<String> {
    let decoded = decode_encoded(subject)?;
    match ranked {
        Ranked::Products => ProductId::parse(&decoded).ok().map(|id| id.as_str().to_owned()),
        Ranked::Sellers => VendorId::parse(&decoded).ok().map(|id| id.as_str().to_owned()),
    }
}

/// How many ratings of the average number of stars are added to those of each subject.
const PRIOR: i128 = 10;

/// Returns the Bayesian means of current ratings, times 100.
fn ratings(connection: &mut Connection, ranked: Ranked) -> Result<Vec<(String, i64)>, DbError> {
    row! {
        struct Row {
            subject: String,
            sum: i64,
            count: i64,
        }
    }
    let Some(metric) = ranked.metric(By::Rating) else { return Ok(Vec::new()) };
    // Types sort by their bytes, and ';' follows ':'.
    let rows: Vec<Row> = statement(
        "SELECT substr(m.type, length($1) + 1) AS subject, m.numerator AS sum, m.denominator AS count FROM metrics m \
         WHERE m.type >= $1 AND m.type < $2 AND m.denominator > 0",
    )
    .value(format!("{}:", metric.name()))
    .value(format!("{};", metric.name()))
    .load(connection)?;
    let (stars, all) =
        rows.iter().fold((0_i128, 0_i128), |(sum, all), row| (sum + i128::from(row.sum), all + i128::from(row.count)));
    // (sum + 10 * stars / all) / (count + 10), rounded half up, in whole numbers.
    let mean = |row: &Row| {
        let numerator = (i128::from(row.sum) * all + PRIOR * stars) * 100;
        let denominator = (i128::from(row.count) + PRIOR) * all;
        i64::try_from((numerator * 2 + denominator).checked_div(denominator * 2)?).ok()
    };
    Ok(rows.iter().filter_map(|row| Some((id(ranked, &row.subject)?, mean(row)?))).collect())
}
