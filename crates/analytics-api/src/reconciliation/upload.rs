//! Reads the list in the body of a request.

use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::time::Duration;

use actix_web::rt::task::spawn_blocking;
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, Payload};
use analytics_core::business::Business;
use analytics_core::reconciliation::list::{Columns, Listed, MOST_LINES};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::problem::Problem;

/// The size limit of a list, in bytes.
pub(crate) const LARGEST: usize = 16 << 20;
/// How long a client may take to send a list.
const SLOWEST: Duration = Duration::from_secs(30);
/// The most columns of a list.
const MOST_COLUMNS: usize = 1_000;
/// The most separators of a list. Each takes several times its size in memory while its line is read, and a quote that is
/// never closed makes one line of the whole list.
const MOST_SEPARATORS: usize = 20 * MOST_LINES;
/// How many chunks of the body wait to be parsed.
const CHUNKS_AHEAD: usize = 4;

/// Reads a list to its end.
///
/// # Errors
/// 400 or 413 that names the line, without quoting it.
pub(crate) async fn read(body: Payload, business: Business) -> Result<Vec<Listed>, Problem> {
    let (chunks, received) = mpsc::channel(CHUNKS_AHEAD);
    let parsing = spawn_blocking(move || parse(Chunks::new(received), business));
    match timeout(SLOWEST, feed(body, chunks)).await {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => return Err(problem),
        Err(_) => return Err(Problem::invalid_body(format!("the list did not arrive within {} s", SLOWEST.as_secs()))),
    }
    parsing.await.map_err(|_| Problem::internal_error())?
}

/// Passes the body on. All of it is received even if the list turned out to be invalid: a client that is still sending
/// would not see the answer.
async fn feed(body: Payload, chunks: mpsc::Sender<Bytes>) -> Result<(), Problem> {
    let mut body = body.into_inner();
    let mut bytes = 0_usize;
    while let Some(chunk) = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
        let chunk = chunk.map_err(|_| Problem::invalid_body("the body could not be received to its end"))?;
        bytes += chunk.len();
        if bytes > LARGEST {
            return Err(Problem::body_too_large(format!("the list is larger than {} MiB", LARGEST >> 20)));
        }
        let _invalid = chunks.send(chunk).await;
    }
    Ok(())
}

/// The body as it arrives, with every line ended by a line feed alone. Otherwise the numbers of lines would depend on how
/// they end.
struct Chunks {
    received: mpsc::Receiver<Bytes>,
    current: Bytes,
    /// Where the next byte of the current chunk is.
    at: usize,
    last: u8,
    separators: usize,
}

impl Chunks {
    const fn new(received: mpsc::Receiver<Bytes>) -> Self {
        Self { received, current: Bytes::new(), at: 0, last: b'\n', separators: 0 }
    }

    /// Returns the next byte; a line feed more at the end of a body without one.
    fn byte(&mut self) -> Option<u8> {
        loop {
            let Some(byte) = self.current.get(self.at) else {
                self.current = match self.received.blocking_recv() {
                    Some(chunk) => chunk,
                    None if matches!(self.last, b'\r' | b'\n') => return None,
                    None => Bytes::from_static(b"\n"),
                };
                self.at = 0;
                continue;
            };
            let before = std::mem::replace(&mut self.last, *byte);
            self.at += 1;
            match (before, self.last) {
                (b'\r', b'\n') => {}
                (_, b'\r') => return Some(b'\n'),
                (_, byte) => return Some(byte),
            }
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        for place in buffer {
            // What is there is parsed before more is waited for.
            if length > 0 && self.at == self.current.len() {
                break;
            }
            let Some(byte) = self.byte() else { break };
            self.separators += usize::from(byte == b',');
            if self.separators > MOST_SEPARATORS {
                return Err(io::Error::other(format!("a list has at most {MOST_SEPARATORS} commas")));
            }
            *place = byte;
            length += 1;
        }
        Ok(length)
    }
}

/// Parses a list.
fn parse(list: impl Read, business: Business) -> Result<Vec<Listed>, Problem> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(list);
    let header = reader.byte_headers().map_err(|why| unreadable(&why))?;
    let expected = header.len();
    if expected > MOST_COLUMNS {
        return Err(Problem::invalid_body(format!("line 1 has {expected} fields, at most {MOST_COLUMNS} are allowed")));
    }
    let columns =
        Columns::of(fields(1, header)?.into_iter()).map_err(|why| Problem::invalid_body(format!("line 1: {why}")))?;
    let (mut lines, mut record) = (Vec::new(), csv::ByteRecord::new());
    let mut next = reader.position().line();
    while reader.read_byte_record(&mut record).map_err(|why| unreadable(&why))? {
        // Where the reader is now, less the record. The reader's own place of a record is before empty lines. A quote
        // that is never closed ends with the list, and not with a line.
        let inside = record.iter().flatten().filter(|byte| **byte == b'\n').count();
        let line = reader.position().line().saturating_sub(1 + u64::try_from(inside).unwrap_or(0)).max(next);
        next = reader.position().line();
        if lines.len() == MOST_LINES {
            return Err(Problem::body_too_large(format!("line {line}: a list has at most {MOST_LINES} lines")));
        }
        if record.len() != expected {
            let actual = record.len();
            return Err(Problem::invalid_body(format!("line {line} has {actual} fields, and the header {expected}")));
        }
        let fields = fields(line, &record)?;
        let listed = columns.read(line, |place| fields.get(place).copied(), business);
        lines.push(listed.map_err(|why| Problem::invalid_body(format!("line {line}: {why}")))?);
    }
    if lines.is_empty() {
        return Err(Problem::invalid_body("the list has no lines after its header"));
    }
    Ok(lines)
}

