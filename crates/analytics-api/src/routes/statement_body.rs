//! The JSON of statements, made of what is read back from their CSV.

use analytics_core::money::Currency;
use analytics_core::statement::{Checked, Days, Figures, PastRange, Rates};
use analytics_db::tables::statements::Stored;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::contributions::HistogramBody;
use crate::problem::Problem;

/// The numbers of a seller in one currency, in minor units.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatementSums)]
pub(crate) struct SumsBody {
    /// ISO 4217 code.
    currency: &'static str,
    /// What was sold, before refunds.
    gross: i64,
    /// What cancellations and refunds of the month took back, of orders of any month.
    refunds: i64,
    /// What was changed by hand.
    adjustments: i64,
    /// `gross - refunds + adjustments`. Not a payout: commission, tax and shipping are not in it.
    net: i64,
    /// Orders with something in the currency.
    orders: i64,
    units: i64,
}

/// A statement in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatementHead)]
pub(crate) struct HeadBody {
    /// Such as `2026-10`.
    month: String,
    /// From 1. A later version restates the month.
    version: u32,
    closed_at: DateTime<Utc>,
    /// Whether what is stored is not what was closed. Then its numbers and signature are not shown; `verify --full` says what
    /// is wrong.
    damaged: bool,
    currencies: Vec<SumsBody>,
    /// SHA-256 of the lines of the CSV, in hexadecimal.
    digest: String,
    /// The digest of the seller's statement that was closed before.
    previous_digest: Option<String>,
    /// The Ed25519 signature of the digest, in base64.
    signature: Option<String>,
    /// The public key that verifies it, in base64.
    key: Option<String>,
}

/// What a month came to for a seller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Statement)]
pub(crate) struct StatementBody {
    vendor_id: String,
    /// Such as `2026-10`.
    month: String,
    /// From 1. A later version restates the month.
    version: u32,
    /// The IANA timezone of the days.
    timezone: String,
    closed_at: DateTime<Utc>,
    /// The number of the last batch that it includes.
    as_of: i64,
    /// The version of the rules of counting.
    rules_version: i16,
    /// The number of the last batch that the proof includes on which it relies.
    proved_as_of: Option<i64>,
    /// How many dead letters of the month were open.
    open_dead_letters: i64,
    /// Why the month was not proved when it was closed, or which records are missing.
    gaps: Vec<String>,
    /// In the order of their codes.
    currencies: Vec<CurrencyBody>,
    /// How many views became orders; null in a statement that was made before statements had it.
    conversion: Option<ConversionBody>,
    /// The ratings that were received in the month; null in a statement that was made before statements had them.
    ratings: Option<RatingsBody>,
    /// What arrived since the version before; null for version 1.
    restatement: Option<RestatementBody>,
    /// The digest of the ids and amounts of the events that it is made of.
    events_digest: String,
    /// SHA-256 of the lines of the CSV, in hexadecimal.
    digest: String,
    /// The digest of the seller's statement that was closed before.
    previous_digest: Option<String>,
    /// The Ed25519 signature of the digest, in base64.
    signature: Option<String>,
    /// The public key that verifies it, in base64.
    key: Option<String>,
}

/// A currency of a statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementCurrency)]
pub(crate) struct CurrencyBody {
    #[serde(flatten)]
    sums: SumsBody,
    /// The days on which something was counted.
    lines: Vec<LineBody>,
}

/// A day of a statement, in minor units.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatementLine)]
pub(crate) struct LineBody {
    day: NaiveDate,
    orders: i64,
    units: i64,
    gross: i64,
    refunds: i64,
    adjustments: i64,
    net: i64,
}

/// The conversion of a month: its bucket in the series of `conversion_rate`, as of the batch of the statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementConversion)]
pub(crate) struct ConversionBody {
    /// Orders of any currency.
    orders: i64,
    /// Page views of the seller's products.
    views: i64,
    /// `orders / views` in basis points (250 is 2.5 %), rounded half up; null without views.
    value: Option<i64>,
}

/// The ratings that were received in a month, also those that were replaced later: its bucket in the series of
/// `seller_rating`, as of the batch of the statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementRatings)]
pub(crate) struct RatingsBody {
    /// How many ratings were received.
    count: i64,
    /// The sum of their stars.
    sum: i64,
    /// How many ratings of each number of stars were received.
    histogram: HistogramBody,
    /// `sum / count` times 100 (425 is 4.25 stars), rounded half up; null without ratings.
    value: Option<i64>,
}

