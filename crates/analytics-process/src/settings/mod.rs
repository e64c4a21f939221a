//! Settings: the environment first, under it an optional TOML file, `.env` in development.
//!
//! Values stay text here; each process turns those that it needs into one validated struct.
//! Nothing in this module ever shows a value in a message unless it is not a secret.

mod catalogue;

use std::collections::BTreeMap;
use std::fmt::Display;

use analytics_core::business::Business;
use analytics_core::decode::{Decoder, Redaction};
use analytics_core::topics::Topics;

pub use catalogue::{SETTINGS, Setting};

/// The environment variable that names the TOML file.
const FILE: &str = "ANALYTICS_CONFIG";

/// Names this close to a setting's are taken for a misspelling of it.
const MISSPELLED: f64 = 0.9;

/// What is wrong with the settings, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value that cannot be used, or none where one is needed.
    #[error("{name} {problem}")]
    Invalid {
        /// Which setting.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A whole sentence: a file that cannot be read, settings that do not go together.
    #[error("{0}")]
    Sentence(String),
}

impl SettingsError {
    /// An error about one setting: `problem` continues the sentence that its name begins.
    pub fn invalid(name: &str, problem: impl Display) -> Self {
        Self::Invalid { name: name.to_owned(), problem: problem.to_string() }
    }
}

/// The settings as text, by name.
#[derive(Clone)]
pub struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// Reads `.env`, the file that `ANALYTICS_CONFIG` names, and the environment over both.
    ///
    /// # Errors
    /// A file that cannot be read, a name in the file that is no setting, a variable that looks
    /// like a misspelled one.
    pub fn load() -> Result<Self, SettingsError> {
        match dotenvy::dotenv() {
            Err(error) if !error.not_found() => return Err(SettingsError::Sentence(format!(".env: {error}"))),
            _ => {}
        }
        let file = std::env::var(FILE).ok().filter(|path| !path.is_empty());
        let file = file.map(|path| read_file(&path)).transpose()?.unwrap_or_default();
        Self::from_sources(
            file,
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        )
    }

    /// Puts settings together from a file's entries and the environment.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_sources(
        file: BTreeMap<String, String>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut values = BTreeMap::new();
        for (name, value) in file {
            let upper = name.to_ascii_uppercase();
            let Some(setting) = find(&upper) else {
                let hint = misspelled(&upper).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
                return Err(SettingsError::invalid(&name, format!("in the file is no setting{hint}")));
            };
            values.insert(setting.name, value);
        }
        for (name, value) in environment {
            match find(&name) {
                // An empty variable is how compose files and charts write "not set".
                Some(setting) if !value.trim().is_empty() => {
                    values.insert(setting.name, value);
                }
                Some(_) => {}
                None => {
                    if let Some(known) = misspelled(&name) {
                        return Err(SettingsError::invalid(&name, format!("is no setting; did you mean {known}?")));
                    }
                }
            }
        }
        Ok(Self(values))
    }

    /// A setting's value, or its default; `None` where it has neither.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let default = || find(name).and_then(|setting| setting.default);
        self.0.get(name).map(String::as_str).or_else(default).map(str::trim)
    }

    /// The value of a setting that the process cannot do without.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] where it is not set.
    pub fn required(&self, name: &str) -> Result<&str, SettingsError> {
        let about = find(name).map_or("", |setting| setting.about);
        self.get(name).ok_or_else(|| SettingsError::invalid(name, format!("is not set: {about}")))
    }

    /// `BASE_CURRENCY` and `BUSINESS_TIMEZONE`, which every process needs to agree on.
    ///
    /// # Errors
    /// [`SettingsError`] for a value that is no currency or no timezone.
    pub fn business(&self) -> Result<Business, SettingsError> {
        Business::parse(self.required("BASE_CURRENCY")?, self.required("BUSINESS_TIMEZONE")?)
            .map_err(|error| SettingsError::Sentence(error.to_string()))
    }

    /// How records become events: by the settings that everything that counts has to agree on.
    ///
    /// # Errors
    /// [`SettingsError`] naming the setting that cannot be used.
    pub fn decoder(&self) -> Result<Decoder, SettingsError> {
        let extra = self.get("KAFKA_EXTRA_TOPICS").unwrap_or_default();
        // The two lists are judged together: a topic may stand in one of them only.
        let topics =
            self.parse("KAFKA_TOPICS", |mapping| Topics::parse(mapping, "").and(Topics::parse(mapping, extra)))?;
        Ok(Decoder {
            topics,
            business: self.business()?,
            redaction: Redaction::parse(self.get("REDACT_FIELDS").unwrap_or_default()),
            max_record_bytes: self.bytes("MAX_RECORD_BYTES")?,
        })
    }

    /// A setting that is a number of bytes, up to 100 MiB.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] where it is none.
    pub fn bytes(&self, name: &str) -> Result<usize, SettingsError> {
        self.parse(name, |bytes| match bytes.parse() {
            Ok(bytes @ 1..=104_857_600) => Ok(bytes),
            _ => Err("it is a number of bytes from 1 to 104857600"),
        })
    }

    /// A setting's value, read by `parse`.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] where it is not set, or with what `parse` says.
    pub fn parse<T, E: Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, SettingsError> {
        let value = self.required(name)?;
        parse(value).map_err(|error| SettingsError::invalid(name, problem(name, value, &error)))
    }
}

