//! Writes a statement as CSV, digests and signs it.
//!
//! Each line begins with a cell that says what it is; the lines are in the order in which they are written here. The
//! digest is the SHA-256 of all lines before it, each followed by a line feed.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest as _, Sha256};

use super::cell::encoded;
use super::{Digest, Figures, InvalidSigningKey, PastRange, Rates, SigningKey, Statement};

/// The version of the form of the CSV.
pub(super) const FORM: &str = "2";

/// The form before, which lacks conversion and ratings. Such statements are still read, and written as they were.
pub(super) const FORM_WITHOUT_RATES: &str = "1";

/// The columns of the lines of days and sums, after the first cell.
pub(super) const COLUMNS: &str = "currency,day,orders,units,gross,refunds,adjustments,net";

/// The columns of the line of the conversion, after the first cell.
pub(super) const CONVERSION_COLUMNS: &str = "orders,views,value";

/// The columns of the line of the ratings, after the first cell.
pub(super) const RATINGS_COLUMNS: &str = "count,sum,1,2,3,4,5,value";

/// The columns of the lines of late events, after the first cell.
pub(super) const LATE_COLUMNS: &str = "id,type,occurredAt,currency,delta";

/// A statement as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The CSV: UTF-8, with line feeds.
    pub csv: String,
    /// The digest of the lines before that of the digest.
    pub digest: Digest,
    /// The signature; `None` if it is not signed.
    pub signature: Option<[u8; 64]>,
}

/// Why a statement cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotSeal {
    /// A sum is past the range.
    #[error(transparent)]
    PastRange(#[from] PastRange),
    /// The key cannot be used.
    #[error("STATEMENT_SIGNING_KEY: {0}")]
    Key(#[from] InvalidSigningKey),
}

impl Statement {
    /// Writes, digests and signs the statement.
    ///
    /// # Errors
    /// [`CannotSeal`].
    pub fn seal(mut self, key: Option<&SigningKey>) -> Result<Sealed, CannotSeal> {
        self.key = key.map(SigningKey::public);
        let lines = self.lines()?;
        let digest = digest(&lines);
        let signature = key.map(|key| key.sign(&digest)).transpose()?;
        let csv = written(lines, &digest, signature.as_ref());
        Ok(Sealed { csv, digest, signature })
    }

    /// Returns the lines before that of the digest.
    pub(super) fn lines(&self) -> Result<Vec<String>, PastRange> {
        let optional = |value: Option<String>| value.unwrap_or_default();
        let mut lines = vec![
            format!("statement,{}", if self.rates.is_some() { FORM } else { FORM_WITHOUT_RATES }),
            format!("vendor,{}", encoded(self.vendor.as_str())),
            format!("month,{}", self.month),
            format!("version,{}", self.version),
            format!("timezone,{}", encoded(&self.timezone)),
            format!("closedAt,{}", self.closed_at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            format!("asOf,{}", self.as_of),
            format!("rulesVersion,{}", self.rules_version),
            format!("provedAsOf,{}", optional(self.proved_as_of.map(|number| number.to_string()))),
            format!("openDeadLetters,{}", self.open_dead_letters),
        ];
        lines.extend(self.gaps.iter().map(|gap| format!("gap,{}", encoded(gap))));
        lines.push(format!("key,{}", optional(self.key.map(|key| key.to_string()))));
        lines.push(format!("previousDigest,{}", optional(self.previous.map(|digest| digest.to_string()))));
        lines.push(format!("eventsDigest,{}", self.events));
        lines.push(format!("columns,{COLUMNS}"));
        for (currency, days) in &self.currencies {
            for (day, figures) in days {
                lines.push(format!("line,{currency},{day},{}", numbers(*figures)?));
            }
            lines.push(format!("sum,{currency},,{}", numbers(Figures::sum(days.values())?)?));
        }
        lines.extend(self.rates.iter().flat_map(rates));
        if let Some(restatement) = &self.restatement {
            lines.push(format!("restates,{}", restatement.of));
            lines.push(format!("columns,{LATE_COLUMNS}"));
            lines.extend(restatement.late.iter().map(|late| {
                let id = optional(late.event.map(|id| id.to_string()));
                let (kind, time) = (encoded(&late.event_type), millis(late.occurred_at));
                format!("late,{id},{kind},{time},{},{}", late.currency, late.delta)
            }));
        }
        Ok(lines)
    }
}

fn rates(rates: &Rates) -> [String; 4] {
    let (conversion, ratings) = (rates.conversion, rates.ratings);
    let value = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    let stars = ratings.0.map(|count| count.to_string()).join(",");
    let (orders, views) = (conversion.numerator, conversion.denominator);
    [
        format!("columns,{CONVERSION_COLUMNS}"),
        format!("conversion,{orders},{views},{}", value(rates.conversion_value())),
        format!("columns,{RATINGS_COLUMNS}"),
        format!("ratings,{},{},{stars},{}", ratings.count(), ratings.sum(), value(rates.rating_value())),
    ]
}

fn millis(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn numbers(figures: Figures) -> Result<String, PastRange> {
    let Figures { orders, units, gross, refunds, adjustments } = figures;
    Ok(format!("{orders},{units},{gross},{refunds},{adjustments},{}", figures.net()?))
}

pub(super) fn digest<T: AsRef<str>>(lines: &[T]) -> Digest {
    let mut digest = Sha256::new();
    for line in lines {
        digest.update(line.as_ref());
        digest.update("\n");
    }
    Digest(digest.finalize().into())
}

fn written(mut lines: Vec<String>, digest: &Digest, signature: Option<&[u8; 64]>) -> String {
    lines.push(format!("digest,{digest}"));
    lines.push(format!("signature,{}", signature.map(|bytes| BASE64_STANDARD.encode(bytes)).unwrap_or_default()));
    lines.push(String::new());
    lines.join("\n")
}
