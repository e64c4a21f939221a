//! `service_settings` and `business_clock`: the settings and timezone rules that the numbers depend
//! on. They are stored once and are then the same for every process.

use analytics_core::business::Business;
use analytics_core::calendar::{Calendar, ClockChange};
use chrono::{DateTime, Utc};

use crate::sql::{row, statement};
use crate::{Connection, DbError};

row! {
    struct Stored {
        base_currency: String,
        business_timezone: String,
    }
}

/// Stores these settings and the rules of the timezone if none are stored yet, then checks them. If
/// rules are stored, the future ones are replaced by those of this program's tz database, because
/// governments change them. Processes read the rules at startup, so only changes that are at least
/// two days ahead are stored.
///
/// # Errors
/// Those of [`check`].
pub fn store_or_check(connection: &mut Connection, business: Business) -> Result<(), DbError> {
    statement("INSERT INTO service_settings (base_currency, business_timezone) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .value(business.base_currency.code())
        .value(business.calendar.name())
        .execute(connection)?;
    check_settings(connection, business)?;
    store_rules(connection, business.calendar)?;
    check(connection, business)
}

/// Checks that the database was created with these settings, and makes the calendar use the stored
/// rules of its timezone.
///
/// # Errors
/// [`DbError::NotMigrated`] if none are stored: the first `migrate` stores them after its last migration.
/// [`DbError::Unusable`] names the setting and both values.
pub fn check(connection: &mut Connection, business: Business) -> Result<(), DbError> {
    check_settings(connection, business)?;
    business.calendar.follow(rules(connection)?);
    Ok(())
}

fn check_settings(connection: &mut Connection, business: Business) -> Result<(), DbError> {
    let stored: Vec<Stored> =
        statement("SELECT base_currency, business_timezone FROM service_settings").load(connection)?;
    let Some(stored) = stored.into_iter().next() else {
        return Err(DbError::NotMigrated(
            "the database has no settings stored yet: run `analytics-jobs migrate`".into(),
        ));
    };
    for (name, own, stored) in [
        ("BASE_CURRENCY", business.base_currency.code(), &stored.base_currency),
        ("BUSINESS_TIMEZONE", business.calendar.name(), &stored.business_timezone),
    ] {
        if own != stored {
            return Err(DbError::Unusable(format!(
                "{name} is {own}, but the database's numbers were counted with {stored}: set {name}={stored}"
            )));
        }
    }
    Ok(())
}

/// Stores the rules of this program's tz database: all of them if none are stored, otherwise those
/// that start more than two days from now.
fn store_rules(connection: &mut Connection, calendar: Calendar) -> Result<(), DbError> {
    let rules = calendar.own_rules();
    statement(
        "WITH known AS (SELECT CASE WHEN EXISTS (SELECT FROM business_clock) THEN now() + interval '2 days' \
                                    ELSE '-infinity' END AS until), \
         gone AS (DELETE FROM business_clock c USING known k \
                  WHERE c.starts_at > k.until AND c.starts_at <> ALL ($1)) \
         INSERT INTO business_clock (starts_at, utc_offset) \
         SELECT r.starts_at, r.utc_offset FROM unnest($1, $2) AS r (starts_at, utc_offset), known k \
         WHERE r.starts_at > k.until \
         ON CONFLICT (starts_at) DO UPDATE SET utc_offset = excluded.utc_offset",
    )
    .column(rules.iter().map(|rule| rule.starts_at))
    .column(rules.iter().map(|rule| rule.utc_offset))
    .execute(connection)?;
    Ok(())
}

fn rules(connection: &mut Connection) -> Result<Vec<ClockChange>, DbError> {
    row! {
        struct Row {
            starts_at: DateTime<Utc>,
            utc_offset: i32,
        }
    }
    let rows: Vec<Row> =
        statement("SELECT starts_at, utc_offset FROM business_clock ORDER BY starts_at").load(connection)?;
    Ok(rows.into_iter().map(|Row { starts_at, utc_offset }| ClockChange { starts_at, utc_offset }).collect())
}
