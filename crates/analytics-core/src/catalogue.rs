//! The catalogue: the tables of measures, and of metrics that are derived from them.
//!
//! Rules count *measures* for the parts of an event. A *metric* is what clients query: a measure in
//! one scope, a ratio of two measures, or an average. The scopes in which a measure is kept follow
//! from the metrics that use it, and so do the columns and rows of the rollups.

use crate::table::table;

/// The unit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Page views, counted.
    Views,
    /// New accounts, counted.
    Users,
    /// Orders, counted.
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
    /// Returns the unit's name in the API.
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
}

/// The kinds of scopes in which a measure is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeKind {
    /// The whole marketplace.
    Total,
    /// What belongs to no seller.
    Unattributed,
    /// One seller.
    Seller,
    /// One product.
    Product,
}

/// How the value of a metric is calculated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definition {
    /// The sum of a measure over all time.
    Counter {
        /// The measure.
        measure: Measure,
        /// The scope.
        scope: ScopeKind,
    },
    /// The sum of a measure over one business day of the whole marketplace.
    Daily {
        /// The measure.
        measure: Measure,
    },
    /// One measure divided by another in the same scope, rounded half up; `None` if the denominator
    /// is 0.
    Ratio {
        /// The dividend.
        numerator: Measure,
        /// The divisor.
        denominator: Measure,
        /// The scope of both measures.
        scope: ScopeKind,
        /// The factor by which the quotient is multiplied.
        scale: i64,
        /// The unit of the result.
        unit: Unit,
    },
    /// One measure less another one in the same scope, in each currency.
    Difference {
        /// What is left of it.
        minuend: Measure,
        /// What is subtracted.
        subtrahend: Measure,
        /// The scope of both measures.
        scope: ScopeKind,
    },
    /// The average of each user's latest rating.
    AverageRating {
        /// What the ratings are about.
        scope: ScopeKind,
    },
}

/// What a metric type names after the name of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// Nothing: the metric is about the whole marketplace.
    Marketplace,
    /// One product.
    Product,
    /// One seller.
    Vendor,
    /// One business day.
    Day,
}

table! {
    /// What rules count. Each entry gives the measure's own column in the rollups, and its unit.
    pub enum Measure: (&'static str, Unit) {
        /// Page views.
        Views = ("views", Unit::Views);
        /// New accounts.
        Signups = ("signups", Unit::Users);
        /// Orders: each is counted once in every scope that one of its parts belongs to.
        Orders = ("orders", Unit::Orders);
        /// Units ordered.
        Units = ("units", Unit::Units);
        /// Gross revenue as booked, in minor units, kept separately for each currency.
        Revenue = ("revenue", Unit::MinorUnits);
        /// What cancellations and refunds took back of revenue, on their own day.
        Refunds = ("refunds", Unit::MinorUnits);
        /// Units that were taken back.
        RefundedUnits = ("refunded_units", Unit::Units);
        /// Orders that were cancelled as a whole.
        CancelledOrders = ("cancelled_orders", Unit::Orders);
        /// What refunds said beyond what was left of their orders: part of neither refunds nor net revenue.
        ExcessRefunds = ("excess_refunds", Unit::MinorUnits);
    }
}

