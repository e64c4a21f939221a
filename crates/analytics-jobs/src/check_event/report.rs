//! Describes how a record would be counted: in lines of text, or as one JSON object.

use std::io::{self, Write};

use analytics_core::deltas::Deltas;
use analytics_core::event::{Content, Event, Naming, Part, Rating, Sale, Stars};
use analytics_core::metric_type::MetricType;
use analytics_core::money::{Currency, Minor};
use analytics_core::ratios::Fraction;
use analytics_core::topics::EventType;
use chrono::SecondsFormat;
use serde_json::{Number, Value, json};

use super::{Checked, Outcome};

/// Describes the records of one file.
pub(super) struct Reporter<'a> {
    /// The name of the file.
    pub(super) file: &'a str,
    /// The type of its events.
    pub(super) event_type: &'a EventType,
    /// The currency of metric types that name none.
    pub(super) base_currency: Currency,
}

/// What an event adds to one metric.
#[derive(Clone, Copy)]
enum Addition {
    Sum(i128),
    Ratio(Fraction),
    /// A rating, which replaces the earlier one of the same user.
    Rating(Stars),
}

/// Returns what the deltas of one event add to each metric, in the order of the catalogue.
fn additions(deltas: &Deltas) -> Vec<(&MetricType, Addition)> {
    let counters = deltas.counters.iter().map(|(metric, sum)| (metric, Addition::Sum(*sum)));
    let ratios = deltas.ratios.iter().map(|(metric, ratio)| (metric, Addition::Ratio(*ratio)));
    let ratings = deltas.ratings.iter().map(|((metric, _), rated)| (metric, Addition::Rating(rated.stars)));
    let mut additions: Vec<_> = counters.chain(ratios).chain(ratings).collect();
    additions.sort_unstable_by_key(|(metric, _)| *metric);
    additions
}

