//! Splits a stream of JSON texts into records: one per line, or several lines long, or several on
//! one line.
//!
//! At most the bytes of one record are held. After a text that is not JSON, reading continues with
//! the next line that begins with `{`, so that a truncated line hides at most one record after it.

use std::io::{self, BufRead, ErrorKind, Read};

use analytics_core::rejection::{Reason, Rejection};
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// One record of a stream.
pub(super) struct Found {
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    /// Its bytes, or why they cannot be those of an event.
    pub(super) payload: Result<Vec<u8>, Rejection>,
}

/// The records of a stream.
pub(super) struct Records<R> {
    source: Source<R>,
    /// Greatest size of a record, in bytes.
    limit: usize,
}

impl<R: BufRead> Records<R> {
    /// `limit` is the greatest size of a record, in bytes.
    pub(super) fn new(mut input: R, limit: usize) -> io::Result<Self> {
        const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
        if input.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        let source = Source { input, next: Position { line: 1, column: 1 }, last: None, given_back: false, room: 0 };
        Ok(Self { source, limit })
    }

    /// Returns the next record; `None` at the end of the stream.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        while self.source.peek()?.is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.source.advance()?;
        }
        let begin = self.source.next;
        let payload = match self.source.peek()? {
            None => return Ok(None),
            Some(b'{' | b'[') => self.value(begin)?,
            Some(_) => self.rest_of_line(begin)?,
        };
        Ok(Some(Found { line: begin.line, payload }))
    }

    /// Reads an object or an array up to its last bracket.
    fn value(&mut self, begin: Position) -> io::Result<Result<Vec<u8>, Rejection>> {
        self.source.room = self.limit;
        let value = Deserializer::from_reader(&mut self.source).into_iter::<Box<RawValue>>().next().transpose();
        let rejection = match value {
            Ok(value) => {
                let text = value.map(Box::<str>::from).unwrap_or_default();
                return Ok(Ok(text.into_string().into_bytes()));
            }
            Err(error) => match error.io_error_kind() {
                Some(ErrorKind::FileTooLarge) => self.too_large(),
                Some(_) => return Err(error.into()),
                None => not_json(&error, begin),
            },
        };
        self.source.resume(begin)?;
        Ok(Err(rejection))
    }

    /// Reads what can only be the text of one line.
    fn rest_of_line(&mut self, begin: Position) -> io::Result<Result<Vec<u8>, Rejection>> {
        let mut text = Vec::new();
        while let Some(byte) = self.source.advance()?.filter(|byte| *byte != b'\n') {
            if text.len() <= self.limit {
                text.push(byte);
            }
        }
        if text.len() > self.limit {
            return Ok(Err(self.too_large()));
        }
        let syntax = serde_json::from_slice::<&RawValue>(&text).map(drop);
        Ok(syntax.map(|()| text).map_err(|error| not_json(&error, begin)))
    }

    fn too_large(&self) -> Rejection {
        let detail = format!("the record has more than {} bytes, the value of MAX_RECORD_BYTES", self.limit);
        Rejection::new(Reason::TooLarge, detail)
    }
}

/// Returns the rejection of a text that begins at `begin`. The position in the error is that within
/// the text; the detail names the one within the stream.
fn not_json(error: &serde_json::Error, begin: Position) -> Rejection {
    let (line, column) = match error.line() {
        0 | 1 => (begin.line, begin.column + error.column().saturating_sub(1)),
        later => (begin.line + later - 1, error.column()),
    };
    let message = error.to_string();
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    Rejection::new(Reason::NotJson, format!("the record is not JSON: {what} at line {line} column {column}"))
}

/// A line and a column, from 1.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

/// A stream that is read byte by byte.
struct Source<R> {
    input: R,
    /// The position of the next byte.
    next: Position,
    /// The byte before it.
    last: Option<u8>,
    /// Whether the last byte was given back, to be taken again.
    given_back: bool,
    /// How many more bytes a parser may read.
    room: usize,
}

