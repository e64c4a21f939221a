//! Claims as they are stored: as JSON.

use serde::{Deserialize, Serialize};

use super::{Claim, Item, Told};
use crate::ids::{ProductId, VendorId};
use crate::money::{Amount, Currency, Quantity};

/// A claim as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<Vec<StoredItem>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Cancellation,
    Refund,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredItem {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vendor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantity: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
}

impl Claim {
    /// Returns it as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let items = |items: &[Item]| Some(items.iter().map(StoredItem::of).collect());
        let (kind, items, told) = match self {
            Self::Cancelled => (Kind::Cancellation, None, None),
            Self::CancelledItems(all) => (Kind::Cancellation, items(all), None),
            Self::RefundedItems(all) => (Kind::Refund, items(all), None),
            Self::Refunded(told) => (Kind::Refund, None, Some(*told)),
        };
        let (amount, currency) = written(told);
        serde_json::to_string(&Stored { kind, items, amount, currency }).unwrap_or_default()
    }

    /// Reads the JSON of [`Self::to_json`]; `None` if it is not that of a claim.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        let Stored { kind, items, amount, currency } = serde_json::from_str(text).ok()?;
        let items = items.map(|items| items.into_iter().map(StoredItem::read).collect::<Option<Vec<_>>>());
        match (kind, items, read(amount, currency)?) {
            (Kind::Cancellation, None, None) => Some(Self::Cancelled),
            (Kind::Cancellation, Some(items), None) => items.map(Self::CancelledItems),
            (Kind::Refund, Some(items), None) => items.map(Self::RefundedItems),
            (Kind::Refund, None, Some(told)) => Some(Self::Refunded(told)),
            _ => None,
        }
    }
}

impl StoredItem {
    fn of(item: &Item) -> Self {
        let (amount, currency) = written(item.amount);
        Self {
            product: item.product.as_ref().map(ToString::to_string),
            vendor: item.vendor.as_ref().map(ToString::to_string),
            quantity: item.quantity.map(Quantity::units),
            amount,
            currency,
        }
    }

    fn read(self) -> Option<Item> {
        let quantity = match self.quantity {
            Some(units) => Some(Quantity::new(units)?),
            None => None,
        };
        Some(Item {
            product: self.product.map(|id| ProductId::parse(&id)).transpose().ok()?,
            vendor: self.vendor.map(|id| VendorId::parse(&id)).transpose().ok()?,
            quantity,
            amount: read(self.amount, self.currency)?,
        })
    }
}

fn written(told: Option<Told>) -> (Option<String>, Option<String>) {
    told.map_or((None, None), |told| {
        (Some(told.amount.to_string()), told.currency.map(|currency| currency.code().to_owned()))
    })
}

/// Returns the amount, if there is one; `None` if it cannot be read.
fn read(amount: Option<String>, currency: Option<String>) -> Option<Option<Told>> {
    let Some(amount) = amount else { return Some(None) };
    let currency = match currency {
        Some(code) => Some(Currency::parse(&code)?),
        None => None,
    };
    Some(Some(Told { amount: Amount::parse(&amount).ok()?, currency }))
}
