//! Parses query parameters. Unknown parameters are errors, so that a misspelled filter is never
//! ignored, and so are repeated ones, except lists.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::HttpRequest;
use analytics_core::money::Currency;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use crate::problem::Problem;

const DEFAULT_LIMIT: u16 = 100;
const LARGEST_LIMIT: u16 = 1000;

const ZERO: &str = "must not contain the character U+0000";

/// The parameters of one request.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses the query string of a request that may have the parameters in `known`, each at most
    /// once, and those in `lists`, any number of times.
    pub(crate) fn of(request: &HttpRequest, known: &[&str], lists: &[&str]) -> Result<Self, Problem> {
        // No text of the database contains one.
        if request.match_info().iter().any(|(_, part)| part.contains('\0') || part.contains("%00")) {
            return Err(Problem::invalid_parameter("path", ZERO));
        }
        Self::parse(request.query_string(), known, lists)
    }

    fn parse(query: &str, known: &[&str], lists: &[&str]) -> Result<Self, Problem> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name, "query")?, decode(value, name)?);
            let name = name.as_str();
            if !known.contains(&name) && !lists.contains(&name) {
                let known = [known, lists].concat().join(", ");
                let there_are =
                    if known.is_empty() { "this route has none".into() } else { format!("its parameters are {known}") };
                return Err(Problem::invalid_parameter(name, format!("is not a parameter of this route; {there_are}")));
            }
            if !lists.contains(&name) && parameters.iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::invalid_parameter(name, "must be given only once"));
            }
            if value.contains('\0') {
                return Err(Problem::invalid_parameter(name, ZERO));
            }
            parameters.push((name.to_owned(), value));
        }
        Ok(Self(parameters))
    }

    /// Returns all values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns a parameter's value, parsed by `parse`, whose errors say what it must be; `None` if
    /// the parameter is not given.
    pub(crate) fn optional<T, E: Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.get(name).map(|value| parse(value).map_err(|error| Problem::invalid_parameter(name, error))).transpose()
    }

    /// Returns the maximum number of items on a page.
    pub(crate) fn limit(&self) -> Result<u16, Problem> {
        let read = |text: &str| {
            let limit = text.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
            limit.ok_or_else(|| format!("must be a number from 1 to {LARGEST_LIMIT}"))
        };
        Ok(self.optional("limit", read)?.unwrap_or(DEFAULT_LIMIT))
    }

    /// Returns the key after which the page begins, from `cursor`.
    pub(crate) fn cursor(&self) -> Result<Option<String>, Problem> {
        self.optional("cursor", |text| {
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "must be a cursor from this API")?;
            String::from_utf8(bytes).ok().filter(|key| !key.contains('\0')).ok_or("must be a cursor from this API")
        })
    }

    /// Returns the key after which the page begins, if it is a number or an id.
    pub(crate) fn cursor_key<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let key = self.cursor()?.map(|key| key.parse()).transpose();
        key.map_err(|_| Problem::invalid_parameter("cursor", "must be a cursor from this route"))
    }

    /// Returns a parameter that is text of 1 to `longest` characters, such as an id.
    pub(crate) fn text(&self, name: &str, longest: usize) -> Result<Option<String>, Problem> {
        self.optional(name, |text| match text.chars().count() {
            length if (1..=longest).contains(&length) => Ok(text.to_owned()),
            _ => Err(format!("must be text of 1 to {longest} characters")),
        })
    }

    /// Returns the currency in `currency`, unless it is the base currency.
    pub(crate) fn foreign_currency(&self, base: Currency) -> Result<Option<Currency>, Problem> {
        let parse = |code: &str| Currency::parse(code).ok_or("must be a currency code of ISO 4217, such as USD");
        Ok(self.optional("currency", parse)?.filter(|currency| *currency != base))
    }
}

/// Reads an RFC 3339 time. The `+` of an offset that is not written as `%2B`, as in the times that
/// answers show, arrives as a space.
pub(crate) fn time(text: &str) -> Option<DateTime<Utc>> {
    let read = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    read(text).or_else(|| text.rsplit_once(' ').and_then(|(local, offset)| read(&format!("{local}+{offset}"))))
}

fn decode(text: &str, parameter: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Problem::invalid_parameter(parameter, "must be UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_have_an_offset_whose_plus_arrives_as_a_space() {
        for (query, expected) in [
            ("2026-11-20T14:00:00%2B01:00", Some("2026-11-20T13:00:00Z")),
            ("2026-11-20T14:00:00+01:00", Some("2026-11-20T13:00:00Z")),
            ("2026-11-20T14:00:00-01:00", Some("2026-11-20T15:00:00Z")),
            ("2026-11-20T14:00:00Z", Some("2026-11-20T14:00:00Z")),
            ("2026-11-20T14:00:00", None),
            ("2026-11-20T14:00:00+", None),
            ("+", None),
        ] {
            let found = time(&decode(query, "from").unwrap());
            assert_eq!(found, expected.map(|time| time.parse().unwrap()), "{query}");
        }
    }
}