impl<R: BufRead> Source<R> {
    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.given_back { Ok(self.last) } else { Ok(self.input.fill_buf()?.first().copied()) }
    }

    fn advance(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if byte.is_some() && !std::mem::take(&mut self.given_back) {
            self.input.consume(1);
        }
        self.last = byte;
        match byte {
            Some(b'\n') => self.next = Position { line: self.next.line + 1, column: 1 },
            Some(_) => self.next.column += 1,
            None => {}
        }
        Ok(byte)
    }

    /// Moves to the next line that begins with `{`, after a parser failed on the text at `begin`.
    fn resume(&mut self, begin: Position) -> io::Result<()> {
        // The parser has taken the byte at which it failed, which may be the first of that line.
        if self.last == Some(b'{') && self.next.column == 2 && self.next.line > begin.line {
            self.given_back = true;
            self.next.column = 1;
        }
        while self.peek()?.is_some_and(|byte| byte != b'{' || self.next.column != 1) {
            self.advance()?;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(first) = into.first_mut() else { return Ok(0) };
        self.room = self.room.checked_sub(1).ok_or(ErrorKind::FileTooLarge)?;
        let Some(byte) = self.advance()? else { return Ok(0) };
        *first = byte;
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a text; each record is its line with its bytes or the reason.
    fn split(text: &[u8]) -> Vec<(usize, String)> {
        let mut records = Records::new(text, 20).unwrap();
        let found = std::iter::from_fn(|| records.next().unwrap());
        let shown = |found: Found| match found.payload {
            Ok(bytes) => (found.line, String::from_utf8(bytes).unwrap()),
            Err(rejection) => (found.line, rejection.reason.code().to_owned()),
        };
        found.map(shown).collect()
    }

    #[test]
    fn a_stream_is_split_into_its_records() {
        for (text, expected) in [
            (&b""[..], &[][..]),
            (b" \n\r\n", &[]),
            (b"{\"a\":1}\n{\"b\":2}\n", &[(1, "{\"a\":1}"), (2, "{\"b\":2}")]),
            (b"\xEF\xBB\xBF{}\r\n\r\n {}", &[(1, "{}"), (3, "{}")]),
            (b"{\n \"a\": {}\n}\n{}{}", &[(1, "{\n \"a\": {}\n}"), (4, "{}"), (4, "{}")]),
            (b"[1,\n2]\nnull\n\"text\"", &[(1, "[1,\n2]"), (3, "null"), (4, "\"text\"")]),
            // What is not JSON ends before the next line that begins with an object.
            (b"{\"a\":1\n{}\n", &[(1, "not_json"), (2, "{}")]),
            (b"{\"a\":\"x\n{}\n", &[(1, "not_json"), (2, "{}")]),
            (b"{\"a\":1,}\n{}\n", &[(1, "not_json"), (2, "{}")]),
            (b"{\n  \"a\" 1,\n  \"b\": 2\n}\n{}\n", &[(1, "not_json"), (5, "{}")]),
            (b"{\"a\":\"\xff\"}\n{}\n", &[(1, "not_json"), (2, "{}")]),
            (b"nonsense\n{}\n\xff\n}", &[(1, "not_json"), (2, "{}"), (3, "not_json"), (4, "not_json")]),
            (b"{} x\n{", &[(1, "{}"), (1, "not_json"), (2, "not_json")]),
            // At most 20 bytes.
            (b"{\"a\":\"0123456789ab\"}", &[(1, "{\"a\":\"0123456789ab\"}")]),
            (b"{\"a\":\"0123456789abc\"}\n{}", &[(1, "too_large"), (2, "{}")]),
            (b"{\"a\":\n{\"b\":\n\"0123456789abc\"}}\n{}", &[(1, "too_large"), (4, "{}")]),
            (b"nonsense nonsense nonsense\n{}", &[(1, "too_large"), (2, "{}")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(line, record)| (*line, (*record).to_owned())).collect();
            assert_eq!(split(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_syntax_error_has_its_position_in_the_stream() {
        for (text, position) in [
            (&b"{}\n{\"a\":1,}"[..], "line 2 column 8"),
            (b"{} {\"a\":1,}", "line 1 column 11"),
            (b"{}\n{\n\"a\" 1}", "line 3 column 5"),
            (b"{}\n {\"a\":", "line 2 column 6"),
            (b"{}\n  nonsense", "line 2 column 4"),
        ] {
            let mut records = Records::new(text, 100).unwrap();
            let last = std::iter::from_fn(|| records.next().unwrap()).last().unwrap();
            let detail = last.payload.unwrap_err().detail;
            assert!(detail.ends_with(&format!(" at {position}")), "{}: {detail}", String::from_utf8_lossy(text));
        }
    }
}
