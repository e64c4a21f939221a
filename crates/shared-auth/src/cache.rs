//! Tokens that were verified before: a signature is worked out once.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::claims::Principal;

/// How many tokens are remembered.
const ROOM: usize = 10_000;

/// Verified tokens with the second after which they are none any more.
#[derive(Default)]
pub(crate) struct Cache(RwLock<HashMap<Box<str>, (Principal, u64)>>);

impl Cache {
    /// Who sent this token, if it was verified before and is still valid.
    pub(crate) fn get(&self, token: &str, now: u64) -> Option<Principal> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(token).filter(|(_, until)| now <= *until).map(|(principal, _)| principal.clone())
    }

    /// Remembers a token. Where there is no room, those that have ended go, and if none has, all.
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

    /// Forgets everything: the keys have changed.
    pub(crate) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