impl Checked {
    /// Returns the name of the result, as in the results of replays.
    fn result(&self) -> &'static str {
        match self.result {
            Outcome::Counted(_) => "counted",
            Outcome::Logged => "logged",
            Outcome::Duplicate => "duplicate",
            Outcome::Rejected(_) => "rejected",
        }
    }

    fn additions(&self) -> Vec<(&MetricType, Addition)> {
        match &self.result {
            Outcome::Counted(deltas) => additions(deltas),
            Outcome::Logged | Outcome::Duplicate | Outcome::Rejected(_) => Vec::new(),
        }
    }

    /// Returns the kinds of identities that the event has.
    fn identities(&self, event: &Event) -> Vec<&'static str> {
        // The place is not among the keys, as the record has a timestamp.
        let explicit = event.keys.iter().any(|key| Some(*key) != event.natural);
        let kinds = [(explicit, "explicit"), (event.natural.is_some(), "natural"), (event.keys.is_empty(), "place")];
        kinds.into_iter().filter(|(has, _)| *has).map(|(_, kind)| kind).collect()
    }

    /// Returns the id that the event will have; `None` if that depends on its place in Kafka, or if
    /// it is not stored.
    fn id(&self, event: &Event) -> Option<String> {
        let stored = matches!(self.result, Outcome::Counted(_) | Outcome::Logged);
        (stored && !event.keys.is_empty() && !self.time_of_record).then(|| event.id.to_string())
    }

    /// Returns the time of the event; `None` if it is that of its record in Kafka.
    fn time(&self, event: &Event) -> Option<String> {
        (!self.time_of_record).then(|| event.time.utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl Reporter<'_> {
    /// Writes a description for people, with one fact on each line.
    pub(super) fn text(&self, out: &mut impl Write, checked: &Checked) -> io::Result<()> {
        let mut line = |text: String| writeln!(out, "{}", text.replace(char::is_control, "\u{fffd}"));
        line(format!("{}:{}: {}", self.file, checked.at.line, headline(checked)))?;
        let Some(event) = &checked.event else { return Ok(()) };
        line(format!("    event     {}", self.event(checked, event)))?;
        line(format!("    identity  {}", identity(&checked.identities(event))))?;
        for (part, sale) in event.content.parts() {
            line(format!("    part      {}", described(part, sale)))?;
        }
        if let Some(rating) = event.content.rating() {
            line(format!("    rating    {}", rated(rating)))?;
        }
        if event.content.is_unpaid() {
            line("    order     counts once it is paid".into())?;
        }
        if event.content.payment().is_some() {
            line("    payment   counts its order, where orders count when they are paid".into())?;
        }
        if let Some(reversal) = event.content.reversal() {
            line(format!("    reversal  takes back {} once its order is counted", reversal.claim.to_json()))?;
        }
        if let Content::Naming(naming) = &event.content {
            line(format!("    name      {}", named(&event.content, naming)))?;
        }
        for (metric, addition) in checked.additions() {
            line(format!("    metric    {metric} {}", self.addition(metric, addition)))?;
        }
        Ok(())
    }

    fn event(&self, checked: &Checked, event: &Event) -> String {
        let id = checked.id(event).map(|id| format!(" {id}")).unwrap_or_default();
        let time = checked.time(event).unwrap_or_else(|| "the time of its record in Kafka".into());
        let user = event.user.as_ref().map(|user| format!(", user {user}")).unwrap_or_default();
        format!("{}{id} at {time}{user}", self.event_type.name())
    }

    fn addition(&self, metric: &MetricType, addition: Addition) -> String {
        match addition {
            Addition::Sum(sum) => match self.currency(metric) {
                Some(currency) => format!("+{sum} minor units of {currency}"),
                None => format!("+{sum}"),
            },
            Addition::Ratio(Fraction { numerator, denominator: 0 }) => format!("+{numerator} in the numerator"),
            Addition::Ratio(Fraction { numerator: 0, denominator }) => format!("+{denominator} in the denominator"),
            Addition::Ratio(Fraction { numerator, denominator }) => {
                format!("+{numerator} in the numerator, +{denominator} in the denominator")
            }
            Addition::Rating(stars) => format!("{} stars, unless the user has a later rating", stars.get()),
        }
    }

    /// Returns the currency of a metric that is an amount of money.
    fn currency(&self, metric: &MetricType) -> Option<Currency> {
        metric.metric.is_money().then(|| metric.foreign_currency.unwrap_or(self.base_currency))
    }

    /// Returns a description for programs.
    pub(super) fn json(&self, checked: &Checked) -> Value {
        let rejection = match &checked.result {
            Outcome::Rejected(rejection) => Some(rejection),
            Outcome::Counted(_) | Outcome::Logged | Outcome::Duplicate => None,
        };
        let content = checked.event.as_ref().map(|event| &event.content);
        let parts = content.into_iter().flat_map(|content| content.parts());
        let rating = content.and_then(|content| content.rating()).map(|rating| {
            let (product, vendor) = (rating.product.as_ref(), rating.vendor.as_ref());
            json!({
                "productId": product.map(|id| id.as_str()),
                "vendorId": vendor.map(|id| id.as_str()),
                "stars": rating.stars.get(),
            })
        });
        let naming = match content {
            Some(content @ Content::Naming(naming)) => {
                let (product, vendor) = content.about();
                Some(json!({
                    "productId": product.map(|id| id.as_str()),
                    "vendorId": vendor.map(|id| id.as_str()),
                    "name": naming.name.as_ref().map(|name| name.as_str()),
                }))
            }
            _ => None,
        };
        let reversal = content.and_then(|content| content.reversal());
        let reversal = reversal.and_then(|reversal| serde_json::from_str::<Value>(&reversal.claim.to_json()).ok());
        json!({
            "record": checked.at.record,
            "line": checked.at.line,
            "result": checked.result(),
            "reason": rejection.map(|rejection| rejection.reason.code()),
            "detail": rejection.map(|rejection| rejection.detail.as_str()),
            "reversal": reversal,
            "awaitsPayment": content.is_some_and(|content| content.is_unpaid()),
            "sameAs": checked.same_as.map(|same| same.record),
            "event": checked.event.as_ref().map(|event| json!({
                "id": checked.id(event),
                "type": self.event_type.name(),
                "time": checked.time(event),
                "userId": event.user.as_ref().map(|user| user.as_str()),
                "identities": checked.identities(event),
            })),
            "parts": parts.map(|(part, sale)| json!({
                "productId": part.product.as_ref().map(|id| id.as_str()),
                "vendorId": part.vendor.id().map(|id| id.as_str()),
                "quantity": sale.map(|sale| sale.quantity.units()),
                "amount": sale.map(|sale| sale.amount.0),
                "currency": sale.map(|sale| sale.currency.code()),
            })).collect::<Vec<_>>(),
            "rating": rating,
            "naming": naming,
            "metrics": checked.additions().into_iter().map(|(metric, addition)| json!({
                "type": metric.to_string(),
                "unit": metric.metric.unit().name(),
                "currency": self.currency(metric).map(Currency::code),
                "delta": match addition {
                    Addition::Sum(sum) => Value::from(Number::from_i128(sum)),
                    Addition::Ratio(Fraction { numerator, denominator }) => {
                        json!({ "numerator": numerator, "denominator": denominator })
                    }
                    Addition::Rating(stars) => json!({ "stars": stars.get() }),
                },
            })).collect::<Vec<_>>(),
        })
    }
}

fn headline(checked: &Checked) -> String {
    match &checked.result {
        Outcome::Counted(_) => "counted".into(),
        Outcome::Logged => "logged but not counted".into(),
        Outcome::Duplicate => match checked.same_as {
            Some(same) => format!("duplicate of line {}, not counted again", same.line),
            None => "duplicate, not counted again".into(),
        },
        Outcome::Rejected(rejection) => format!("rejected, {}: {}", rejection.reason, rejection.detail),
    }
}

fn identity(kinds: &[&str]) -> String {
    match kinds {
        ["place"] => "only its place in Kafka: if it is sent twice, it counts twice".into(),
        ["explicit"] => "explicit: the id that its producer gave it".into(),
        ["natural"] => "natural: its content".into(),
        both => both.join(" and "),
    }
}

fn described(part: &Part, sale: Option<&Sale>) -> String {
    let product = part.product.as_ref().map_or_else(|| "no product".into(), |product| format!("product {product}"));
    let vendor = match part.vendor.id() {
        Some(vendor) => format!("vendor {vendor}"),
        None if part.product.is_some() => "no vendor (gets the known vendor of the product, if any)".into(),
        None => "no vendor".into(),
    };
    let sale = sale.map(|Sale { quantity, amount, currency }| {
        format!(", quantity {}, amount {} {currency}", quantity.units(), decimal(*amount, *currency))
    });
    format!("{product}, {vendor}{}", sale.unwrap_or_default())
}

fn rated(rating: &Rating) -> String {
    let product = rating.product.as_ref().map(|product| format!(", product {product}"));
    let vendor = rating.vendor.as_ref().map(|vendor| format!(", vendor {vendor}"));
    format!("{} stars{}{}", rating.stars.get(), product.unwrap_or_default(), vendor.unwrap_or_default())
}

fn named(content: &Content, naming: &Naming) -> String {
    let (product, vendor) = content.about();
    let product = product.map(|product| format!("product {product}"));
    let vendor = vendor.map(|vendor| format!("vendor {vendor}"));
    let name = naming.name.as_ref().map_or_else(|| "not kept, redacted".into(), |name| format!("{:?}", name.as_str()));
    format!("{name}, {}", product.into_iter().chain(vendor).collect::<Vec<_>>().join(", "))
}

/// Writes an amount in whole units of its currency.
fn decimal(Minor(amount): Minor, currency: Currency) -> String {
    let digits = usize::try_from(currency.minor_digits()).unwrap_or_default();
    let text = format!("{amount:0>width$}", width = digits + 1);
    match text.split_at_checked(text.len() - digits) {
        Some((whole, fraction)) if digits > 0 => format!("{whole}.{fraction}"),
        _ => text,
    }
}