fn unreadable(error: &csv::Error) -> Problem {
    match error.kind() {
        csv::ErrorKind::Io(why) => Problem::body_too_large(why.to_string()),
        _ => Problem::invalid_body("the list could not be read"),
    }
}

fn fields(line: u64, record: &csv::ByteRecord) -> Result<Vec<&str>, Problem> {
    let text: Result<Vec<&str>, _> = record.iter().map(std::str::from_utf8).collect();
    text.map_err(|_| Problem::invalid_body(format!("line {line} is not UTF-8: save the list as CSV in UTF-8")))
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;

    fn parsed(list: &[u8]) -> Result<usize, (u16, String)> {
        let business = Business::parse("USD", "UTC").unwrap();
        let (chunks, received) = mpsc::channel(list.len().max(1));
        // In pieces that divide lines, their ends, and characters.
        let size = if list.len() < 1_000 { 1 } else { 4_096 };
        list.chunks(size).for_each(|chunk| chunks.try_send(Bytes::copy_from_slice(chunk)).unwrap());
        drop(chunks);
        parse(Chunks::new(received), business)
            .map(|lines| lines.len())
            .map_err(|why| (why.status_code().as_u16(), why.to_string()))
    }

    #[test]
    fn lists_are_read_as_spreadsheets_write_them() {
        for list in [
            "orderId,amount\no-1,1\no-2,2",
            "\u{feff}orderId,amount\r\no-1,1\r\n\r\no-2,2\r\n",
            "amount,note,Order ID\n\"1\",\"two\nlines, \"\"quoted\"\"\",o-1\n2,,\"=cmd|' /C calc'!A0\"\n",
            "orderId,amount\no-1,1\no-1,1\n",
        ] {
            assert_eq!(parsed(list.as_bytes()), Ok(2), "{list}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_used_is_refused_with_the_line() {
        let huge = format!("orderId,amount\n{},1\n", "x".repeat(1 << 20));
        let unclosed = format!("orderId,amount\no-1,1\n\"{}", "o\n".repeat(1000));
        let deep: &[u8] = b"orderId,amount\no-1,1\n\xff\xfe,1\n";
        for (list, message) in [
            (
                b"".as_slice(),
                "line 1: the header has no column for the order id: name it orderId, and separate columns by commas",
            ),
            (
                b"\n\n",
                "line 1: the header has no column for the order id: name it orderId, and separate columns by commas",
            ),
            (b"orderId,amount\n", "the list has no lines after its header"),
            (b"orderId,amount\no-1,1,2\n", "line 2 has 3 fields, and the header 2"),
            (b"orderId,amount\n\no-1\n", "line 3 has 1 fields, and the header 2"),
            (
                b"orderId,amount\n\"a\nb\",1\no-1,x\n",
                "line 4: amount is not a decimal number: it must be a number such as 1234.50",
            ),
            (b"orderId,amount\no\0-1,1\n", "line 2: order id contains the character NUL"),
            (b"o\xfcrderId,amount\n", "line 1 is not UTF-8: save the list as CSV in UTF-8"),
            (b"\xff\xfeo\0r\0d\0e\0r\0", "line 1 is not UTF-8: save the list as CSV in UTF-8"),
            (deep, "line 3 is not UTF-8: save the list as CSV in UTF-8"),
            (huge.as_bytes(), "line 2: order id has 1048576 characters, at most 255 are allowed"),
            (unclosed.as_bytes(), "line 3 has 1 fields, and the header 2"),
        ] {
            assert_eq!(parsed(list), Err((400, message.to_owned())));
        }
    }

    #[test]
    fn lines_are_numbered_as_an_editor_does() {
        for list in ["orderId,amount\n\no-1,1\n\"o\n-2\",2\no-3,3", "orderId,amount\n\no-1,1\n\"o\n-2\",2\no-3,3\n\n"] {
            for end in ["\n", "\r\n", "\r"] {
                let list = list.replace('\n', end);
                let business = Business::parse("USD", "UTC").unwrap();
                let (chunks, received) = mpsc::channel(1);
                chunks.try_send(Bytes::from(list.clone())).unwrap();
                drop(chunks);
                let lines = parse(Chunks::new(received), business).unwrap();
                let numbers: Vec<u64> = lines.iter().map(|listed| listed.line).collect();
                assert_eq!(numbers, [3, 4, 6], "{list:?}");
            }
        }
    }

    #[test]
    fn columns_and_separators_are_limited() {
        let wide = format!("orderId,amount{}\n", ",x".repeat(1_000));
        let message = "line 1 has 1002 fields, at most 1000 are allowed".to_owned();
        assert_eq!(parsed(wide.as_bytes()), Err((400, message)));
        let message = "a list has at most 2000000 commas".to_owned();
        for list in [",".repeat(2_000_001), format!("orderId,amount\no-1,1\n\"{}", "\",\"".repeat(2_000_001))] {
            assert_eq!(parsed(list.as_bytes()), Err((413, message.clone())));
        }
    }

    #[test]
    fn a_list_has_at_most_100_000_lines() {
        let list = |lines: usize| format!("orderId,amount\n{}", "o-1,1\n".repeat(lines));
        assert_eq!(parsed(list(100_000).as_bytes()), Ok(100_000));
        let message = "line 100002: a list has at most 100000 lines".to_owned();
        assert_eq!(parsed(list(100_001).as_bytes()), Err((413, message)));
    }
}
