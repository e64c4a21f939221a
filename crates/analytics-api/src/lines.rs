//! NDJSON: all items of a list, one JSON object per line, as a stream.
//!
//! The list is read page by page as of one batch, each page in a transaction of its own, and the next
//! one only when the client has taken most of the one before. Meanwhile a stream holds no connection,
//! no snapshot and no slot. A client that was cut off continues after the last whole line that it
//! has: its id is the `cursor`, and the header `As-Of` the `asOf` of the next request.
//!
//! A complete stream ends with the last chunk of its HTTP response. In all other cases, whatever they
//! are, the connection is closed without one.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::Method;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::rt;
use actix_web::rt::time::timeout;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use analytics_db::read::NotAsOf;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use uuid::Uuid;

use crate::as_of::AS_OF;
use crate::problem::Problem;
use crate::query::Query;

/// The media type of NDJSON.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// The most streams at a time, in one process.
const MOST_STREAMS: usize = 16;
/// The most items in one page. Payloads have up to a MiB each, so this bounds the memory of a stream.
const MOST_ITEMS: usize = 250;
/// How long a page should be, in bytes, judging by the items before it.
const PAGE: usize = 512 << 10;
/// The size of a chunk, in bytes, unless one line is longer.
const CHUNK: usize = 32 << 10;
/// How many chunks wait for the client.
const CHUNKS_AHEAD: usize = 4;
/// How long a client may take to accept one chunk. Then it is considered gone.
const STALLED: Duration = Duration::from_secs(60);

/// Whether a request asks for NDJSON: noted by the middleware that reads the format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsLines;

/// Returns whether a request asks for NDJSON.
pub(crate) fn asked(request: &HttpRequest) -> bool {
    request.extensions().get::<AsLines>().is_some()
}

/// Where a stream begins: with the newest item as of now or, if it continues another one, after this
/// item as of that one's batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) after: Option<Uuid>,
    pub(crate) as_of: Option<i64>,
}

impl Start {
    /// Reads `cursor` and `asOf`.
    pub(crate) fn of(query: &Query) -> Result<Self, Problem> {
        if query.get("limit").is_some() {
            return Err(Problem::invalid_parameter("limit", "must not be given for NDJSON, which has all items"));
        }
        let id = |text: &str| text.parse().map_err(|_| "must be the id of the last line, for NDJSON");
        let start = Self { after: query.optional("cursor", id)?, as_of: query.optional("asOf", number)? };
        if start.after.is_some() && start.as_of.is_none() {
            return Err(Problem::invalid_parameter(
                "asOf",
                "must be given with cursor: the header As-Of of the stream",
            ));
        }
        Ok(start)
    }
}

/// Parses the number of a batch.
pub(crate) fn number(text: &str) -> Result<i64, &'static str> {
    text.parse().ok().filter(|number| *number >= 0).ok_or("must be a number, 0 or more")
}

/// Why a list cannot be read as of its batch.
pub(crate) fn not_as_of(why: NotAsOf) -> Problem {
    match why {
        NotAsOf::Changed => Problem::number_changed(),
        NotAsOf::Ahead => Problem::replica_behind(),
    }
}

/// A list that can be read page by page.
pub(crate) trait Source: 'static {
    /// Reads at most `limit` items, as lines. Returns them with the number of the batch as of which
    /// they were read.
    async fn page(&self, start: Start, limit: usize) -> Result<(i64, Lines), Problem>;
}

/// A page of a list, as lines.
pub(crate) struct Lines {
    chunks: VecDeque<Vec<u8>>,
    items: usize,
    bytes: usize,
    /// The item after which the next page begins, if there is one.
    next: Option<Uuid>,
}

impl Lines {
    /// Writes items as lines.
    pub(crate) fn of<T: Serialize>(items: impl IntoIterator<Item = T>, next: Option<Uuid>) -> Result<Self, Problem> {
        let mut lines = Self { chunks: VecDeque::new(), items: 0, bytes: 0, next };
        let mut chunk = Vec::new();
        for item in items {
            serde_json::to_writer(&mut chunk, &item).map_err(|_| Problem::internal_error())?;
            chunk.push(b'\n');
            lines.items += 1;
            if chunk.len() >= CHUNK {
                lines.add(std::mem::take(&mut chunk));
            }
        }
        if !chunk.is_empty() {
            lines.add(chunk);
        }
        Ok(lines)
    }

    fn add(&mut self, chunk: Vec<u8>) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// How many items of the same size make up the next page.
    fn next_limit(&self) -> usize {
        let size = self.bytes.checked_div(self.items).unwrap_or(0).max(1);
        (PAGE / size).clamp(1, MOST_ITEMS)
    }
}

/// What is sent to the body of a response.
enum Part {
    Chunk(Bytes),
    /// All items were sent. Without it, the response is cut.
    End,
}

