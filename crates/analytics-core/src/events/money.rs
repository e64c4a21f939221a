//! Reads amounts, quantities and currencies from payloads.

use crate::excerpt::excerpt;
use crate::json::{Object, Value};
use crate::money::{Amount, Currency, InvalidMoney, Quantity};
use crate::rejection::{Reason, Rejection};

fn invalid(name: &'static str, value: &str, why: impl std::fmt::Display) -> Rejection {
    Rejection::new(Reason::InvalidAmount, format!("{name} {:?} {why}", excerpt(value))).quoting(name)
}

/// Reads an amount that may have one of several names; `None` if the object has none of them.
pub(super) fn amount(object: &Object<'_>, names: &[&'static str]) -> Result<Option<(&'static str, Amount)>, Rejection> {
    let Some((name, value)) = object.first(names) else { return Ok(None) };
    parse(name, &value, Amount::parse).map(|amount| Some((name, amount)))
}

/// Reads the quantity of a line; 1 if it names none.
pub(super) fn quantity(line: &Object<'_>) -> Result<Quantity, Rejection> {
    quantity_if_named(line).map(|quantity| quantity.unwrap_or(Quantity::ONE))
}

/// Reads the quantity of a line, if it names one.
pub(super) fn quantity_if_named(line: &Object<'_>) -> Result<Option<Quantity>, Rejection> {
    let Some((name, value)) = line.first(&["quantity", "qty"]) else { return Ok(None) };
    parse(name, &value, |text| Amount::parse(text)?.quantity()).map(Some)
}

/// Reads the currency that an object names, if any.
pub(super) fn currency(object: &Object<'_>) -> Result<Option<Currency>, Rejection> {
    match object.get("currency") {
        None => Ok(None),
        Some(Value::Text(code)) => {
            Currency::parse(&code).map(Some).ok_or_else(|| invalid("currency", &code, "is not a currency of ISO 4217"))
        }
        Some(_) => Err(Rejection::new(Reason::InvalidAmount, "currency must be a string")),
    }
}

fn parse<T>(
    name: &'static str,
    value: &Value<'_>,
    read: impl Fn(&str) -> Result<T, InvalidMoney>,
) -> Result<T, Rejection> {
    let text = match value {
        Value::Text(text) => text,
        Value::Number(number) => *number,
        _ => return Err(Rejection::new(Reason::InvalidAmount, format!("{name} must be a number or a string"))),
    };
    read(text).map_err(|error| invalid(name, text, error))
}
