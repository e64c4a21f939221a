//! Caches verified tokens, so that the signature of a token is verified only once.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::claims::Principal;

/// Maximum number of tokens in the cache.
const ROOM: usize = 10_000;

/// Verified tokens, each with its principal and the last second at which it is valid.
#[derive(Default)]
pub(crate) struct Cache(RwLock<HashMap<Box<str>, (Principal, u64)>>);

impl Cache {
    /// Returns the principal of the token if it is in the cache and still valid at `now`.
    pub(crate) fn get(&self, token: &str, now: u64) -> Option<Principal> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(token).filter(|(_, until)| now <= *until).map(|(principal, _)| principal.clone())
    }

    /// Adds a token that is valid until `until`. If the cache is full, removes expired tokens; if
    /// none has expired, removes all.
    pub(crate) fn put(&self, token: &str, principal: &Principal, until: u64, now: u64) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ROOM {
            known.retain(|_, (_, until)| now <= *until);
            if known.len() >= ROOM {
                known.clear();
            }
        }
        known.insert(token.into(), (principal.clone(), until));
    }

    /// Removes all tokens, as is necessary when the keys have changed.
    pub(crate) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
