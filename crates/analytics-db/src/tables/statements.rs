//! `statements`: the statements of sellers, to which rows are only added.

use std::collections::HashSet;

use analytics_core::maps::HashMap;
use analytics_core::month::Month;
use analytics_core::statement::{Checked, Digest, PublicKey, Sealed, Wrong, check};
use chrono::{DateTime, NaiveDate, Utc};

use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// The statement of a seller that was closed last.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) position: i32,
    pub(crate) digest: Digest,
}

/// A statement to be stored.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) vendor: String,
    pub(crate) month: Month,
    pub(crate) version: u32,
    pub(crate) position: i32,
    pub(crate) closed_at: DateTime<Utc>,
    pub(crate) key: PublicKey,
    pub(crate) sealed: Sealed,
}

/// Returns the sellers that have a statement of the month.
pub(crate) fn vendors(connection: &mut Connection, month: Month) -> Result<Vec<String>, DbError> {
    row! {
        struct Row {
            vendor_id: String,
        }
    }
    let rows: Vec<Row> = statement("SELECT DISTINCT vendor_id FROM statements WHERE month = $1")
        .value(month.first())
        .load(connection)?;
    Ok(rows.into_iter().map(|row| row.vendor_id).collect())
}

/// Returns the last statements of sellers.
pub(crate) fn heads(connection: &mut Connection, vendors: &[&str]) -> Result<HashMap<String, Head>, DbError> {
    row! {
        struct Row {
            vendor_id: String,
            position: i32,
            digest: Vec<u8>,
        }
    }
    let rows: Vec<Row> = statement(
        "SELECT s.vendor_id, s.position, s.digest FROM unnest($1) AS v (id) \
         CROSS JOIN LATERAL (SELECT * FROM statements s WHERE s.vendor_id = v.id ORDER BY s.position DESC LIMIT 1) AS s",
    )
    .column(vendors.iter().copied())
    .load(connection)?;
    let head = |row: Row| {
        let digest = row.digest.try_into().map_err(|_| DbError::Unusable("a digest has not 32 bytes".into()))?;
        Ok((row.vendor_id, Head { position: row.position, digest: Digest(digest) }))
    };
    rows.into_iter().map(head).collect()
}

/// Returns the latest versions of sellers' statements of a month.
pub(crate) fn latest(
    connection: &mut Connection,
    month: Month,
    vendors: &[&str],
) -> Result<HashMap<String, Stored>, DbError> {
    let rows: Vec<Stored> = statement(format!(
        "SELECT {COLUMNS} FROM unnest($1) AS v (id) \
         CROSS JOIN LATERAL (SELECT * FROM statements s WHERE s.vendor_id = v.id AND s.month = $2 \
             ORDER BY s.version DESC LIMIT 1) AS s {CLOSING}"
    ))
    .column(vendors.iter().copied())
    .value(month.first())
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.vendor_id.clone(), row)).collect())
}

/// Stores statements, except those in whose place another run has stored one. Returns the sellers of those that it
/// stored.
pub(crate) fn store(connection: &mut Connection, closing: i64, new: &[New]) -> Result<HashSet<String>, DbError> {
    row! {
        struct Row {
            vendor_id: String,
        }
    }
    if new.is_empty() {
        return Ok(HashSet::new());
    }
    let number = |version: u32| i32::try_from(version).unwrap_or(i32::MAX);
    let rows: Vec<Row> = statement(
        "INSERT INTO statements (vendor_id, month, version, position, closing_id, closed_at, digest, key, csv) \
         SELECT n.vendor_id, n.month, n.version, n.position, $9, n.closed_at, n.digest, n.key, n.csv \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) \
             AS n (vendor_id, month, version, position, closed_at, digest, key, csv) \
         ON CONFLICT DO NOTHING RETURNING vendor_id",
    )
    .column(new.iter().map(|new| new.vendor.as_str()))
    .column(new.iter().map(|new| new.month.first()))
    .column(new.iter().map(|new| number(new.version)))
    .column(new.iter().map(|new| new.position))
    .column(new.iter().map(|new| new.closed_at))
    .column(new.iter().map(|new| new.sealed.digest.0.to_vec()))
    .column(new.iter().map(|new| new.key.0.to_vec()))
    .column(new.iter().map(|new| new.sealed.csv.as_str()))
    .value(closing)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.vendor_id).collect())
}

/// Returns at most `limit` statements after the one of a seller at a position, by seller and in the order in which they
/// were closed.
pub(crate) fn after(
    connection: &mut Connection,
    (vendor, position): (&str, i32),
    limit: i64,
) -> Result<Vec<Stored>, DbError> {
    Ok(statement(format!(
        "SELECT {COLUMNS} FROM statements s {CLOSING} WHERE (s.vendor_id, s.position) > ($1, $2) \
         ORDER BY s.vendor_id, s.position LIMIT $3"
    ))
    .value(vendor)
    .value(position)
    .value(limit)
    .load(connection)?)
}

/// The columns of [`Stored`], of `statements s` and [`CLOSING`].
pub(crate) const COLUMNS: &str =
    "s.vendor_id, s.month, s.version, s.position, s.closing_id, s.closed_at, c.as_of, s.digest, s.key, s.csv";
/// The closing of a statement.
pub(crate) const CLOSING: &str = "JOIN statement_closings c ON c.id = s.closing_id";

row! {
    /// A stored statement.
    #[derive(Debug)]
    pub struct Stored {
        /// The seller.
        pub vendor_id: String,
        /// The first day of its month.
        pub month: NaiveDate,
        /// From 1.
        pub version: i32,
        /// From 1, in the order in which the seller's statements were closed.
        pub position: i32,
        /// The run that closed it.
        pub(crate) closing_id: i64,
        /// When it was closed.
        pub closed_at: DateTime<Utc>,
        /// The number of the last batch that its closing includes.
        pub(crate) as_of: i64,
        /// Its digest.
        pub(crate) digest: Vec<u8>,
        /// The public key that signs it.
        pub(crate) key: Vec<u8>,
        /// The statement as CSV.
        pub csv: String,
    }
}

/// Why a stored statement does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// The CSV is not what was sealed.
    #[error("its CSV is wrong in {0}")]
    Csv(#[from] Wrong),
    /// The CSV is right by itself, but it is not the one of this row.
    #[error("its CSV has another {0} than its row")]
    Row(&'static str),
}

impl Stored {
    /// Returns the digest of the row; `None` if it is none.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest.as_slice().try_into().ok().map(Digest)
    }

    /// Reads the CSV, and checks it, its signature, and that it says the same as the row.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn checked(&self) -> Result<Checked, Damaged> {
        let checked = check(&self.csv)?;
        let (own, key) = (&checked.statement, checked.signer()?);
        for (what, is_equal) in [
            ("seller", own.vendor.as_str() == self.vendor_id),
            ("month", own.month.first() == self.month),
            ("version", i64::from(own.version) == i64::from(self.version)),
            ("time of closing", own.closed_at == self.closed_at),
            ("batch", own.as_of == self.as_of),
            ("digest", checked.digest.0[..] == self.digest),
            ("key", key.0[..] == self.key),
        ] {
            if !is_equal {
                return Err(Damaged::Row(what));
            }
        }
        Ok(checked)
    }
}