table! {
    /// What clients can query. Each entry gives the name, which is the first part of the metric's
    /// types, and the definition.
    #[expect(missing_docs, reason = "the names and definitions are self-explanatory")]
    pub enum Metric: (&'static str, Definition) {
        ProductViews = ("product_views", counter(Measure::Views, ScopeKind::Product));
        SellerViews = ("seller_views", counter(Measure::Views, ScopeKind::Seller));
        TotalViews = ("total_views", counter(Measure::Views, ScopeKind::Total));
        DailySignups = ("daily_signups", Definition::Daily { measure: Measure::Signups });
        TotalSignups = ("total_signups", counter(Measure::Signups, ScopeKind::Total));
        TotalOrders = ("total_orders", counter(Measure::Orders, ScopeKind::Total));
        SellerOrders = ("seller_orders", counter(Measure::Orders, ScopeKind::Seller));
        ProductOrders = ("product_orders", counter(Measure::Orders, ScopeKind::Product));
        ProductUnits = ("product_units", counter(Measure::Units, ScopeKind::Product));
        SellerUnits = ("seller_units", counter(Measure::Units, ScopeKind::Seller));
        TotalUnits = ("total_units", counter(Measure::Units, ScopeKind::Total));
        SellerRevenue = ("seller_revenue", counter(Measure::Revenue, ScopeKind::Seller));
        ProductRevenue = ("product_revenue", counter(Measure::Revenue, ScopeKind::Product));
        UnattributedRevenue = ("unattributed_revenue", counter(Measure::Revenue, ScopeKind::Unattributed));
        TotalRevenue = ("total_revenue", counter(Measure::Revenue, ScopeKind::Total));
        SellerRefunds = ("seller_refunds", counter(Measure::Refunds, ScopeKind::Seller));
        ProductRefunds = ("product_refunds", counter(Measure::Refunds, ScopeKind::Product));
        UnattributedRefunds = ("unattributed_refunds", counter(Measure::Refunds, ScopeKind::Unattributed));
        TotalRefunds = ("total_refunds", counter(Measure::Refunds, ScopeKind::Total));
        RefundedUnits = ("refunded_units", counter(Measure::RefundedUnits, ScopeKind::Total));
        CancelledOrders = ("cancelled_orders", counter(Measure::CancelledOrders, ScopeKind::Total));
        ExcessRefunds = ("excess_refunds", counter(Measure::ExcessRefunds, ScopeKind::Total));
        SellerNetRevenue = ("seller_net_revenue", net(ScopeKind::Seller));
        TotalNetRevenue = ("total_net_revenue", net(ScopeKind::Total));
        RefundRate = ("refund_rate", rate(Measure::Refunds, Measure::Revenue, ScopeKind::Seller));
        ConversionRate = ("conversion_rate", rate(Measure::Orders, Measure::Views, ScopeKind::Seller));
        ProductRating = ("product_rating", Definition::AverageRating { scope: ScopeKind::Product });
        SellerRating = ("seller_rating", Definition::AverageRating { scope: ScopeKind::Seller });
    }
}

const fn counter(measure: Measure, scope: ScopeKind) -> Definition {
    Definition::Counter { measure, scope }
}

/// What refunds left of revenue.
const fn net(scope: ScopeKind) -> Definition {
    Definition::Difference { minuend: Measure::Revenue, subtrahend: Measure::Refunds, scope }
}

/// A ratio in basis points.
const fn rate(numerator: Measure, denominator: Measure, scope: ScopeKind) -> Definition {
    Definition::Ratio { numerator, denominator, scope, scale: 10_000, unit: Unit::BasisPoints }
}

/// For each measure and kind of scope, whether a metric uses the measure in that scope.
const KEPT: [[bool; SCOPES]; Measure::ALL.len()] = kept();
const SCOPES: usize = 4;

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where a bad index is an error")]
const fn kept() -> [[bool; SCOPES]; Measure::ALL.len()] {
    let mut kept = [[false; SCOPES]; Measure::ALL.len()];
    let mut next = 0;
    while next < Metric::ALL.len() {
        match Metric::ALL[next].definition() {
            Definition::Counter { measure, scope } => kept[measure as usize][scope as usize] = true,
            Definition::Daily { measure } => kept[measure as usize][ScopeKind::Total as usize] = true,
            Definition::Ratio { numerator, denominator, scope, .. } => {
                kept[numerator as usize][scope as usize] = true;
                kept[denominator as usize][scope as usize] = true;
            }
            Definition::Difference { minuend, subtrahend, scope } => {
                kept[minuend as usize][scope as usize] = true;
                kept[subtrahend as usize][scope as usize] = true;
            }
            Definition::AverageRating { .. } => {}
        }
        next += 1;
    }
    kept
}

impl Measure {
    /// Returns its column in the rollups.
    #[must_use]
    pub const fn column(self) -> &'static str {
        self.line().0
    }

    /// Returns the unit that it is measured in.
    #[must_use]
    pub const fn unit(self) -> Unit {
        self.line().1
    }

    /// Whether it is an amount of money, which is kept separately for each currency.
    #[must_use]
    pub const fn is_money(self) -> bool {
        matches!(self.unit(), Unit::MinorUnits)
    }

    /// Whether a metric uses its sums in this kind of scope.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the table has a row for each measure and a column for each scope")]
    pub const fn is_kept_for(self, scope: ScopeKind) -> bool {
        KEPT[self as usize][scope as usize]
    }

    /// Returns the metric that is the counter of this measure in a scope, if there is one.
    #[must_use]
    pub fn counter(self, scope: ScopeKind) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.definition() == counter(self, scope))
    }
}

