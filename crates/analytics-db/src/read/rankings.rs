//! Products and sellers in the order of what was counted for them in a range of business days.

use analytics_core::calendar::Calendar;
use analytics_core::catalogue::{Definition, Measure, Metric, ScopeKind};
use analytics_core::ids::{ProductId, VendorId, decode_encoded};
use analytics_core::maps::HashMap;
use analytics_core::money::Currency;
use analytics_core::period::{Interval, Span};
use analytics_core::ratios::Fraction;
use analytics_core::sums::difference;
use chrono::{DateTime, Utc, Weekday};

use super::AsOf;
use super::own_sales::Lines;
use crate::sql::{row, statement};
use crate::tables::product_vendors;
use crate::tables::rollups::{self, Sums};
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
    /// Gross revenue less refunds.
    NetRevenue,
    /// The Bayesian mean of all current ratings: that of ten more ratings of the average number of
    /// stars, so that one rating of five stars does not lead.
    Rating,
    /// Orders divided by views.
    Conversion,
}

impl By {
    /// Everything that decides ranks, by its name in the API.
    pub const ALL: [(&'static str, Self); 7] = [
        ("views", Self::Views),
        ("orders", Self::Orders),
        ("units", Self::Units),
        ("revenue", Self::Revenue),
        ("net_revenue", Self::NetRevenue),
        ("rating", Self::Rating),
        ("conversion", Self::Conversion),
    ];

    /// Whether it is an amount of money.
    #[must_use]
    pub const fn is_money(self) -> bool {
        matches!(self, Self::Revenue | Self::NetRevenue)
    }

    /// Whether it is counted from the lines of orders, each of which one seller sold.
    #[must_use]
    pub const fn is_sold(self) -> bool {
        matches!(self, Self::Orders | Self::Units | Self::Revenue | Self::NetRevenue)
    }

    /// The measures that it is made of.
    const fn measures(self) -> Option<[Measure; 2]> {
        match self {
            Self::Views => Some([Measure::Views, Measure::Views]),
            Self::Orders => Some([Measure::Orders, Measure::Orders]),
            Self::Units => Some([Measure::Units, Measure::Units]),
            Self::Revenue => Some([Measure::Revenue, Measure::Revenue]),
            Self::NetRevenue => Some([Measure::Revenue, Measure::Refunds]),
            Self::Conversion => Some([Measure::Orders, Measure::Views]),
            Self::Rating => None,
        }
    }

    /// The value of the sums of its measures; `None` if it has no rank.
    fn value(self, [first, second]: [i64; 2]) -> Option<i64> {
        let value = match self {
            Self::Conversion => Fraction { numerator: first, denominator: second }.value(10_000)?,
            Self::NetRevenue => difference(first, second),
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
            By::NetRevenue => self.of(|definition| matches!(definition, Definition::Difference { .. })),
            By::Rating => self.of(|definition| matches!(definition, Definition::AverageRating { .. })),
            By::Conversion => {
                self.of(|definition| matches!(definition, Definition::Ratio { numerator: Measure::Orders, .. }))
            }
        }
    }

    fn of(self, wanted: impl Fn(Definition) -> bool) -> Option<Metric> {
        let scope = |definition| match definition {
            Definition::Ratio { scope, .. }
            | Definition::Difference { scope, .. }
            | Definition::AverageRating { scope } => Some(scope),
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

/// What is ranked, and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// What is ranked.
    pub ranked: Ranked,
    /// The currency of revenue, unless it is the base currency.
    pub foreign_currency: Option<Currency>,
    /// The start and the end of the business days, in seconds.
    pub days: (i64, i64),
    /// The same of the earlier ones.
    pub previous: (i64, i64),
}

impl Question {
    /// What is ranked, without days.
    #[must_use]
    pub const fn of_all_time(ranked: Ranked) -> Self {
        Self { ranked, foreign_currency: None, days: (0, 0), previous: (0, 0) }
    }

    /// The range, and the part of the earlier one that is over when it begins.
    fn spans(&self) -> [Span; 2] {
        let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let [current, mut earlier] =
            [self.days, self.previous].map(|(from, to)| Span { from: time(from), to: time(to) });
        earlier.to = earlier.to.min(current.from).max(earlier.from);
        [current, earlier]
    }

    /// The starts of the days, and of the earlier ones.
    fn starts(&self, calendar: Calendar) -> [Vec<DateTime<Utc>>; 2] {
        let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let [days, mut earlier] = [self.days, self.previous].map(|(from, to)| {
            // A panel may be of hours: the days of which they are a part belong to its range as a whole.
            let from = calendar.day_start(calendar.day(time(from).into()));
            let days = Interval::Day.buckets(calendar, Weekday::Mon, Span { from, to: time(to) });
            days.iter().map(|day| day.from).collect::<Vec<_>>()
        });
        earlier.retain(|start| days.first().is_none_or(|first| start < first));
        [days, earlier]
    }
}

/// What was counted for every subject: all rankings of the same days are made of it.
#[derive(Debug)]
pub struct Counted {
    /// The number of the last batch that it includes.
    pub as_of: i64,
    /// The ids, each with the sums of the days and of the earlier ones.
    subjects: Vec<(String, [Sums; 2])>,
}

/// Reads what was counted.
///
/// # Errors
/// [`DbError`].
pub fn counted(connection: &mut Connection, question: &Question, calendar: Calendar) -> Result<Counted, DbError> {
    let Question { ranked, foreign_currency, .. } = *question;
    let as_of = AsOf::latest(connection)?.number;
    let [days, earlier] = question.starts(calendar);
    let sums = rollups::sums_by_subject(connection, ranked.scope(), foreign_currency, &days, &earlier)?;
    let subjects = sums.into_iter().filter_map(|(subject, sums)| Some((id(ranked, &subject)?, sums))).collect();
    Ok(Counted { as_of, subjects })
}

impl Counted {
    /// The ranking by a measure or by conversion; `None` by ratings, which belong to no days.
    #[must_use]
    pub fn ranking(&self, by: By) -> Option<Ranking> {
        let measures = by.measures()?;
        let values = |range: usize| {
            let value = move |(id, sums): &(String, [Sums; 2])| {
                let sums = sums.get(range)?;
                let [first, second] = measures.map(|measure| sums.get(measure as usize).copied().unwrap_or(0));
                Some((id.clone(), by.value([first, second])?))
            };
            self.subjects.iter().filter_map(value).collect::<Vec<_>>()
        };
        Some(compared(self.as_of, values(0), values(1)))
    }
}

/// Ranks the products of one vendor. With `own_sales`, orders, units and revenue are what this vendor sold of each product.
/// Everything else is that of the products that are known to belong to it, whoever sold them.
///
/// # Errors
/// [`DbError`].
pub fn of_vendor(
    connection: &mut Connection,
    question: &Question,
    by: By,
    vendor: &VendorId,
    own_sales: bool,
    calendar: Calendar,
) -> Result<Ranking, DbError> {
    let Some(measures) = by.measures() else {
        let mut ranking = by_ratings(connection, question.ranked)?;
        let own = product_vendors::products_of(connection, vendor.as_str())?;
        ranking.ranks.retain(|rank| own.contains(&rank.id));
        return Ok(ranking);
    };
    let as_of = AsOf::latest(connection)?;
    let lines = Lines { vendor, foreign_currency: question.foreign_currency, products: &[] };
    let sold = if own_sales { lines.sold(connection, &as_of, by, &question.spans())? } else { None };
    if let Some(sold) = sold {
        let values = |range: usize| {
            let value = |(id, values): (&String, &Vec<i64>)| Some((id.clone(), *values.get(range)?));
            sold.iter().filter_map(value).filter(|(_, value)| *value != 0).collect::<Vec<_>>()
        };
        return Ok(compared(as_of.number, values(0), values(1)));
    }
    let mut values = |starts: &[DateTime<Utc>]| {
        let sums = rollups::sums_by_product_of(connection, measures, vendor, question.foreign_currency, starts)?;
        let value = |(subject, sums): (String, [i64; 2])| Some((id(question.ranked, &subject)?, by.value(sums)?));
        Ok::<_, DbError>(sums.into_iter().filter_map(value).collect::<Vec<_>>())
    };
    let [days, earlier] = question.starts(calendar);
    let (current, earlier) = (values(&days)?, values(&earlier)?);
    Ok(compared(as_of.number, current, earlier))
}

/// Returns the revenue that a vendor made with some products in each of some ranges of time.
///
/// # Errors
/// [`DbError`].
pub fn revenue_of_products(
    connection: &mut Connection,
    vendor: &VendorId,
    foreign_currency: Option<Currency>,
    products: &[String],
    ranges: &[Span],
) -> Result<Vec<Vec<i64>>, DbError> {
    if products.is_empty() {
        return Ok(Vec::new());
    }
    let as_of = AsOf::latest(connection)?;
    let lines = Lines { vendor, foreign_currency, products };
    let mut sold = lines.sold(connection, &as_of, By::Revenue, ranges)?.unwrap_or_default();
    Ok(products.iter().map(|id| sold.remove(id).unwrap_or_else(|| vec![0; ranges.len()])).collect())
}

/// Ranks by the Bayesian means of all current ratings.
///
/// # Errors
/// [`DbError`].
pub fn by_ratings(connection: &mut Connection, of: Ranked) -> Result<Ranking, DbError> {
    let as_of = AsOf::latest(connection)?.number;
    let rank = |(id, value)| Rank { id, value, previous: None };
    Ok(Ranking { as_of, ranks: ranked(ratings(connection, of)?).into_iter().map(rank).collect() })
}

fn compared(as_of: i64, current: Vec<(String, i64)>, earlier: Vec<(String, i64)>) -> Ranking {
    let earlier: HashMap<String, (usize, i64)> =
        (1..).zip(ranked(earlier)).map(|(rank, (id, value))| (id, (rank, value))).collect();
    let rank = |(id, value): (String, i64)| Rank { previous: earlier.get(&id).copied(), id, value };
    Ranking { as_of, ranks: ranked(current).into_iter().map(rank).collect() }
}

fn ranked(mut values: Vec<(String, i64)>) -> Vec<(String, i64)> {
    values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values
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

#[cfg(test)]
mod tests {
    use super::*;
    use analytics_core::business::Business;

    #[test]
    fn a_day_without_midnight_is_in_one_range_only() {
        let calendar = Business::parse("USD", "Africa/Cairo").unwrap().calendar;
        let start = |day: &str| calendar.day_start(day.parse().unwrap());
        // On 24 April 2026 the clocks go from 00:00 to 01:00. A comparison keeps the local time, 01:00.
        let (first, hour) = (start("2026-04-24").timestamp(), 3_600);
        for later in [0, hour] {
            let previous = (start("2026-04-22").timestamp() + later, first + later);
            let days = (first, start("2026-04-26").timestamp());
            let question = Question { ranked: Ranked::Products, foreign_currency: None, days, previous };
            let [days, earlier] = question.starts(calendar);
            assert_eq!(days, ["2026-04-24", "2026-04-25"].map(start));
            assert_eq!(earlier, ["2026-04-22", "2026-04-23"].map(start), "{later}");
        }
    }
}
