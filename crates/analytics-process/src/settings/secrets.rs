//! The second line of defence: texts that are known to be secret are taken out of everything that is
//! written to the log, whoever wrote it.

use std::sync::{OnceLock, PoisonError, RwLock};

/// Shorter secrets are not looked for: they would be found in the middle of words.
const SHORTEST: usize = 6;
/// What stands in the place of a secret.
const MASK: &str = "[secret]";

static SECRETS: OnceLock<RwLock<Vec<String>>> = OnceLock::new();

/// Takes texts out of the log from now on: the longer first, since one may be a part of another.
pub(super) fn hide(texts: impl IntoIterator<Item = String>) {
    let mut secrets = SECRETS.get_or_init(RwLock::default).write().unwrap_or_else(PoisonError::into_inner);
    secrets.extend(texts.into_iter().filter(|text| text.len() >= SHORTEST));
    secrets.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    secrets.dedup();
}

/// The text without the secrets that are known.
#[must_use]
pub(crate) fn masked(text: &str) -> String {
    let Some(secrets) = SECRETS.get() else { return text.to_owned() };
    let secrets = secrets.read().unwrap_or_else(PoisonError::into_inner);
    secrets.iter().fold(text.to_owned(), |text, secret| {
        if text.contains(secret.as_str()) { text.replace(secret.as_str(), MASK) } else { text }
    })
}

/// Parts of names whose values are secret, also misspelled.
const SECRET_NAMES: [&str; 7] = ["pas", "pwd", "word", "secret", "token", "key", "jaas"];

/// What is secret in the value of a setting that may hold a secret: the value itself, its lines, the values of
/// entries whose names sound secret, and the password before `@`.
pub(super) fn parts(value: &str) -> impl Iterator<Item = String> {
    let whole = std::iter::once(value.trim());
    let lines = value.lines().map(str::trim);
    let sounds_secret = |name: &str| SECRET_NAMES.iter().any(|part| name.to_ascii_lowercase().contains(part));
    let entries = value.split([',', '\n', '&', '?', ' ']).filter_map(|entry| entry.split_once('='));
    let values = entries.filter(|(name, _)| sounds_secret(name)).map(|(_, value)| value);
    let password = value.rsplit_once('@').and_then(|(before, _)| before.split_once("://")?.1.split_once(':'));
    let password = password.map(|(_, password)| password);
    let all: Vec<String> = whole
        .chain(lines)
        .chain(values)
        .chain(password)
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
            ("sasl.username=u,sasl.password=hunter22", "hunter22"),
            ("sasl.username=u\nsasl.password=hunter22\n", "hunter22"),
        ] {
            assert!(parts(value).any(|part| part == secret), "{value}");
        }
    }

    #[test]
    fn what_is_hidden_is_masked_the_longest_first() {
        hide(["hidden-one".to_owned(), "hidden-one-and-more".to_owned(), "short".to_owned()]);
        assert_eq!(masked("a hidden-one-and-more b hidden-one c short"), "a [secret] b [secret] c short");
    }
}
