//! Verifying tokens, and minting them for development.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, Validation};

use crate::cache::Cache;
use crate::claims::{Claims, Principal};
use crate::jwks::Jwks;
use crate::keys::{InvalidKey, Key};

/// Longer tokens are refused before anything is computed.
const LONGEST_TOKEN: usize = 8 * 1024;
/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 30;

/// Why a token was refused: for logs, never for whoever sent it.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// There is no bearer token.
    #[error("no bearer token")]
    Missing,
    /// Longer than 8 KiB.
    #[error("a token of {0} bytes")]
    TooLong(usize),
    /// The token brings its own key, or says where to fetch one.
    #[error("the token names a key of its own")]
    OwnKey,
    /// The token says that something has to be understood that is not (RFC 7515, section 4.1.11).
    #[error("the token has critical header parameters")]
    Critical,
    /// No key of ours has this id and algorithm.
    #[error("no key for algorithm {algorithm} and id {id:?}")]
    UnknownKey {
        /// The algorithm that the token names.
        algorithm: String,
        /// The key that it names.
        id: Option<String>,
    },
    /// Not signed by us, expired, not yet valid, for somebody else, or no token at all.
    #[error("{0}")]
    Invalid(#[from] jsonwebtoken::errors::Error),
}

/// What a verifier is made of: at least one key, and what tokens must say.
#[derive(Default)]
pub struct Keys {
    fixed: Vec<Key>,
    published: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Keys {
    /// Accepts tokens signed with a shared secret (HS256).
    ///
    /// # Errors
    /// [`InvalidKey::TooShort`] under 32 bytes.
    pub fn secret(mut self, secret: &[u8]) -> Result<Self, InvalidKey> {
        self.fixed.push(Key::secret(secret)?);
        Ok(self)
    }

    /// Accepts tokens signed with the private half of a PEM key (RS256, ES256, EdDSA by its kind).
    ///
    /// # Errors
    /// [`InvalidKey::Pem`].
    pub fn pem(mut self, pem: &[u8]) -> Result<Self, InvalidKey> {
        self.fixed.push(Key::pem(pem)?);
        Ok(self)
    }

    /// Accepts tokens signed with the keys of a JWKS document: a file, or an http(s) URL.
    #[must_use]
    pub fn jwks(mut self, source: &str) -> Self {
        self.published = Some(source.to_owned());
        self
    }

    /// Tokens must come from this issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Tokens must be for this audience.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.to_owned());
        self
    }

    /// The verifier with these keys.
    ///
    /// # Errors
    /// Where there is no key, or a file that is no JWKS document.
    pub fn verifier(self) -> Result<Verifier, InvalidKey> {
        if self.fixed.is_empty() && self.published.is_none() {
            return Err(InvalidKey::None);
        }
        Ok(Verifier(Arc::new(Inner {
            fixed: self.fixed,
            published: self.published.map(Jwks::watch).transpose()?,
            seen: Mutex::default(),
            issuer: self.issuer,
            audience: self.audience,
            cache: Cache::default(),
        })))
    }
}

/// Verifies tokens. Clones share keys and cache.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    fixed: Vec<Key>,
    published: Option<Arc<Jwks>>,
    /// The published keys that the cache was filled with.
    seen: Mutex<Arc<Vec<Key>>>,
    issuer: Option<String>,
    audience: Option<String>,
    cache: Cache,
}

impl Verifier {
    /// Who sent this token.
    ///
    /// # Errors
    /// [`Rejected`], for logs only.
    pub fn verify(&self, token: &str) -> Result<Principal, Rejected> {
        let inner = &*self.0;
        if token.len() > LONGEST_TOKEN {
            return Err(Rejected::TooLong(token.len()));
        }
        let published = inner.published();
        let now = now();
        if let Some(principal) = inner.cache.get(token, now) {
            return Ok(principal);
        }
        let claims = inner.claims(token, &published)?;
        let until = claims.exp.saturating_add(LEEWAY);
        let principal = Principal::of(claims);
        inner.cache.put(token, &principal, until, now);
        Ok(principal)
    }
}

impl Inner {
    /// The published keys. When they have changed, what was verified with the old ones is forgotten.
    fn published(&self) -> Arc<Vec<Key>> {
        let Some(published) = &self.published else { return Arc::default() };
        let keys = published.keys();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&seen, &keys) {
            *seen = Arc::clone(&keys);
            self.cache.clear();
        }
        keys
    }

    fn claims(&self, token: &str, published: &[Key]) -> Result<Claims, Rejected> {
        let header = jsonwebtoken::decode_header(token)?;
        if header.jwk.is_some() || header.jku.is_some() || header.x5u.is_some() || header.x5c.is_some() {
            return Err(Rejected::OwnKey);
        }
        if header.crit.is_some() {
            return Err(Rejected::Critical);
        }
        let named = |key: &&Key| match (&key.id, &header.kid) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        let candidates = self.fixed.iter().chain(published).filter(|key| key.algorithm == header.alg).filter(named);
        let mut refused = None;
        for key in candidates {
            match jsonwebtoken::decode::<Claims>(token, &key.key, &self.validation(key)) {
                Ok(verified) => return Ok(verified.claims),
                Err(error) => refused = Some(error.into()),
            }
        }
        let is_new = |id: &String| published.iter().all(|key| key.id.as_ref() != Some(id));
        let unknown = refused.is_none() || header.kid.as_ref().is_some_and(is_new);
        if let (true, Some(published)) = (unknown, &self.published) {
            published.hasten();
        }
        Err(refused.unwrap_or(Rejected::UnknownKey { algorithm: format!("{:?}", header.alg), id: header.kid }))
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Mints an HS256 token: for development and tests.
///
/// # Errors
/// [`InvalidKey::TooShort`] under 32 bytes.
pub fn mint(secret: &[u8], claims: &Claims) -> Result<String, InvalidKey> {
    let key = Key::secret(secret)?;
    let signed = jsonwebtoken::encode(&Header::new(key.algorithm), claims, &EncodingKey::from_secret(secret));
    // Signing plain claims with a key of sufficient length has nothing left to fail at.
    Ok(signed.unwrap_or_default())
}
