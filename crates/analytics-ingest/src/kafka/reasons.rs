//! Why the broker does not answer, in librdkafka's words: these are events of the client, and not part
//! of the error of a query, which is a transport failure whether nobody listens, the password is
//! wrong or a certificate cannot be verified.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::oauth::Tokens;

/// At most so many events of the client are read.
const EVENTS: usize = 50;

/// Collects the reasons of one client.
pub(super) struct Reasons {
    known: Mutex<BTreeSet<String>>,
    tokens: Option<Arc<Tokens>>,
}

impl Reasons {
    /// Returns none for a client that authenticates itself with tokens, or without.
    pub(super) fn new(tokens: Option<Arc<Tokens>>) -> Self {
        Self { known: Mutex::default(), tokens }
    }

    /// Returns why a query failed: what the client reported, or else the error of the query. Of
    /// several reasons the same one each time, so that it is not logged at each attempt.
    pub(super) fn of(client: &BaseConsumer<Self>, error: &KafkaError) -> String {
        for _ in 0..EVENTS {
            drop(client.poll(Duration::ZERO));
        }
        let known = client.context().known.lock().unwrap_or_else(PoisonError::into_inner);
        known.first().cloned().unwrap_or_else(|| error.to_string())
    }
}

impl ConsumerContext for Reasons {}

impl ClientContext for Reasons {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        log::debug!(target: "librdkafka", "{facility} {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            self.tokens.iter().for_each(|tokens| tokens.refused());
        }
        // That all brokers are down is no reason, and follows each reason.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            let known = &mut self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(lasting(reason).to_owned());
        }
    }
}

/// Returns the part of a reason that is the same at each attempt.
fn lasting(reason: &str) -> &str {
    reason.split_once(" (after ").map_or(reason, |(lasting, _)| lasting)
}

#[cfg(test)]
mod tests {
    use super::lasting;

    #[test]
    fn a_reason_is_the_same_at_each_attempt() {
        let reason = "kafka-1:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused \
             (after 3ms in state CONNECT, 1 identical error(s) suppressed)";
        let lasts = "kafka-1:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused";
        assert_eq!((lasting(reason), lasting(lasts)), (lasts, lasts));
    }
}
