//! What the live streams of this process share: the latest state, and the places. The check of the
//! database tells the state, so one query per second serves any number of streams.
//!
//! A stream holds no queue. It waits for a change of the state and then sends the latest one, so a
//! reader that is slow misses states in between, and takes no memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::rt::time::{sleep, timeout};
use actix_web::web::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use utoipa::ToSchema;

use crate::database::Database;
use crate::routes::freshness::{FreshnessBody, State};

/// Pause between two checks of the database while there are streams.
const EVERY: Duration = Duration::from_secs(1);
/// The same while there are none.
const EVERY_IDLE: Duration = Duration::from_secs(2);
/// How long a stream is silent before it sends a comment, so that proxies do not close it, and so
/// that a client that has disappeared is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A comment of the event stream.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// The state of the numbers, as live streams send it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveState {
    /// The number of the last batch that was counted; null if the database was not read yet.
    as_of: Option<i64>,
    /// The worst freshness of any topic, as in `/api/freshness`; `unavailable` while the database does
    /// not answer.
    #[schema(value_type = String)]
    state: &'static str,
    /// Why the state is not `live`.
    reason: Option<&'static str>,
    /// Everything that was in Kafka at this time is counted.
    counted_up_to: Option<DateTime<Utc>>,
    /// The age of `countedUpTo`, in seconds.
    lag_seconds: Option<i64>,
}

impl LiveState {
    /// Judges the result of the last check of the database.
    pub(crate) fn of(database: &Database) -> Self {
        let is_available = database.checked().is_last;
        let FreshnessBody { as_of, state, reason, counted_up_to, lag_seconds, .. } = FreshnessBody::of(database);
        let (state, reason) = match state {
            _ if !is_available => ("unavailable", Some("the database does not answer")),
            // All topics together are never idle.
            State::Idle | State::Live => ("live", reason),
            State::Delayed => ("delayed", reason),
            State::Stalled => ("stalled", reason),
        };
        Self { as_of, state, reason, counted_up_to, lag_seconds }
    }

    /// Whether streams send an event for this state after the earlier one. Time alone is no change.
    fn is_news_after(&self, earlier: &Self) -> bool {
        (self.as_of, self.state, self.reason) != (earlier.as_of, earlier.state, earlier.reason)
    }

    fn event(&self) -> Bytes {
        let id = self.as_of.map(|number| format!("id: {number}\n")).unwrap_or_default();
        let data = serde_json::to_string(self).unwrap_or_default();
        format!("{id}data: {data}\n\n").into()
    }
}

/// The live streams of this process.
pub(crate) struct Live {
    latest: watch::Sender<Latest>,
    /// Notified of each new stream.
    joined: Notify,
    places: Arc<Semaphore>,
    most: u32,
}

/// The latest state, and whether the process stops.
struct Latest {
    state: LiveState,
    is_stopping: bool,
}

impl Live {
    /// Creates places for at most `most` streams.
    pub(crate) fn new(most: u32, state: LiveState) -> Self {
        let places = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { latest: watch::Sender::new(Latest { state, is_stopping: false }), joined: Notify::new(), places, most }
    }

    /// Returns the number of open streams.
    pub(crate) fn open(&self) -> u32 {
        let free = u32::try_from(self.places.available_permits()).unwrap_or(self.most);
        self.most.saturating_sub(free)
    }

    /// Stores the latest state. Streams are woken if it is news.
    pub(crate) fn tell(&self, state: LiveState) {
        self.latest.send_if_modified(|latest| {
            let is_news = state.is_news_after(&latest.state);
            latest.state = state;
            is_news
        });
    }

    /// Waits until the next state is due.
    pub(crate) async fn pause(&self) {
        sleep(EVERY).await;
        if self.latest.receiver_count() == 0 {
            let _nobody_joined = timeout(EVERY_IDLE.saturating_sub(EVERY), self.joined.notified()).await;
        }
    }

    /// Ends all streams, because the process stops.
    pub(crate) fn stop(&self) {
        self.latest.send_modify(|latest| latest.is_stopping = true);
    }

    /// Opens a stream that ends at a time. Returns `None` if all places are taken.
    pub(crate) fn join(&self, until: Option<Instant>) -> Option<Stream> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut latest = self.latest.subscribe();
        // The state is news to this stream.
        latest.mark_changed();
        self.joined.notify_one();
        Some(Stream { next: Some(Box::pin(step(Feed { latest, until, is_over: false, _place: place }))) })
    }
}

