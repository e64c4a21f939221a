//! What the numbers depend on and may never change under them.

use crate::calendar::Calendar;
use crate::excerpt::got;
use crate::money::Currency;

/// How this marketplace does business: set once, the same for every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Business {
    /// The currency of amounts that name none, and of metrics that carry no currency code.
    pub base_currency: Currency,
    /// Cuts time into days and hours.
    pub calendar: Calendar,
}

impl Business {
    /// Reads a currency code and an IANA timezone.
    ///
    /// # Errors
    /// [`InvalidBusiness`] naming what cannot be used.
    pub fn parse(base_currency: &str, timezone: &str) -> Result<Self, InvalidBusiness> {
        let base_currency =
            Currency::parse(base_currency).ok_or_else(|| InvalidBusiness::Currency(base_currency.to_owned()))?;
        let timezone = timezone.parse().map_err(|_| InvalidBusiness::Timezone(timezone.to_owned()))?;
        Ok(Self { base_currency, calendar: Calendar::new(timezone) })
    }
}

/// Why the settings of a business cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBusiness {
    /// ISO 4217 lacks the currency.
    #[error("BASE_CURRENCY: must be a currency code of ISO 4217, such as USD{}", got(.0))]
    Currency(String),
    /// The IANA database lacks the timezone.
    #[error("BUSINESS_TIMEZONE: must be an IANA timezone, such as Europe/Vienna{}", got(.0))]
    Timezone(String),
}
