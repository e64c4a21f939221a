//! Reads settings from the environment, an optional TOML file, and `.env` in development, in this
//! order of precedence.
//!
//! Values are kept as text; each process turns those that it needs into one validated struct. An
//! error message names the setting and says what it must be; it shows the value only if that cannot
//! be a secret.

mod catalogue;
mod secrets;
mod sources;

use std::fmt::Display;
use std::path::PathBuf;
use std::{collections::BTreeMap, fs};

use analytics_core::business::Business;
use analytics_core::events::{Decoder, OrderCounts, Redaction};
use analytics_core::harmless;
use analytics_core::topics::Topics;

use catalogue::find;
pub use catalogue::{SETTINGS, Setting};
pub(crate) use secrets::masked;
use sources::Source;

/// The environment variable that names the TOML file.
const FILE: &str = "ANALYTICS_CONFIG";

/// What is wrong with the settings, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An invalid value, or a missing value that is required.
    #[error("{name}: {problem}")]
    Invalid {
        /// The name of the setting.
        name: String,
        /// What the value must be, or what is wrong with it.
        problem: String,
    },
    /// A complete sentence about a file that cannot be read, or about settings that conflict.
    #[error("{0}")]
    Sentence(String),
}

impl SettingsError {
    /// Returns an error about one setting; `problem` says what the value must be.
    pub fn invalid(name: &str, problem: impl Display) -> Self {
        Self::Invalid { name: name.to_owned(), problem: problem.to_string() }
    }
}

/// The settings as text, by name.
#[derive(Clone)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
    warnings: Vec<String>,
}

impl Settings {
    /// Reads `.env`, overridden by the file that `ANALYTICS_CONFIG` names, and both overridden by
    /// the environment. From then on, secrets in them are masked in the log.
    ///
    /// # Errors
    /// [`SettingsError`] if a file cannot be read, or if a name in the TOML file is not a setting.
    pub fn load() -> Result<Self, SettingsError> {
        let dotenv = match nearest_dotenv() {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| SettingsError::Sentence(format!(".env: cannot be read: {}", error.kind())))?;
                sources::dotenv(&text)?
            }
            None => Source::default(),
        };
        let file = std::env::var(FILE).ok().filter(|path| !path.is_empty());
        let file = file.map(|path| sources::toml_file(&path)).transpose()?.unwrap_or_default();
        let utf8 = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let settings = Self::layered([dotenv, file, sources::environment(utf8)]);
        let secret = |name: &&str| find(name).is_some_and(|setting| setting.secret);
        let values = settings.values.iter().filter(|(name, _)| secret(name)).map(|(_, value)| value);
        secrets::hide(values.flat_map(|value| secrets::parts(value)));
        Ok(settings)
    }

    /// Reads settings from environment variables only.
    pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::layered([sources::environment(variables)])
    }

    /// Merges several sources; later ones override earlier ones.
    fn layered(sources: impl IntoIterator<Item = Source>) -> Self {
        let mut settings = Self { values: BTreeMap::new(), warnings: Vec::new() };
        for Source { values, warnings } in sources {
            settings.values.extend(values);
            settings.warnings.extend(warnings);
        }
        if settings.values.get("JWT_SECRET").is_some_and(|secret| secret.ends_with(['\n', '\r'])) {
            settings.warnings.push("JWT_SECRET ends in a newline, which is not used as part of the key".into());
        }
        settings
    }

    /// Returns warnings about values that are valid, but may not be intended.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns a setting's trimmed value, or its default; `None` if it has neither.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let default = || find(name).and_then(|setting| setting.default);
        self.values.get(name).map(String::as_str).or_else(default).map(str::trim)
    }

    /// Returns the value of a setting that the process requires.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] if it is not set and has no default.
    pub fn required(&self, name: &str) -> Result<&str, SettingsError> {
        let about = find(name).map_or("", |setting| setting.about);
        self.get(name).ok_or_else(|| SettingsError::invalid(name, format!("must be set: {about}")))
    }

    /// Parses `BASE_CURRENCY` and `BUSINESS_TIMEZONE`, which must be the same for every process.
    ///
    /// # Errors
    /// [`SettingsError`] if one of them is not a currency or not a timezone.
    pub fn business(&self) -> Result<Business, SettingsError> {
        Business::parse(self.required("BASE_CURRENCY")?, self.required("BUSINESS_TIMEZONE")?)
            .map_err(|error| SettingsError::Sentence(error.to_string()))
    }

    /// Returns the decoder of records, built from settings that must be the same for every process
    /// that counts.
    ///
    /// # Errors
    /// [`SettingsError`] naming the invalid setting.
    pub fn decoder(&self) -> Result<Decoder, SettingsError> {
        let extra = self.get("KAFKA_EXTRA_TOPICS").unwrap_or_default();
        let mapping = self.get("KAFKA_TOPICS").unwrap_or_default();
        self.parse("KAFKA_TOPICS", |mapping| Topics::parse(mapping, ""))?;
        // A topic must not be in both lists.
        let topics =
            Topics::parse(mapping, extra).map_err(|error| SettingsError::invalid("KAFKA_EXTRA_TOPICS", error))?;
        Ok(Decoder {
            topics,
            business: self.business()?,
            redaction: Redaction::parse(self.get("REDACT_FIELDS").unwrap_or_default()),
            max_record_bytes: self.bytes("MAX_RECORD_BYTES")?,
            order_counts: self.parse("ORDER_COUNTS_WHEN", |when| match when {
                "created" => Ok(OrderCounts::Created),
                "paid" => Ok(OrderCounts::Paid),
                _ => Err("must be created or paid"),
            })?,
        })
    }

    /// Parses a setting that is a number within a range; `what` is the unit, for the message.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] if it is not such a number.
    pub fn number<T>(&self, name: &str, range: std::ops::RangeInclusive<T>, what: &str) -> Result<T, SettingsError>
    where
        T: std::str::FromStr + PartialOrd + Display,
    {
        self.parse(name, |text| {
            let number = text.parse().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| format!("must be a number of {what} from {} to {}", range.start(), range.end()))
        })
    }

    /// Parses a setting that is `true` or `false`.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] if it is neither.
    pub fn flag(&self, name: &str) -> Result<bool, SettingsError> {
        self.parse(name, |text| text.parse().map_err(|_| "must be true or false"))
    }

    /// Parses a setting that is a number of bytes from 1 to 100 MiB.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] if it is not such a number.
    pub fn bytes(&self, name: &str) -> Result<usize, SettingsError> {
        self.number(name, 1..=104_857_600, "bytes")
    }

    /// Parses a setting's value with `parse`, whose errors say what the value must be.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] if it is not set, or with the error of `parse`.
    pub fn parse<T, E: Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, SettingsError> {
        let value = self.required(name)?;
        parse(value).map_err(|error| {
            let secret = find(name).is_some_and(|setting| setting.secret);
            let error = error.to_string();
            let shown = harmless(value).filter(|value| !secret && !value.is_empty() && !error.contains(", got "));
            let got = shown.map(|value| format!(", got {value:?}")).unwrap_or_default();
            SettingsError::invalid(name, error + &got)
        })
    }
}

