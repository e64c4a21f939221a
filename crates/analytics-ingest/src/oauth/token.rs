//! A token, as the token endpoint answers it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// The longest time that a token is used. Some providers answer tokens that last for years.
const LONGEST: Duration = Duration::from_secs(86_400);

/// An access token.
pub(super) struct Token {
    pub(super) value: String,
    /// Whose token it is. Only the client's own log and statistics name it: the broker reads the token.
    pub(super) principal: String,
    pub(super) expires_at: DateTime<Utc>,
    /// When it is to be replaced.
    pub(super) renew_at: DateTime<Utc>,
}

impl Token {
    /// Reads a successful answer: see RFC 6749, section 5.1. If it does not say when the token expires,
    /// the token does, if it is a JWT.
    ///
    /// # Errors
    /// A sentence that does not repeat the answer.
    pub(super) fn read(answer: &[u8], client_id: &str, now: DateTime<Utc>) -> Result<Self, &'static str> {
        let answer: Value = serde_json::from_slice(answer).map_err(|_| "the answer is not JSON")?;
        let value = answer.get("access_token").and_then(Value::as_str).ok_or("the answer has no access_token")?;
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the access_token has characters that no token has");
        }
        if answer.get("token_type").and_then(Value::as_str).is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err("the token_type is not Bearer");
        }
        let claims = claims(value).unwrap_or_default();
        // Relative to this clock, unlike `exp`.
        let expires_in = answer.get("expires_in").and_then(|seconds| match seconds {
            Value::String(seconds) => seconds.parse().ok(),
            seconds => seconds.as_i64(),
        });
        let expires_at = match expires_in {
            Some(seconds) => TimeDelta::try_seconds(seconds).and_then(|time| now.checked_add_signed(time)),
            None => claims.get("exp").and_then(Value::as_i64).and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        };
        let expires_at = expires_at.ok_or("neither the answer nor the token says when the token expires")?;
        let expires_at = expires_at.min(now + LONGEST);
        if expires_at <= now {
            return Err("the token has expired already; is the clock right?");
        }
        Ok(Self {
            value: value.to_owned(),
            principal: claims.get("sub").and_then(Value::as_str).unwrap_or(client_id).to_owned(),
            expires_at,
            renew_at: now + (expires_at - now) * 3 / 4,
        })
    }
}

/// Returns the claims of a JWT. It is not verified: the broker does that.
fn claims(token: &str) -> Option<Value> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn jwt(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn read(answer: &Value) -> Result<Token, &'static str> {
        Token::read(answer.to_string().as_bytes(), "client", NOW)
    }

    #[test]
    fn the_lifetime_is_that_of_the_answer_or_else_of_the_token() {
        for (answer, seconds, principal) in [
            (json!({"access_token": "opaque", "token_type": "bearer", "expires_in": 100}), 100, "client"),
            (json!({"access_token": "opaque", "expires_in": "100"}), 100, "client"),
            (json!({"access_token": jwt(&json!({"exp": 80, "sub": "s"}))}), 80, "s"),
            (json!({"access_token": jwt(&json!({"exp": 80, "sub": "s"})), "expires_in": 100}), 100, "s"),
            (json!({"access_token": "opaque", "expires_in": i64::from(i32::MAX)}), 86_400, "client"),
        ] {
            let token = read(&answer).unwrap_or_else(|error| panic!("{answer}: {error}"));
            assert_eq!((token.expires_at.timestamp(), token.principal.as_str()), (seconds, principal), "{answer}");
            assert_eq!(token.renew_at.timestamp(), seconds * 3 / 4, "{answer}");
        }
    }

    #[test]
    fn answers_without_a_token_that_can_be_used_are_refused() {
        for (answer, says) in [
            (json!({"expires_in": 100}), "no access_token"),
            (json!({"access_token": "a b", "expires_in": 100}), "characters"),
            (json!({"access_token": "a", "expires_in": 100, "token_type": "mac"}), "not Bearer"),
            (json!({"access_token": "a"}), "when the token expires"),
            (json!({"access_token": "a", "expires_in": i64::MAX}), "when the token expires"),
            (json!({"access_token": "a", "expires_in": 0}), "expired already"),
            (json!({"access_token": jwt(&json!({"exp": -1}))}), "expired already"),
        ] {
            let error = read(&answer).err().unwrap_or_default();
            assert!(error.contains(says), "{answer}: {error}");
        }
        assert_eq!(Token::read(b"<html>", "client", NOW).err(), Some("the answer is not JSON"));
    }
}
