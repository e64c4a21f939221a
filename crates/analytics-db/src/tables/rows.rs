//! Encodes rows in COPY's binary format while they are sent, so that a batch is never held in
//! memory as rows.
//!
//! [The format](https://www.postgresql.org/docs/15/sql-copy.html) is a header, then each row as the
//! number of its fields and each field preceded by its length, then a trailer.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use diesel::result::Error;
use uuid::Uuid;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// Version of jsonb's binary format; the text follows it.
const JSONB: u8 = 1;
/// 2000-01-01, from which PostgreSQL counts microseconds, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;
/// Number of bytes that are buffered before they are sent.
const AT_ONCE: usize = 64 << 10;

/// The rows of one COPY.
pub(super) struct Rows<'a> {
    out: &'a mut dyn Write,
    unsent: Vec<u8>,
}

/// A value of a column.
pub(super) trait Field {
    /// Writes the length of the value, then the value.
    fn put(&self, out: &mut Vec<u8>);
}

/// JSON text that was checked when the record was decoded.
pub(super) struct Json<'a>(pub(super) &'a str);

impl<'a> Rows<'a> {
    /// Sends the rows that `write` produces for each item: one, several or none.
    pub(super) fn send<T>(
        out: &'a mut dyn Write,
        items: &[T],
        write: impl Fn(&mut Self, &T) -> io::Result<()>,
    ) -> Result<(), Error> {
        let mut rows = Self { out, unsent: HEADER.to_vec() };
        items
            .iter()
            .try_for_each(|item| write(&mut rows, item))
            .and_then(|()| rows.end())
            .map_err(|error| Error::SerializationError(Box::new(error)))
    }

    /// Adds a row, with a field for each column that the COPY names.
    pub(super) fn row<const N: usize>(&mut self, fields: [&dyn Field; N]) -> io::Result<()> {
        if self.unsent.len() >= AT_ONCE {
            self.out.write_all(&self.unsent)?;
            self.unsent.clear();
        }
        // A table has at most 1600 columns.
        self.unsent.extend(i16::try_from(N).unwrap_or(i16::MAX).to_be_bytes());
        fields.iter().for_each(|field| field.put(&mut self.unsent));
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        self.unsent.extend(TRAILER);
        self.out.write_all(&self.unsent)
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // A Kafka record is shorter than 2^31 bytes, and so is everything in it.
    out.extend(i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Some(field) => field.put(out),
            None => out.extend(NULL),
        }
    }
}

impl Field for &str {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.as_bytes());
    }
}

impl Field for Json<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(out, 1 + self.0.len());
        out.push(JSONB);
        out.extend_from_slice(self.0.as_bytes());
    }
}

impl Field for Uuid {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.as_bytes());
    }
}

impl Field for DateTime<Utc> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.timestamp_micros() - EPOCH).put(out);
    }
}

impl Field for bool {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, &[u8::from(*self)]);
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Field for $number {
            fn put(&self, out: &mut Vec<u8>) {
                put(out, &self.to_be_bytes());
            }
        }
    )*};
}

numbers!(i16 i32 i64);
