//! Limits how many requests each caller may send.
//!
//! Callers are told apart by what their verified tokens say, so that nobody gets another allowance
//! by sending another token, or another form of the same one: by user or, in tokens without a user,
//! by role and vendors. Requests without a valid token never come here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared_auth::Principal;

use crate::settings::RateLimit;

/// The most callers that are remembered. Each takes some tens of bytes.
const MOST_CALLERS: usize = 100_000;

/// How much each caller has used of its allowance.
///
/// For each caller this is a time (GCRA): when it will have its whole allowance again. Each request
/// moves it on by the time in which one request is earned; it may be ahead of the present by as much
/// as the burst is worth. A caller whose time is over is as good as one that never came.
pub(crate) struct Rates {
    limit: Option<RateLimit>,
    callers: Mutex<HashMap<u64, Instant>>,
    /// Randomly keyed, so that nobody can choose ids with the same hash.
    hasher: RandomState,
}

impl Rates {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        Self { limit, callers: Mutex::default(), hasher: RandomState::new() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// If the caller has used up its allowance: after how many seconds it may send another request.
    pub(crate) fn count(&self, principal: &Principal) -> Result<(), u64> {
        let Some(limit) = self.limit else { return Ok(()) };
        self.count_at(limit, self.key(principal), Instant::now())
    }

    fn key(&self, principal: &Principal) -> u64 {
        match &principal.user {
            Some(user) => self.hasher.hash_one(("user", user)),
            None => self.hasher.hash_one(("role", format!("{:?}", principal.role))),
        }
    }

    fn count_at(&self, limit: RateLimit, caller: u64, now: Instant) -> Result<(), u64> {
        let each = Duration::from_secs(60) / limit.per_minute.get();
        let tolerance = each * (limit.burst.get() - 1);
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MOST_CALLERS && !callers.contains_key(&caller) {
            callers.retain(|_, full| *full > now);
            if callers.len() >= MOST_CALLERS {
                // So many at once are no single caller's doing. Everybody begins anew.
                callers.clear();
            }
        }
        let full = callers.entry(caller).or_insert(now);
        let ahead = full.saturating_duration_since(now);
        if let Some(wait) = ahead.checked_sub(tolerance).filter(|wait| !wait.is_zero()) {
            return Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        }
        *full = now + ahead + each;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use shared_auth::{Claims, Role};

    use super::*;

    fn limit(per_minute: u32, burst: u32) -> RateLimit {
        let number = |number| NonZeroU32::new(number).unwrap();
        RateLimit { per_minute: number(per_minute), burst: number(burst) }
    }

    #[test]
    fn a_burst_is_accepted_at_once_and_more_at_the_rate() {
        let (rates, start) = (Rates::new(None), Instant::now());
        let ask = |millis: u64| rates.count_at(limit(30, 3), 1, start + Duration::from_millis(millis));
        assert_eq!([ask(0), ask(0), ask(0)], [Ok(()); 3]);
        // A request is earned every 2 s. One that is refused costs nothing.
        assert_eq!([ask(0), ask(1), ask(1000), ask(1001)], [Err(2), Err(2), Err(1), Err(1)]);
        assert_eq!([ask(2000), ask(2000)], [Ok(()), Err(2)]);
        // Not more than the burst is saved up.
        assert_eq!([ask(3_600_000); 3], [Ok(()); 3]);
        assert_eq!(ask(3_600_000), Ok(()));
        assert_eq!((ask(3_600_000), ask(3_600_000)), (Ok(()), Err(2)));
    }

    #[test]
    fn callers_do_not_share_and_their_number_is_bounded() {
        let (rates, start) = (Rates::new(None), Instant::now());
        for caller in 0..250_000 {
            assert_eq!(rates.count_at(limit(1, 1), caller, start), Ok(()));
            assert!(rates.callers.lock().unwrap().len() <= MOST_CALLERS);
        }
        assert_eq!(rates.count_at(limit(1, 1), 249_999, start), Err(60));
    }

    #[test]
    fn those_who_have_their_whole_allowance_again_are_forgotten_first() {
        let (rates, start) = (Rates::new(None), Instant::now());
        let at = |seconds: u64, caller: u64| rates.count_at(limit(1, 1), caller, start + Duration::from_secs(seconds));
        (0..50_000).for_each(|caller| assert_eq!(at(0, caller), Ok(())));
        (50_000..100_000).for_each(|caller| assert_eq!(at(30, caller), Ok(())));
        assert_eq!(at(61, 100_000), Ok(()));
        assert_eq!((at(61, 50_000), rates.callers.lock().unwrap().len()), (Err(29), 50_001));
    }

    #[test]
    fn the_caller_is_the_user_whatever_the_token() {
        let rates = Rates::new(None);
        let of = |user: Option<&str>, vendor: &str| {
            let claims =
                Claims { user_id: user.map(str::to_owned), vendor_id: Some(vendor.into()), ..Claims::default() };
            rates.key(&Principal::of(claims).unwrap())
        };
        assert_eq!(of(Some("u"), "v-1"), of(Some("u"), "v-2"));
        assert_ne!(of(Some("u"), "v-1"), of(Some("w"), "v-1"));
        assert_eq!(of(None, "v-1"), of(None, "v-1"));
        assert_ne!(of(None, "v-1"), of(None, "v-2"));
        let admin = Principal { user: None, role: Role::Admin, expires_at: u64::MAX };
        assert_ne!(rates.key(&admin), of(None, "v-1"));
    }
}
