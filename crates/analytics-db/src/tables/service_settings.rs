//! The settings that the numbers depend on: written once, then the same for every process.

use analytics_core::business::Business;
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::{Connection, DbError};

/// What may never change under the numbers.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ServiceSettings {
    /// `BASE_CURRENCY`
    #[diesel(sql_type = Text)]
    pub base_currency: String,
    /// `BUSINESS_TIMEZONE`
    #[diesel(sql_type = Text)]
    pub business_timezone: String,
}

impl From<Business> for ServiceSettings {
    fn from(business: Business) -> Self {
        Self {
            base_currency: business.base_currency.code().to_owned(),
            business_timezone: business.calendar.name().to_owned(),
        }
    }
}

impl ServiceSettings {
    /// Stores these settings if none are stored yet, and then checks them.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn store_or_check(&self, connection: &mut Connection) -> Result<(), DbError> {
        sql_query(
            "INSERT INTO service_settings (base_currency, business_timezone) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind::<Text, _>(&self.base_currency)
        .bind::<Text, _>(&self.business_timezone)
        .execute(connection)?;
        self.check(connection)
    }

    /// Checks that the database was made with these settings.
    ///
    /// # Errors
    /// [`DbError::Unusable`] naming the setting and both values.
    pub fn check(&self, connection: &mut Connection) -> Result<(), DbError> {
        let stored: Vec<Self> =
            sql_query("SELECT base_currency, business_timezone FROM service_settings").load(connection)?;
        let Some(stored) = stored.into_iter().next() else {
            return Err(DbError::Unusable(
                "the database has no settings stored yet: run `analytics-jobs migrate`".into(),
            ));
        };
        for (name, own, stored) in [
            ("BASE_CURRENCY", &self.base_currency, &stored.base_currency),
            ("BUSINESS_TIMEZONE", &self.business_timezone, &stored.business_timezone),
        ] {
            if own != stored {
                return Err(DbError::Unusable(format!(
                    "{name} is {own}, but the database's numbers were counted with {stored}: set {name}={stored}"
                )));
            }
        }
        Ok(())
    }
}