/// What a later version restates.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Restatement)]
pub(crate) struct RestatementBody {
    /// The version before.
    of: u32,
    /// Their deltas are the difference between the versions.
    events: Vec<LateBody>,
}

/// An event that arrived after the version before was closed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LateEvent)]
pub(crate) struct LateBody {
    /// Null for what no event explains, such as a vendor that was attributed afterwards.
    id: Option<Uuid>,
    /// The type of the event, or `correction`.
    r#type: String,
    occurred_at: DateTime<Utc>,
    /// What it changes of net, in minor units.
    delta: i64,
    currency: &'static str,
}

impl ConversionBody {
    fn of(rates: &Rates) -> Self {
        let (orders, views) = (rates.conversion.numerator, rates.conversion.denominator);
        Self { orders, views, value: rates.conversion_value() }
    }
}

impl RatingsBody {
    fn of(rates: &Rates) -> Self {
        let (count, sum, histogram) = (rates.ratings.count(), rates.ratings.sum(), rates.ratings.into());
        Self { count, sum, histogram, value: rates.rating_value() }
    }
}

fn past_range(_: PastRange) -> Problem {
    Problem::internal_error()
}

fn sums(currency: &'static str, figures: Figures) -> Result<SumsBody, Problem> {
    let net = figures.net().map_err(past_range)?;
    let Figures { orders, units, gross, refunds, adjustments } = figures;
    Ok(SumsBody { currency, gross, refunds, adjustments, net, orders, units })
}

fn signature(checked: &Checked) -> Option<String> {
    checked.signature.map(|bytes| BASE64_STANDARD.encode(bytes))
}

pub(super) fn head(checked: &Checked) -> Result<HeadBody, Problem> {
    let own = &checked.statement;
    let sum =
        |(currency, days): (&Currency, &Days)| sums(currency.code(), Figures::sum(days.values()).map_err(past_range)?);
    Ok(HeadBody {
        month: own.month.to_string(),
        version: own.version,
        closed_at: own.closed_at,
        damaged: false,
        currencies: own.currencies.iter().map(sum).collect::<Result<_, _>>()?,
        digest: checked.digest.to_string(),
        previous_digest: own.previous.map(|digest| digest.to_string()),
        signature: signature(checked),
        key: own.key.map(|key| key.to_string()),
    })
}

/// Returns a statement that is not what was closed: where it stands, and nothing of what it says.
pub(super) fn damaged_head(stored: &Stored) -> HeadBody {
    HeadBody {
        month: stored.month.format("%Y-%m").to_string(),
        version: stored.version.unsigned_abs(),
        closed_at: stored.closed_at,
        damaged: true,
        currencies: Vec::new(),
        digest: stored.digest().map(|digest| digest.to_string()).unwrap_or_default(),
        previous_digest: None,
        signature: None,
        key: None,
    }
}

pub(super) fn body(checked: Checked) -> Result<StatementBody, Problem> {
    let HeadBody { month, version, closed_at, currencies, digest, previous_digest, signature, key, damaged: _ } =
        head(&checked)?;
    let own = checked.statement;
    let line = |(day, figures): (&NaiveDate, &Figures)| {
        let net = figures.net().map_err(past_range)?;
        let Figures { orders, units, gross, refunds, adjustments } = *figures;
        Ok(LineBody { day: *day, orders, units, gross, refunds, adjustments, net })
    };
    let lines = own.currencies.values().map(|days| days.iter().map(line).collect::<Result<_, Problem>>());
    let currency = |(sums, lines): (SumsBody, Result<_, Problem>)| Ok(CurrencyBody { sums, lines: lines? });
    let restatement = own.restatement.map(|restatement| RestatementBody {
        of: restatement.of,
        events: restatement
            .late
            .into_iter()
            .map(|late| LateBody {
                id: late.event,
                r#type: late.event_type,
                occurred_at: late.occurred_at,
                delta: late.delta,
                currency: late.currency.code(),
            })
            .collect(),
    });
    Ok(StatementBody {
        vendor_id: own.vendor.as_str().to_owned(),
        month,
        version,
        timezone: own.timezone,
        closed_at,
        as_of: own.as_of,
        rules_version: own.rules_version,
        proved_as_of: own.proved_as_of,
        open_dead_letters: own.open_dead_letters,
        gaps: own.gaps,
        currencies: currencies.into_iter().zip(lines).map(currency).collect::<Result<_, Problem>>()?,
        conversion: own.rates.as_ref().map(ConversionBody::of),
        ratings: own.rates.as_ref().map(RatingsBody::of),
        restatement,
        events_digest: own.events.to_string(),
        digest,
        previous_digest,
        signature,
        key,
    })
}
