//! Tokens for SASL OAUTHBEARER: `provider` requests one, `token` reads the answer. A thread keeps a
//! valid one for all clients of the process, so that no client waits for the identity provider while
//! it has a token. librdkafka's own way of requesting tokens would need libcurl.

mod provider;
mod token;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use analytics_process::settings::{Settings, SettingsError};
use chrono::Utc;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaError;

pub(crate) use provider::URL;
use provider::{NoToken, Provider};
use token::Token;

/// The pause after a request that failed, which doubles with each further one.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a token that brokers refuse is kept, which doubles with each further one that they refuse.
const REFUSED: Duration = Duration::from_secs(10);
const LONGEST_REFUSED: Duration = Duration::from_secs(300);
/// How often the clock is compared with the time at which a token has to be replaced.
const CLOCK: Duration = Duration::from_secs(30);
/// How long a client that has no token waits for one.
const WAIT: Duration = Duration::from_secs(3);

/// The tokens of this process.
pub(crate) struct Tokens {
    provider: Provider,
    started: Once,
    /// The number of the latest token.
    number: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    latest: Option<Arc<Token>>,
    /// Why the last request failed.
    problem: Option<String>,
    /// Whether a broker has refused the latest token.
    is_refused: bool,
}

impl Tokens {
    /// Reads the settings; `None` if tokens are not used. Requests none yet.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub(crate) fn from_settings(settings: &Settings) -> Result<Option<Arc<Self>>, SettingsError> {
        let with = |provider| {
            let (started, number) = (Once::new(), AtomicU64::new(0));
            Arc::new(Self { provider, started, number, state: Mutex::default(), changed: Condvar::new() })
        };
        Ok(Provider::from_settings(settings)?.map(with))
    }

    /// Waits a moment for a token, if there is none.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn wait(self: &Arc<Self>) -> Result<(), String> {
        self.latest().map(drop)
    }

    /// Gives a new client the latest token.
    ///
    /// # Errors
    /// [`KafkaError::ClientCreation`], which says why there is none.
    pub(crate) fn give(self: &Arc<Self>, client: &Client<impl ClientContext>) -> Result<(), KafkaError> {
        let token = self.latest().map_err(KafkaError::ClientCreation)?;
        set(client, &token);
        Ok(())
    }

    /// Gives a client the latest token, unless it is the one with the number `given`, which it has.
    pub(crate) fn refresh(&self, client: &Client<impl ClientContext>, given: &mut u64) {
        let number = self.number.load(Ordering::Acquire);
        if number != *given {
            *given = number;
            // Cloned, so that the lock is not held during the call.
            let latest = self.state().latest.clone();
            latest.into_iter().for_each(|token| set(client, &token));
        }
    }

    /// Has the latest token replaced soon, because a broker does not accept it.
    pub(crate) fn refused(&self) {
        self.state().is_refused = true;
        self.changed.notify_all();
    }

    fn latest(self: &Arc<Self>) -> Result<Arc<Token>, String> {
        self.started.call_once(|| {
            let tokens = Arc::clone(self);
            let started = thread::Builder::new().name("tokens".into()).spawn(move || tokens.renew());
            if let Err(error) = started {
                self.state().problem = Some(format!("the thread for it cannot be started: {error}"));
            }
        });
        let has_none = |state: &mut State| usable(state).is_none() && state.problem.is_none();
        let waited = self.changed.wait_timeout_while(self.state(), WAIT, has_none);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let why = || state.problem.as_deref().unwrap_or("the token endpoint has not answered yet");
        usable(&state).ok_or_else(|| format!("there is no token to authenticate with: {}", why()))
    }

    /// Requests tokens, for as long as the process runs.
    fn renew(&self) {
        let (mut pause, mut refused) = (PAUSE, REFUSED);
        loop {
            match self.provider.request() {
                Ok(token) => {
                    pause = PAUSE;
                    self.store(token);
                    refused = if self.is_refused_after(refused) { (refused * 2).min(LONGEST_REFUSED) } else { REFUSED };
                }
                Err(no_token) => {
                    self.failed(no_token);
                    thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn store(&self, token: Token) {
        let expires_at = token.expires_at.format("%Y-%m-%dT%H:%M:%SZ");
        let mut state = self.state();
        let level = match state.latest.is_none() || state.problem.is_some() {
            true => log::Level::Info,
            false => log::Level::Debug,
        };
        log::log!(level, "received a token of {} for Kafka that expires at {expires_at}", token.principal);
        *state = State { latest: Some(Arc::new(token)), ..State::default() };
        drop(state);
        self.number.fetch_add(1, Ordering::Release);
        self.changed.notify_all();
    }

    fn failed(&self, no_token: NoToken) {
        let mut state = self.state();
        let meanwhile = match usable(&state) {
            Some(token) => format!("the present one expires at {}", token.expires_at.format("%Y-%m-%dT%H:%M:%SZ")),
            None => "Kafka cannot be read without one".to_owned(),
        };
        let why = match no_token {
            NoToken::Away(why) => {
                log::warn!("no token for Kafka was received, and {meanwhile}: {why}");
                why
            }
            NoToken::Refused(why) => {
                log::error!("no token for Kafka was received, and {meanwhile}: {why}");
                why
            }
        };
        state.problem = Some(why);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the latest token has to be replaced: three quarters of its lifetime are over, or it is refused, and
    /// has been kept for at least this long. Returns whether it is refused.
    fn is_refused_after(&self, at_least: Duration) -> bool {
        let received = Instant::now();
        let mut state = self.state();
        while let Some(token) = &state.latest {
            // The clock may be set meanwhile, and the machine may sleep.
            let until_due = (token.renew_at - Utc::now()).to_std().unwrap_or_default();
            let until_refused = at_least.saturating_sub(received.elapsed());
            let left = if state.is_refused { until_due.min(until_refused) } else { until_due };
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left.min(CLOCK));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_refused
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the latest token, if it has not expired.
fn usable(state: &State) -> Option<Arc<Token>> {
    state.latest.clone().filter(|token| token.expires_at > Utc::now())
}

fn set(client: &Client<impl ClientContext>, token: &Token) {
    let expires_at = token.expires_at.timestamp_millis();
    let token = kafka_events::oauth::Token { value: &token.value, principal: &token.principal, expires_at };
    if let Err(error) = kafka_events::oauth::set_token(client, token) {
        log::warn!("the Kafka client does not take the token: {error}");
    }
}