/// What a stream has sent, and its place.
struct Feed {
    latest: watch::Receiver<Latest>,
    /// When the token of the client expires, if that is a time that the clock can name.
    until: Option<Instant>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// Returns the next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let left = self.until.map_or(KEEP_ALIVE, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Some(self.end("token_expired"));
        }
        match timeout(left.min(KEEP_ALIVE), self.latest.changed()).await {
            // The state is a copy, because the lock must not be held while it is sent.
            Ok(Ok(())) if !self.latest.borrow().is_stopping => Some(self.latest.borrow_and_update().state.event()),
            Ok(_) => Some(self.end("shutdown")),
            Err(_) if left <= KEEP_ALIVE => Some(self.end("token_expired")),
            Err(_) => Some(COMMENT),
        }
    }

    /// Returns the last event, which says why the stream ends.
    fn end(&mut self, reason: &str) -> Bytes {
        self.is_over = true;
        format!("event: end\ndata: {{\"reason\":\"{reason}\"}}\n\n").into()
    }
}

/// The body of a live stream. Its place is free again when it is dropped. The default is at its end.
#[derive(Default)]
pub(crate) struct Stream {
    next: Option<Step>,
}

/// The wait for the next piece, which takes the feed with it.
type Step = Pin<Box<dyn Future<Output = (Feed, Option<Bytes>)>>>;

async fn step(mut feed: Feed) -> (Feed, Option<Bytes>) {
    let piece = feed.next().await;
    (feed, piece)
}

impl MessageBody for Stream {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let Some(next) = self.next.as_mut() else { return Poll::Ready(None) };
        let (feed, piece) = ready!(next.as_mut().poll(context));
        self.next = piece.is_some().then(|| Box::pin(step(feed)) as _);
        Poll::Ready(piece.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use actix_web::rt::System;

    use super::*;

    fn state(as_of: i64) -> LiveState {
        LiveState { as_of: Some(as_of), state: "live", reason: None, counted_up_to: None, lag_seconds: Some(1) }
    }

    /// Returns what the stream has ready.
    async fn ready(stream: &mut Stream) -> Poll<Option<String>> {
        poll_fn(|context| {
            let polled = Pin::new(&mut *stream).poll_next(context);
            let text = |piece: Result<Bytes, Infallible>| String::from_utf8_lossy(&piece.unwrap()).into_owned();
            Poll::Ready(polled.map(|piece| piece.map(text)))
        })
        .await
    }

    async fn text(stream: &mut Stream) -> String {
        match ready(stream).await {
            Poll::Ready(Some(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_slow_reader_gets_the_latest_state_only() {
        System::new().block_on(async {
            let live = Live::new(1, state(1));
            let mut stream = live.join(None).unwrap();
            assert!(text(&mut stream).await.starts_with("id: 1\ndata: {\"asOf\":1,"));
            for number in 2..1000 {
                live.tell(state(number));
            }
            assert!(text(&mut stream).await.starts_with("id: 999\n"));
            assert_eq!(ready(&mut stream).await, Poll::Pending);
        });
    }

    #[test]
    fn time_alone_is_no_news_but_a_new_stream_gets_the_present() {
        System::new().block_on(async {
            let live = Live::new(2, state(1));
            let mut first = live.join(None).unwrap();
            text(&mut first).await;
            live.tell(LiveState { lag_seconds: Some(30), ..state(1) });
            assert_eq!(ready(&mut first).await, Poll::Pending);
            assert!(text(&mut live.join(None).unwrap()).await.contains("\"lagSeconds\":30"));
            live.tell(LiveState { state: "delayed", ..state(1) });
            assert!(text(&mut first).await.contains("delayed"));
        });
    }

    #[test]
    fn places_are_free_again_when_streams_are_dropped() {
        System::new().block_on(async {
            let live = Live::new(1, state(1));
            let first = live.join(None).unwrap();
            assert!(live.join(None).is_none() && live.open() == 1);
            drop(first);
            assert!(live.open() == 0 && live.join(None).is_some());
        });
    }

    #[test]
    fn a_stream_that_is_opened_while_the_process_stops_ends_at_once() {
        System::new().block_on(async {
            let live = Live::new(1, state(1));
            live.stop();
            let mut stream = live.join(None).unwrap();
            assert_eq!(text(&mut stream).await, "event: end\ndata: {\"reason\":\"shutdown\"}\n\n");
            assert_eq!(ready(&mut stream).await, Poll::Ready(None));
        });
    }
}
