//! Checks the statements of sellers: that each is the one that was sealed, and that each names the one before it.
//!
//! Whoever can write into the table can also sign with a key of their own. Other statements of the seller show that,
//! unless it is the last one that was replaced; and so do the keys that are known from elsewhere.

use analytics_core::statement::PublicKey;

use super::{Difference, Findings, VerifyError, Watcher};
use crate::Connection;
use crate::tables::statements::{self, Stored};

/// Number of statements that are in memory at once.
const PIECE: i64 = 500;

/// A statement, for what has to follow it.
struct Before {
    vendor: String,
    position: i32,
    /// Its digest; `None` if it is damaged.
    digest: Option<Vec<u8>>,
}

/// Finds statements that were changed, and missing ones that a later statement of the seller follows. Rows are only
/// added, so each piece may be read by itself.
pub(super) fn check(
    connection: &mut Connection,
    signers: &[PublicKey],
    watcher: &Watcher<'_>,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let mut before: Option<Before> = None;
    loop {
        watcher.check()?;
        let last = before.as_ref().map_or(("", 0), |before| (before.vendor.as_str(), before.position));
        let piece = statements::after(connection, last, PIECE)?;
        if piece.is_empty() {
            return Ok(());
        }
        for stored in piece {
            findings.keys_checked += 1;
            let of_seller = before.take().filter(|before| before.vendor == stored.vendor_id);
            let problem = problem(&stored, of_seller.as_ref(), signers);
            let digest = problem.is_none().then_some(stored.digest);
            before = Some(Before { vendor: stored.vendor_id.clone(), position: stored.position, digest });
            findings.differences.extend(problem.map(|problem| Difference::Statement {
                vendor: stored.vendor_id,
                month: stored.month,
                version: stored.version,
                problem,
            }));
        }
    }
}

/// Returns what is wrong with a statement, which follows another one of its seller.
fn problem(stored: &Stored, before: Option<&Before>, signers: &[PublicKey]) -> Option<String> {
    let checked = match stored.checked() {
        Ok(checked) => checked,
        Err(damaged) => return Some(damaged.to_string()),
    };
    if let Some(other) = (!signers.is_empty()).then(|| checked.signed_by(signers).err()).flatten() {
        return Some(other.why);
    }
    if stored.position != before.map_or(0, |before| before.position).saturating_add(1) {
        return Some("its seller's statement that was closed before it is missing".into());
    }
    let previous = checked.statement.previous;
    let follows = match before {
        None => previous.is_none(),
        // What is wrong with that one was reported.
        Some(Before { digest: None, .. }) => true,
        Some(Before { digest: Some(digest), .. }) => previous.is_some_and(|previous| previous.0[..] == digest[..]),
    };
    (!follows).then(|| "it names another statement as the one that was closed before it".into())
}
