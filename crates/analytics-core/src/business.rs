//! The settings that all numbers depend on, and that therefore must never change.

use crate::calendar::Calendar;
use crate::excerpt::got;
use crate::money::Currency;

/// The currency and the calendar of the marketplace: set once, the same for every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Business {
    /// The currency of amounts that name none, and of metric types without a currency code.
    pub base_currency: Currency,
    /// Divides time into business days and hours.
    pub calendar: Calendar,
}

impl Business {
    /// Parses a currency code and the name of an IANA timezone.
    ///
    /// # Errors
    /// [`InvalidBusiness`] naming the setting that is not valid.
    pub fn parse(base_currency: &str, timezone: &str) -> Result<Self, InvalidBusiness> {
        let base_currency =
            Currency::parse(base_currency).ok_or_else(|| InvalidBusiness::Currency(base_currency.to_owned()))?;
        let timezone = timezone.parse().map_err(|_| InvalidBusiness::Timezone(timezone.to_owned()))?;
        Ok(Self { base_currency, calendar: Calendar::new(timezone) })
    }
}

/// The reason why the settings of the business cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBusiness {
    /// Not a currency of ISO 4217.
    #[error("BASE_CURRENCY: must be a currency code of ISO 4217, such as USD{}", got(.0))]
    Currency(String),
    /// Not a timezone of the IANA database.
    #[error("BUSINESS_TIMEZONE: must be an IANA timezone, such as Europe/Vienna{}", got(.0))]
    Timezone(String),
}
