//! Verifying tokens, and minting them for development.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};

use crate::claims::{Claims, Principal};

/// HS256 keys shorter than its hash can be guessed (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;
/// Longer tokens are refused before anything is computed.
const LONGEST_TOKEN: usize = 8 * 1024;
/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 30;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    /// An HS256 secret under 32 bytes.
    #[error("it has {0} bytes, HS256 needs {SHORTEST_SECRET} or more")]
    TooShort(usize),
}

/// Why a token was refused: for logs, never for whoever sent it.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// There is no bearer token.
    #[error("no bearer token")]
    Missing,
    /// Longer than 8 KiB.
    #[error("a token of {0} bytes")]
    TooLong(usize),
    /// Not signed by us, expired, not yet valid, or no token at all.
    #[error("{0}")]
    Invalid(#[from] jsonwebtoken::errors::Error),
}

/// Verifies tokens with one key and the one algorithm that goes with it: what a token says of
/// its own algorithm never chooses.
#[derive(Clone)]
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// A verifier of HS256 tokens.
    ///
    /// # Errors
    /// [`InvalidKey::TooShort`] under 32 bytes.
    pub fn hs256(secret: &[u8]) -> Result<Self, InvalidKey> {
        if secret.len() < SHORTEST_SECRET {
            return Err(InvalidKey::TooShort(secret.len()));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp"]);
        Ok(Self { key: DecodingKey::from_secret(secret), validation })
    }

    /// Who sent this token.
    ///
    /// # Errors
    /// [`Rejected`], for logs only.
    pub fn verify(&self, token: &str) -> Result<Principal, Rejected> {
        if token.len() > LONGEST_TOKEN {
            return Err(Rejected::TooLong(token.len()));
        }
        let token = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)?;
        Ok(Principal::of(token.claims))
    }
}

/// Mints an HS256 token: for development and tests.
///
/// # Errors
/// [`InvalidKey::TooShort`] under 32 bytes.
pub fn mint(secret: &[u8], claims: &Claims) -> Result<String, InvalidKey> {
    Verifier::hs256(secret)?;
    let signed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret));
    // Signing plain claims with a key of sufficient length has nothing left to fail at.
    Ok(signed.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn now() -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    }

    fn signed(claims: &serde_json::Value, algorithm: Algorithm, secret: &[u8]) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).unwrap()
    }

    #[test]
    fn a_minted_token_verifies() {
        let claims = Claims { role: Some("admin".into()), exp: now() + 60, ..Claims::default() };
        let token = mint(SECRET, &claims).unwrap();
        let principal = Verifier::hs256(SECRET).unwrap().verify(&token).unwrap();
        assert_eq!(principal.role, crate::Role::Admin);
    }

    #[test]
    fn every_other_token_is_refused() {
        let good = json!({ "role": "admin", "exp": now() + 60 });
        let unsigned = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4iLCJleHAiOjQxMDI0NDQ4MDB9.";
        for (what, token) in [
            ("another key", signed(&good, Algorithm::HS256, b"another key of thirty-two bytes!")),
            ("another algorithm", signed(&good, Algorithm::HS384, SECRET)),
            ("no algorithm", unsigned.to_owned()),
            ("expired", signed(&json!({ "role": "admin", "exp": now() - 31 }), Algorithm::HS256, SECRET)),
            ("without exp", signed(&json!({ "role": "admin" }), Algorithm::HS256, SECRET)),
            ("not yet valid", signed(&json!({ "exp": now() + 99, "nbf": now() + 60 }), Algorithm::HS256, SECRET)),
            ("too long", signed(&json!({ "exp": now() + 60, "x": "x".repeat(8192) }), Algorithm::HS256, SECRET)),
            ("nonsense", "a.b.c".to_owned()),
            ("nothing", String::new()),
        ] {
            assert!(Verifier::hs256(SECRET).unwrap().verify(&token).is_err(), "{what}");
        }
        let late = signed(&json!({ "exp": now() - 20 }), Algorithm::HS256, SECRET);
        assert!(Verifier::hs256(SECRET).unwrap().verify(&late).is_ok(), "within the leeway");
    }

    #[test]
    fn short_secrets_are_refused() {
        assert!(matches!(Verifier::hs256(b"short"), Err(InvalidKey::TooShort(5))));
    }
}
