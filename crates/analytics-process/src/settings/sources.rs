//! The sources of settings: the environment, `.env` and a TOML file. Errors in a file name the
//! line; they never repeat its text, because it may be a secret.

use std::collections::BTreeMap;
use std::fs;

use dotenvy::Error as DotenvError;

use super::catalogue::{find, probably_meant};
use super::{FILE, SettingsError};

/// The settings of one source, and warnings to write once logging has started.
#[derive(Default)]
pub(super) struct Source {
    pub(super) values: BTreeMap<&'static str, String>,
    pub(super) warnings: Vec<String>,
}

/// Reads the settings in the environment. An unknown name may belong to another program in the same
/// pod or shell: it causes a warning only if it resembles the name of a setting.
pub(super) fn environment(variables: impl IntoIterator<Item = (String, String)>) -> Source {
    let mut source = Source::default();
    for (name, value) in variables {
        match find(&name) {
            // Compose files and charts leave a variable empty to say that it is not set.
            Some(_) if value.trim().is_empty() => {}
            Some(setting) => drop(source.values.insert(setting.name, value)),
            None => source.warnings.extend(
                probably_meant(&name).map(|known| format!("{name} is not a setting, is {known} meant? It is ignored")),
            ),
        }
    }
    source
}

/// Reads the settings in the text of a `.env` file. Lines of other programs are ignored, even if
/// they cannot be parsed.
///
/// # Errors
/// [`SettingsError`] if a line with a setting, or the text as a whole, cannot be parsed.
pub(super) fn dotenv(text: &str) -> Result<Source, SettingsError> {
    let mut lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    let mut unreadable = Vec::new();
    loop {
        let read: Result<Vec<_>, _> = dotenvy::from_read_iter((lines.join("\n") + "\n").as_bytes()).collect();
        let rest = match read {
            Ok(entries) => {
                let mut source = environment(entries);
                source.warnings.extend(unreadable);
                return Ok(source);
            }
            Err(DotenvError::LineParse(rest, _)) => rest,
            Err(_) => return Err(SettingsError::Sentence(".env: must be UTF-8 text".into())),
        };
        // The parser returns the text that it could not parse, but not its position. An open quote
        // also swallows the lines after it, so everything is parsed again without the faulty line.
        let end = rest.lines().next().unwrap_or_default().trim_end();
        let is_meant = |line: &&mut &str| !line.is_empty() && line.trim_end().ends_with(end) && !reads_alone(line);
        let Some((number, line)) = (1..).zip(&mut lines).find(|(_, line)| is_meant(line)) else {
            return Err(SettingsError::Sentence(".env: cannot be read; is a closing quote missing?".into()));
        };
        let name = line.trim_start().trim_start_matches("export ").split('=').next().unwrap_or_default().trim();
        if let Some(setting) = find(name) {
            return Err(SettingsError::Sentence(format!(
                ".env: line {number}: {} cannot be read; put a value with spaces or special characters in single \
                 quotes",
                setting.name
            )));
        }
        unreadable.push(format!(".env: line {number} cannot be read and is ignored"));
        *line = "";
    }
}

/// Returns whether the line can be parsed on its own.
fn reads_alone(line: &str) -> bool {
    dotenvy::from_read_iter(line.as_bytes()).all(|entry| entry.is_ok())
}

/// Reads the settings in the TOML file at `path`.
///
/// # Errors
/// [`SettingsError`] if the file cannot be read or is not TOML, if a name in it is not a setting,
/// or if a value is neither a string, a number nor a boolean.
pub(super) fn toml_file(path: &str) -> Result<Source, SettingsError> {
    let text = fs::read_to_string(path)
        .map_err(|error| SettingsError::Sentence(format!("{FILE}: the file cannot be read: {}", error.kind())))?;
    toml(&text)
}