/// Finds `.env` in the current folder or in the nearest one above it.
fn nearest_dotenv() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join(".env")).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &str, environment: &[(&str, &str)]) -> Settings {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let dotenv = sources::dotenv("KAFKA_GROUP_ID=dotenv\nDEDUPE_DAYS=40").unwrap();
        Settings::layered([dotenv, sources::toml(file).unwrap(), sources::environment(environment.iter().map(owned))])
    }

    #[test]
    fn the_environment_overrides_the_file_the_file_dotenv_and_dotenv_the_default() {
        let of = |file: &str, env: &[_]| settings(file, env).get("KAFKA_GROUP_ID").map(str::to_owned);
        assert_eq!(settings("", &[]).get("DEDUPE_DAYS"), Some("40"));
        assert_eq!(settings("", &[]).get("MAX_RECORD_BYTES"), Some("1048576"));
        assert_eq!(of("", &[]).as_deref(), Some("dotenv"));
        assert_eq!(of("kafka_group_id = \"file\"", &[]).as_deref(), Some("file"));
        assert_eq!(of("kafka_group_id = \"file\"", &[("KAFKA_GROUP_ID", "env")]).as_deref(), Some("env"));
        assert_eq!(of("kafka_group_id = \"file\"", &[("KAFKA_GROUP_ID", " ")]).as_deref(), Some("file"));
    }

    #[test]
    fn a_message_says_what_a_value_must_be_and_shows_no_secret() {
        let settings =
            settings("", &[("JWT_SECRET", "hunter2"), ("DEDUPE_DAYS", "soon"), ("LOG_FORMAT", "Tr0ub4dor&3")]);
        let said = |error: SettingsError| error.to_string();
        let secret = settings.parse("JWT_SECRET", |_| Err::<(), _>("must have 32 bytes or more")).map_err(said);
        assert_eq!(secret, Err("JWT_SECRET: must have 32 bytes or more".into()));
        let days = settings.number("DEDUPE_DAYS", 1_u32..=9, "days").map_err(said);
        assert_eq!(days, Err("DEDUPE_DAYS: must be a number of days from 1 to 9, got \"soon\"".into()));
        let format = settings.parse("LOG_FORMAT", |_| Err::<(), _>("must be text or json")).map_err(said);
        assert_eq!(format, Err("LOG_FORMAT: must be text or json".into()), "the value could be a misplaced secret");
        assert_eq!(
            settings.required("KAFKA_BROKER").map_err(said).unwrap_err().split(':').next(),
            Some("KAFKA_BROKER")
        );
    }

    #[test]
    fn a_newline_at_the_end_of_the_secret_causes_a_warning() {
        assert!(settings("", &[("JWT_SECRET", "x")]).warnings().is_empty());
        assert_eq!(settings("", &[("JWT_SECRET", "x\n")]).warnings().len(), 1);
    }
}
