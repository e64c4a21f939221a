//! The events that a number is made of, as answers show them.

use std::collections::BTreeMap;

use analytics_core::deltas::Rated;
use analytics_core::event::Line;
use analytics_core::money::Currency;
use analytics_core::ratios::{Fraction, Histogram};
use analytics_core::reversal::Entry;
use analytics_db::read::Tenant;
use analytics_db::read::explain::{Contribution, Delta};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An event that contributes to the metric.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Contribution)]
pub(crate) struct ContributionBody {
    event_id: Uuid,
    event_type: String,
    /// When the event happened.
    created_at: DateTime<Utc>,
    /// When the event was counted.
    ingested_at: DateTime<Utc>,
    delta: DeltaBody,
    /// The user that the event is about; only for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// The product of a view or a rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<String>,
    /// The vendor of a view or a rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor_id: Option<String>,
    /// The lines of an order that contribute to the metric.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineBody>,
    /// What a cancellation or a refund took back.
    #[serde(skip_serializing_if = "Option::is_none")]
    reversal: Option<ReversalBody>,
    /// The number of stars of a rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    stars: Option<u8>,
    /// The user's earlier rating that this one replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<ReplacedBody>,
    /// The reason for an adjustment by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Who made the adjustment; only for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
}

/// What an event added: to a sum, to the components of a rate, or to the components of an average.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Delta)]
pub(crate) enum DeltaBody {
    /// Added to the value.
    Counter(i64),
    /// Added to the numerator (orders) and the denominator (views).
    Rate { numerator: i64, denominator: i64 },
    /// Added to the number, the sum and the histogram of the ratings. A replaced rating is
    /// subtracted.
    Average { count: i64, sum: i64, histogram: HistogramBody },
}

/// Change of the number of ratings with each number of stars.
#[derive(Serialize, ToSchema)]
#[schema(as = HistogramDelta)]
pub(crate) struct HistogramBody {
    #[serde(rename = "1")]
    one: i64,
    #[serde(rename = "2")]
    two: i64,
    #[serde(rename = "3")]
    three: i64,
    #[serde(rename = "4")]
    four: i64,
    #[serde(rename = "5")]
    five: i64,
}

/// A line of an order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderLine)]
pub(crate) struct LineBody {
    product_id: Option<String>,
    vendor_id: Option<String>,
    /// Whether the line did not name its vendor, and `vendorId` is known from other events.
    vendor_learned: bool,
    quantity: u32,
    /// The amount, in minor units of the currency.
    amount: i64,
    /// The ISO 4217 code of the currency.
    currency: &'static str,
}

/// What a cancellation or a refund took back of its order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reversal)]
pub(crate) struct ReversalBody {
    /// The event of the order.
    order_event_id: Option<Uuid>,
    /// What was taken back of each line that contributes to the metric.
    lines: Vec<ReversedLineBody>,
    /// What it says beyond what was left of the order, by currency, in minor units; only for admins.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    excess: BTreeMap<&'static str, i64>,
}

/// What was taken back of a line of an order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReversedLine)]
pub(crate) struct ReversedLineBody {
    /// Its position in the order, from 1.
    line: i32,
    product_id: Option<String>,
    vendor_id: Option<String>,
    units: i64,
    /// The amount, in minor units of the currency.
    amount: i64,
    /// The ISO 4217 code of the currency.
    currency: Option<&'static str>,
}

/// A rating that another rating of the same user replaced.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplacedRating)]
pub(crate) struct ReplacedBody {
    event_id: Uuid,
    stars: u8,
    created_at: DateTime<Utc>,
}

pub(super) fn body(contribution: Contribution, tenant: &Tenant) -> ContributionBody {
    let Contribution { event, ingested_at, delta, lines, replaced, said, reversed } = contribution;
    let (product, vendor) = event.content.about();
    let (product, vendor) = (product.map(ToString::to_string), vendor.map(ToString::to_string));
    let stars = event.content.rating().map(|rating| rating.stars.get());
    let said = said.map(|said| said.to_value()).unwrap_or_default();
    let text = |name: &str| said.get(name)?.as_str().map(str::to_owned);
    ContributionBody {
        event_id: event.id.0,
        event_type: event.event_type.name().to_owned(),
        created_at: event.time.utc(),
        ingested_at,
        delta: delta.into(),
        user_id: event.user.as_ref().filter(|_| tenant.reads_users()).map(ToString::to_string),
        product_id: product,
        vendor_id: vendor,
        lines: lines.iter().map(LineBody::of).collect(),
        reversal: event.content.reversal().map(|reversal| ReversalBody {
            order_event_id: reversal.order_event.map(|order| order.0),
            lines: reversed.iter().filter_map(ReversedLineBody::of).collect(),
            excess: if tenant.reads_users() { excess(&reversal.entries) } else { BTreeMap::new() },
        }),
        stars,
        replaced: replaced.map(ReplacedBody::of),
        reason: text("reason"),
        actor: text("actor").filter(|_| tenant.reads_users()),
    }
}

impl From<Histogram> for HistogramBody {
    fn from(Histogram([one, two, three, four, five]): Histogram) -> Self {
        Self { one, two, three, four, five }
    }
}

impl From<Delta> for DeltaBody {
    fn from(delta: Delta) -> Self {
        match delta {
            Delta::Counter(amount) => Self::Counter(amount),
            Delta::Ratio(Fraction { numerator, denominator }) => Self::Rate { numerator, denominator },
            Delta::Average(histogram) => {
                Self::Average { count: histogram.count(), sum: histogram.sum(), histogram: histogram.into() }
            }
        }
    }
}

impl LineBody {
    pub(super) fn of(Line { part, sale }: &Line) -> Self {
        Self {
            product_id: part.product.as_ref().map(ToString::to_string),
            vendor_id: part.vendor.id().map(ToString::to_string),
            vendor_learned: part.vendor.is_learned(),
            quantity: sale.quantity.units(),
            amount: sale.amount.0,
            currency: sale.currency.code(),
        }
    }
}

/// Returns what a reversal says beyond what was left of its order, by currency.
pub(super) fn excess(entries: &[Entry]) -> BTreeMap<&'static str, i64> {
    let excess = |entry: &Entry| Some((entry.currency?.code(), entry.took.excess)).filter(|(_, excess)| *excess != 0);
    entries.iter().filter_map(excess).collect()
}

impl ReversedLineBody {
    /// Returns `None` for what was of no line.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let (line, part) = entry.line.as_ref()?;
        Some(Self {
            line: *line,
            product_id: part.product.as_ref().map(ToString::to_string),
            vendor_id: part.vendor.id().map(ToString::to_string),
            units: entry.took.units,
            amount: entry.took.amount,
            currency: entry.currency.map(Currency::code),
        })
    }
}

impl ReplacedBody {
    fn of(rated: Rated) -> Self {
        Self { event_id: rated.event.0, stars: rated.stars.get(), created_at: rated.time.utc() }
    }
}
