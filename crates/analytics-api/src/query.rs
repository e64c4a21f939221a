//! Query parameters: each named once, none unknown, so that a misspelled filter is never ignored.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::problem::Problem;

/// The parameters of one request.
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a query string that may have these parameters.
    pub(crate) fn parse(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name, "query")?, decode(value, name)?);
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                return Err(Problem::invalid_parameter(
                    &name,
                    format!("there is no such parameter; there are {known}"),
                ));
            }
            if parameters.insert(name.clone(), value).is_some() {
                return Err(Problem::invalid_parameter(&name, "it is given twice"));
            }
        }
        Ok(Self(parameters))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter's value, read by `parse`, if it is given.
    pub(crate) fn optional<T, E: Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.get(name).map(|value| parse(value).map_err(|error| Problem::invalid_parameter(name, error))).transpose()
    }
}

fn decode(text: &str, parameter: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Problem::invalid_parameter(parameter, "it is not UTF-8"))
}