impl Metric {
    /// Returns the name, which comes before the first `:` of its types.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.line().0
    }

    /// Returns how its value is calculated.
    #[must_use]
    pub const fn definition(self) -> Definition {
        self.line().1
    }

    /// Returns the metric of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Returns the unit of its values.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self.definition() {
            Definition::Counter { measure, .. } | Definition::Daily { measure } => measure.unit(),
            Definition::Ratio { unit, .. } => unit,
            Definition::Difference { minuend, .. } => minuend.unit(),
            Definition::AverageRating { .. } => Unit::HundredthsOfStars,
        }
    }

    /// Whether its values are amounts of money, each in one currency.
    #[must_use]
    pub const fn is_money(self) -> bool {
        matches!(self.unit(), Unit::MinorUnits)
    }

    /// Whether it has a value for each currency: an amount of money, or a ratio of two.
    #[must_use]
    pub const fn has_currency(self) -> bool {
        match self.definition() {
            Definition::Ratio { numerator, .. } => numerator.is_money(),
            _ => self.is_money(),
        }
    }

    /// Returns what its types name after the name of the metric.
    #[must_use]
    pub const fn subject(self) -> SubjectKind {
        match self.definition() {
            Definition::Daily { .. } => SubjectKind::Day,
            Definition::Counter { scope, .. }
            | Definition::Ratio { scope, .. }
            | Definition::Difference { scope, .. }
            | Definition::AverageRating { scope } => match scope {
                ScopeKind::Total | ScopeKind::Unattributed => SubjectKind::Marketplace,
                ScopeKind::Seller => SubjectKind::Vendor,
                ScopeKind::Product => SubjectKind::Product,
            },
        }
    }

    /// Whether its values are plain sums; ratios and averages are calculated from components.
    #[must_use]
    pub const fn is_counter(self) -> bool {
        matches!(
            self.definition(),
            Definition::Counter { .. } | Definition::Daily { .. } | Definition::Difference { .. }
        )
    }

    /// Whether it is the average of current ratings.
    #[must_use]
    pub const fn is_average(self) -> bool {
        matches!(self.definition(), Definition::AverageRating { .. })
    }

    /// Whether its value follows from other metrics: a ratio, an average, or a total over sellers.
    /// A derived metric cannot be set by hand.
    #[must_use]
    pub fn is_derived(self) -> bool {
        match self.definition() {
            Definition::Counter { measure, scope: ScopeKind::Total } => measure.counter(ScopeKind::Seller).is_some(),
            Definition::Counter { .. } | Definition::Daily { .. } => false,
            Definition::Ratio { .. } | Definition::Difference { .. } | Definition::AverageRating { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_measures_share_a_column_and_no_two_metrics_a_name() {
        let columns: BTreeSet<_> = Measure::ALL.into_iter().map(Measure::column).collect();
        assert_eq!(columns.len(), Measure::ALL.len());
        let names: BTreeSet<_> = Metric::ALL.into_iter().map(Metric::name).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }

    /// Checks what the rollups, the proofs and the metric types rely on.
    #[test]
    fn definitions_fit_each_other() {
        let mut counters = BTreeSet::new();
        for metric in Metric::ALL {
            match metric.definition() {
                Definition::Counter { measure, scope } => {
                    assert!(counters.insert((measure, scope)), "{metric:?} is counted twice");
                }
                Definition::Daily { measure } => {
                    assert!(measure.counter(ScopeKind::Total).is_some(), "the days of {metric:?} have no total");
                }
                Definition::Ratio { numerator: one, denominator: other, scope, .. }
                | Definition::Difference { minuend: one, subtrahend: other, scope } => {
                    for measure in [one, other] {
                        assert!(measure.counter(scope).is_some(), "{metric:?} cannot be counted again");
                    }
                    assert_eq!(one.is_money(), other.is_money(), "{metric:?} would be of several currencies");
                }
                Definition::AverageRating { .. } => {}
            }
        }
    }

    #[test]
    fn derived_metrics_are_those_that_cannot_be_set_by_hand() {
        let derived: Vec<_> = Metric::ALL.into_iter().filter(|metric| metric.is_derived()).map(Metric::name).collect();
        assert_eq!(
            derived,
            [
                "total_views",
                "total_orders",
                "total_units",
                "total_revenue",
                "total_refunds",
                "seller_net_revenue",
                "total_net_revenue",
                "refund_rate",
                "conversion_rate",
                "product_rating",
                "seller_rating"
            ]
        );
    }
}
