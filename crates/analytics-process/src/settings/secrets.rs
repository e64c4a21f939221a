//! Masks known secrets in everything that is written to the log, whatever code logs it: a second
//! line of defence.

use std::sync::{OnceLock, PoisonError, RwLock};

/// Secrets with fewer bytes are not masked: they would match parts of ordinary words.
const SHORTEST: usize = 6;
/// The text that replaces a secret.
const MASK: &str = "[secret]";

static SECRETS: OnceLock<RwLock<Vec<String>>> = OnceLock::new();

/// Masks these texts in the log from now on. Longer ones are replaced first, since one may be part
/// of another.
pub(super) fn hide(texts: impl IntoIterator<Item = String>) {
    let mut secrets = SECRETS.get_or_init(RwLock::default).write().unwrap_or_else(PoisonError::into_inner);
    secrets.extend(texts.into_iter().filter(|text| text.len() >= SHORTEST));
    secrets.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    secrets.dedup();
}

/// Returns the text with all known secrets masked.
#[must_use]
pub(crate) fn masked(text: &str) -> String {
    let Some(secrets) = SECRETS.get() else { return text.to_owned() };
    let secrets = secrets.read().unwrap_or_else(PoisonError::into_inner);
    secrets.iter().fold(text.to_owned(), |text, secret| {
        if text.contains(secret.as_str()) { text.replace(secret.as_str(), MASK) } else { text }
    })
}

/// Parts of names whose values are secret; short enough to match misspelled names, too.
const SECRET_NAMES: [&str; 7] = ["pas", "pwd", "word", "secret", "token", "key", "jaas"];

/// Returns the texts to mask in the value of a secret setting: the value itself, its lines, the
/// values of entries whose names suggest a secret, the password of a URL, and the path of a web address, which
/// libraries may log without the host.
pub(super) fn parts(value: &str) -> impl Iterator<Item = String> {
    let whole = std::iter::once(value.trim());
    let lines = value.lines().map(str::trim);
    let sounds_secret = |name: &str| SECRET_NAMES.iter().any(|part| name.to_ascii_lowercase().contains(part));
    let entries = value.split([',', '\n', '&', '?', ' ']).filter_map(|entry| entry.split_once('='));
    let values = entries.filter(|(name, _)| sounds_secret(name)).map(|(_, value)| value);
    let password = value.rsplit_once('@').and_then(|(before, _)| before.split_once("://")?.1.split_once(':'));
    let password = password.map(|(_, password)| password);
    let address = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let path = address.and_then(|address| address.split_once('/')).map(|(_, path)| path);
    let all: Vec<String> = whole
        .chain(lines)
        .chain(values)
        .chain(password)
        .chain(path)
        .map(|text| text.trim_matches(['\'', '"', ' ']).to_owned())
        .collect();
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_in_every_kind_of_setting() {
        for (value, secret) in [
            ("a secret of some length", "a secret of some length"),
            ("postgresql://u:p%40ssword@h/d", "p%40ssword"),
            ("postgresql://u:pass@word@h/d", "pass@word"),
            ("host=h password='hunter22' dbname=d", "hunter22"),
            ("https://hooks.example.com/services/T0/B0/key", "services/T0/B0/key"),
            ("sasl.username=u,sasl.password=hunter22", "hunter22"),
            ("sasl.username=u\nsasl.password=hunter22\n", "hunter22"),
        ] {
            assert!(parts(value).any(|part| part == secret), "{value}");
        }
    }

    #[test]
    fn hidden_texts_are_masked_longest_first() {
        hide(["hidden-one".to_owned(), "hidden-one-and-more".to_owned(), "short".to_owned()]);
        assert_eq!(masked("a hidden-one-and-more b hidden-one c short"), "a [secret] b [secret] c short");
    }
}