/// Reads the settings in TOML text; names may be in lower or upper case.
///
/// # Errors
/// As [`toml_file`].
pub(super) fn toml(text: &str) -> Result<Source, SettingsError> {
    let wrong = |line: usize, why: &str| SettingsError::Sentence(format!("{FILE}: line {line}: {why}"));
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        wrong(line, "must be TOML with strings in double quotes, such as kafka_group_id = \"analytics\"")
    })?;
    let mut source = Source::default();
    for (name, value) in table {
        let line = text.lines().position(|line| line.trim_start().starts_with(&name)).map_or(1, |index| index + 1);
        let upper = name.to_ascii_uppercase();
        let Some(setting) = find(&upper) else {
            let hint = probably_meant(&upper).map(|known| format!("; is {known} meant?")).unwrap_or_default();
            return Err(wrong(line, &format!("is not a setting{hint}")));
        };
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            _ => return Err(wrong(line, &format!("{} must be a string, a number or a boolean", setting.name))),
        };
        source.values.insert(setting.name, value);
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T>(read: Result<T, SettingsError>) -> String {
        read.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn names_that_resemble_a_setting_cause_a_warning_and_others_do_not() {
        for (name, mentioned) in [
            ("KAFKA_BROKERS", true),
            ("KAFKA_TOPIC", true),
            ("DATABASE_URI", true),
            ("KAFKA_PORT", false),
            ("KAFKA_SERVICE_HOST", false),
            ("KAFKA_HOME", false),
            ("KAFKA_OPTS", false),
            ("POSTGRES_PORT", false),
            ("API_PORT", false),
            ("PATH", false),
        ] {
            let source = environment([(name.to_owned(), "x".to_owned())]);
            assert!(source.values.is_empty());
            assert_eq!(source.warnings.len(), usize::from(mentioned), "{name}: {:?}", source.warnings);
        }
    }

    #[test]
    fn only_settings_are_read_from_an_env_file() {
        let text = "# a comment\nAPP_NAME=My Shop\nexport KAFKA_GROUP_ID='a b'\nJWT_SECRET=\"x y\"\nHALF=\"open\n";
        let source = dotenv(text).unwrap();
        assert_eq!(source.values.get("KAFKA_GROUP_ID").map(String::as_str), Some("a b"));
        assert_eq!(source.values.get("JWT_SECRET").map(String::as_str), Some("x y"));
        assert_eq!(source.values.len(), 2);
        assert_eq!(source.warnings, [2, 5].map(|line| format!(".env: line {line} cannot be read and is ignored")));
    }

    #[test]
    fn an_unreadable_line_with_a_setting_is_named_without_its_text() {
        for text in [
            "A=1\nJWT_SECRET=correct horse battery\n",
            "A=correct horse\nJWT_SECRET=correct horse\n",
            "A=1\n  export JWT_SECRET=correct 'horse\n",
        ] {
            let sentence = said(dotenv(text));
            assert!(sentence.starts_with(".env: line 2: JWT_SECRET cannot be read"), "{text}: {sentence}");
            assert!(!sentence.contains("horse") && !sentence.contains("correct"), "{sentence}");
        }
    }

    #[test]
    fn errors_in_a_toml_file_name_the_line() {
        for (text, expected) in [
            ("kafka_group_id = \"g\"\njwt_secret = correct horse\n", "ANALYTICS_CONFIG: line 2: must be TOML"),
            ("jwt_secret = \"correct horse\n", "ANALYTICS_CONFIG: line 1: must be TOML"),
            ("correct horse\n", "ANALYTICS_CONFIG: line 1: must be TOML"),
            ("\nkafka_brokr = \"x\"\n", "ANALYTICS_CONFIG: line 2: is not a setting; is KAFKA_BROKER meant?"),
            ("colour = \"red\"\n", "ANALYTICS_CONFIG: line 1: is not a setting"),
            (
                "jwt_secret = [\"correct horse\"]\n",
                "ANALYTICS_CONFIG: line 1: JWT_SECRET must be a string, a number or a boolean",
            ),
        ] {
            let sentence = said(toml(text));
            assert!(sentence.starts_with(expected), "{text}: {sentence}");
            assert!(!sentence.contains("horse") && !sentence.contains("red"), "{sentence}");
        }
        let source = toml("dedupe_days = 40\nKAFKA_GROUP_ID = \"g\"\n").unwrap();
        assert_eq!(source.values.get("DEDUPE_DAYS").map(String::as_str), Some("40"));
        assert_eq!(source.values.get("KAFKA_GROUP_ID").map(String::as_str), Some("g"));
    }
}
