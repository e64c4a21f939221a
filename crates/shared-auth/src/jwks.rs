//! Keys that an identity provider publishes and rotates: a JWKS document in a file or at a URL.
//!
//! A separate thread reads the document every 5 minutes, so that no request waits for it. A token
//! with an unknown key makes it read earlier, but at most every 5 seconds.

use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "jwks")]
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use crate::keys::{InvalidKey, Key};

/// How often the document is read.
const REFRESH: Duration = Duration::from_secs(300);
/// Minimum time between two reads, however many tokens have unknown keys; also the time between
/// reads while no key is known.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// How long a server may take to respond.
#[cfg(feature = "jwks")]
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a document, in bytes.
#[cfg(feature = "jwks")]
const LARGEST: u64 = 1 << 20;

/// The keys of a document, kept up to date.
pub(crate) struct Jwks {
    keys: RwLock<Arc<Vec<Key>>>,
    wanted: (Mutex<bool>, Condvar),
}

impl Jwks {
    /// Reads the document, and keeps reading it until the returned value is dropped. If it cannot
    /// be read at first, there are no keys until a later attempt succeeds.
    ///
    /// # Errors
    /// [`InvalidKey::Jwks`] if the source can be read but is not a JWKS document.
    pub(crate) fn watch(source: String) -> Result<Arc<Self>, InvalidKey> {
        let jwks = Arc::new(Self { keys: RwLock::default(), wanted: (Mutex::new(false), Condvar::new()) });
        match read(&source) {
            Ok(document) => jwks.store(Key::jwks(&document)?),
            Err(why) => log::error!("the JWKS document cannot be read, none of its keys is known until it can: {why}"),
        }
        let watched = Arc::downgrade(&jwks);
        if let Err(error) = thread::Builder::new().name("jwks".into()).spawn(move || follow(&watched, &source)) {
            log::error!("the JWKS document will not be read again, as the thread for it cannot be started: {error}");
        }
        Ok(jwks)
    }

    pub(crate) fn keys(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the thread read the document soon, because a token names a key that is not in it.
    pub(crate) fn hasten(&self) {
        *self.wanted.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wanted.1.notify_all();
    }

    fn store(&self, keys: Vec<Key>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn wait(&self, at_most: Duration) {
        let wanted = self.wanted.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut wanted, _) = self
            .wanted
            .1
            .wait_timeout_while(wanted, at_most, |wanted| !*wanted)
            .unwrap_or_else(PoisonError::into_inner);
        *wanted = false;
    }
}

/// Reads the document repeatedly, until its keys are dropped.
fn follow(jwks: &Weak<Jwks>, source: &str) {
    let mut last = Instant::now();
    while let Some(jwks) = jwks.upgrade() {
        let patience = if jwks.keys().is_empty() { AT_MOST_EVERY } else { REFRESH };
        jwks.wait(patience);
        thread::sleep(AT_MOST_EVERY.saturating_sub(last.elapsed()));
        last = Instant::now();
        match read(source).and_then(|document| Key::jwks(&document).map_err(|error| error.to_string())) {
            Ok(keys) => jwks.store(keys),
            Err(why) => log::warn!("the JWKS document cannot be used, its last known keys stay in use: {why}"),
        }
    }
}

/// Reads the document. Error messages do not contain the source, as its URL may contain a password.
fn read(source: &str) -> Result<Vec<u8>, String> {
    if source.starts_with("http://") || source.starts_with("https://") {
        return fetch(source);
    }
    std::fs::read(source).map_err(|error| format!("the file cannot be read: {}", error.kind()))
}

#[cfg(feature = "jwks")]
fn fetch(url: &str) -> Result<Vec<u8>, String> {
    // Without a provider, https is refused; the certificates that are trusted are those of the system.
    let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
    let config = ureq::Agent::config_builder().timeout_global(Some(FETCH_TIMEOUT)).tls_config(tls);
    let agent = config.build().new_agent();
    let answered =
        agent.get(url).call().and_then(|mut answer| answer.body_mut().with_config().limit(LARGEST).read_to_vec());
    answered.map_err(|error| match error {
        ureq::Error::StatusCode(status) => format!("the server answered {status}"),
        ureq::Error::Timeout(_) => "the server did not answer in time".into(),
        ureq::Error::HostNotFound => "the host does not exist".into(),
        ureq::Error::Io(error) => format!("the server cannot be reached: {}", error.kind()),
        ureq::Error::BodyExceedsLimit(_) => "the document is too large".into(),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "the URL cannot be fetched".into(),
        _ => "the server cannot be reached".into(),
    })
}

#[cfg(not(feature = "jwks"))]
fn fetch(_: &str) -> Result<Vec<u8>, String> {
    Err("this program was built without the feature `jwks`, which fetches documents".into())
}