/// The sentence's end for a value that cannot be used; a secret value is not repeated.
fn problem(name: &str, value: &str, error: &impl Display) -> String {
    if find(name).is_some_and(|setting| setting.secret) {
        format!("cannot be used: {error}")
    } else {
        format!("cannot be {value:?}: {error}")
    }
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The setting that a name is probably meant to be. Names that platforms set by themselves
/// (`KAFKA_PORT` of a Kubernetes service) are not close enough to any.
fn misspelled(name: &str) -> Option<&'static str> {
    let close = |setting: &&Setting| strsim::normalized_damerau_levenshtein(name, setting.name) >= MISSPELLED;
    SETTINGS.iter().find(close).map(|setting| setting.name)
}

/// Every entry of a TOML file, as text.
fn read_file(path: &str) -> Result<BTreeMap<String, String>, SettingsError> {
    let unreadable = |error: config::ConfigError| SettingsError::Sentence(format!("{FILE}: {error}"));
    let file = config::Config::builder()
        .add_source(config::File::new(path, config::FileFormat::Toml))
        .build()
        .map_err(unreadable)?;
    file.try_deserialize().map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::from_sources(file.iter().map(owned).collect(), environment.iter().map(owned))
    }

    #[test]
    fn the_environment_overrules_the_file_and_the_file_the_default() {
        let of = |file: &[_], env: &[_]| settings(file, env).unwrap().get("KAFKA_GROUP_ID").map(str::to_owned);
        assert_eq!(of(&[], &[]).as_deref(), Some("analytics-ingest"));
        assert_eq!(of(&[("kafka_group_id", "file")], &[]).as_deref(), Some("file"));
        assert_eq!(of(&[("kafka_group_id", "file")], &[("KAFKA_GROUP_ID", "env")]).as_deref(), Some("env"));
        assert_eq!(of(&[("kafka_group_id", "file")], &[("KAFKA_GROUP_ID", " ")]).as_deref(), Some("file"));
    }

    #[test]
    fn a_misspelled_name_is_refused_with_the_right_one() {
        let sentence = |file: &[_], env: &[_]| settings(file, env).err().map(|error| error.to_string());
        assert_eq!(
            sentence(&[], &[("KAFKA_BROKERS", "x:9092")]).as_deref(),
            Some("KAFKA_BROKERS is no setting; did you mean KAFKA_BROKER?")
        );
        assert_eq!(
            sentence(&[("kafka_brokr", "x")], &[]).as_deref(),
            Some("kafka_brokr in the file is no setting; did you mean KAFKA_BROKER?")
        );
        assert_eq!(sentence(&[("colour", "red")], &[]).as_deref(), Some("colour in the file is no setting"));
    }

    #[test]
    fn what_platforms_set_by_themselves_is_left_alone() {
        for name in
            ["KAFKA_PORT", "KAFKA_SERVICE_HOST", "KAFKA_HOME", "KAFKA_OPTS", "POSTGRES_PORT", "API_PORT", "PATH"]
        {
            assert!(settings(&[], &[(name, "x")]).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_secret_never_stands_in_a_message() {
        let settings = settings(&[], &[("JWT_SECRET", "hunter2"), ("DEDUPE_DAYS", "soon")]).unwrap();
        let secret = settings.parse("JWT_SECRET", |_| Err::<(), _>("too short")).unwrap_err();
        assert_eq!(secret.to_string(), "JWT_SECRET cannot be used: too short");
        let plain = settings.parse("DEDUPE_DAYS", str::parse::<u16>).unwrap_err();
        assert_eq!(plain.to_string(), "DEDUPE_DAYS cannot be \"soon\": invalid digit found in string");
    }
}