/// The streams of this process.
#[derive(Clone)]
pub(crate) struct Streams {
    free: Arc<Semaphore>,
    /// Has no permits, and is closed when the process is told to stop.
    stopped: Arc<Semaphore>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(MOST_STREAMS)), stopped: Arc::new(Semaphore::new(0)) }
    }
}

impl Streams {
    /// Cuts all streams.
    pub(crate) fn stop(&self) {
        self.stopped.close();
    }

    /// Opens a stream that a thread writes in `at_most` altogether, for a client that takes a chunk in `stalled`.
    pub(crate) fn open(&self, at_most: Duration, stalled: Duration) -> Result<(Outlet, Body), Problem> {
        let stream = Arc::clone(&self.free).try_acquire_owned().map_err(|_| Problem::busy())?;
        let (parts, received) = mpsc::channel(CHUNKS_AHEAD);
        let until = Instant::now() + at_most;
        Ok((Outlet { _stream: stream, parts, runtime: Handle::current(), until, stalled }, self.body(received)))
    }

    fn body(&self, received: mpsc::Receiver<Part>) -> Body {
        let stopped = Arc::clone(&self.stopped);
        Body { received, stopped: Box::pin(async move { drop(stopped.acquire().await) }) }
    }

    /// Answers with all pages of a list. If the first one cannot be read, the response is a problem.
    pub(crate) async fn answer(
        &self,
        request: &HttpRequest,
        start: Start,
        source: impl Source,
    ) -> Result<HttpResponse, Problem> {
        let stream = Arc::clone(&self.free).try_acquire_owned().map_err(|_| Problem::busy())?;
        let (as_of, lines) = source.page(start, MOST_ITEMS).await?;
        let mut answer = HttpResponse::Ok();
        answer.content_type(NDJSON).insert_header((AS_OF, as_of)).insert_header((CACHE_CONTROL, "no-store"));
        if *request.method() == Method::HEAD {
            return Ok(answer.finish());
        }
        let (parts, received) = mpsc::channel(CHUNKS_AHEAD);
        rt::spawn(send(stream, parts, as_of, lines, source));
        Ok(answer.body(self.body(received)))
    }
}

/// Where a thread that may block writes a stream.
pub(crate) struct Outlet {
    _stream: OwnedSemaphorePermit,
    parts: mpsc::Sender<Part>,
    runtime: Handle,
    until: Instant,
    stalled: Duration,
}

/// The client is gone, or took too long, or the process stops. What was sent is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl Outlet {
    /// Sends a chunk, as soon as the client has taken most of the ones before.
    pub(crate) fn send(&self, chunk: Vec<u8>) -> Result<(), Gone> {
        let at_most = self.stalled.min(self.until.saturating_duration_since(Instant::now()));
        let sent = timeout(at_most, self.parts.send(Part::Chunk(chunk.into())));
        match self.runtime.block_on(sent) {
            Ok(sent) => sent.map_err(|_| Gone),
            Err(_) => {
                log::warn!("a stream was cut: it took too long, or the client took nothing for {:?}", self.stalled);
                Err(Gone)
            }
        }
    }

    /// Marks the stream as complete.
    pub(crate) fn end(self) {
        // Fails if the client is gone, or takes nothing: then the stream is cut.
        let _gone = self.runtime.block_on(timeout(self.stalled, self.parts.send(Part::End)));
    }
}

/// Sends the first page and all others.
async fn send(
    _stream: OwnedSemaphorePermit,
    parts: mpsc::Sender<Part>,
    as_of: i64,
    mut lines: Lines,
    source: impl Source,
) {
    loop {
        let (next, limit) = (lines.next, lines.next_limit());
        while let Some(chunk) = lines.chunks.pop_front() {
            match timeout(STALLED, parts.send(Part::Chunk(chunk.into()))).await {
                Ok(Ok(())) => {}
                // The client is gone, or the process stops.
                Ok(Err(_)) => return,
                Err(_) => return log::warn!("a stream was cut: the client took nothing for {STALLED:?}"),
            }
        }
        if next.is_none() {
            break;
        }
        lines = match source.page(Start { after: next, as_of: Some(as_of) }, limit).await {
            Ok((_, lines)) => lines,
            Err(problem) => return log::warn!("a stream was cut: {problem}"),
        };
    }
    // Fails if the client is gone, or takes nothing: then the stream is cut.
    let _gone = timeout(STALLED, parts.send(Part::End)).await;
}

/// The body of a stream.
pub(crate) struct Body {
    received: mpsc::Receiver<Part>,
    stopped: Pin<Box<dyn Future<Output = ()>>>,
}

/// The stream ends before its last item. The client sees a response that is not complete.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream ends before its last item")
    }
}

impl std::error::Error for Cut {}

impl MessageBody for Body {
    type Error = Cut;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        if self.stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Cut)));
        }
        self.received.poll_recv(context).map(|part| match part {
            Some(Part::Chunk(chunk)) => Some(Ok(chunk)),
            Some(Part::End) => None,
            None => Some(Err(Cut)),
        })
    }
}
