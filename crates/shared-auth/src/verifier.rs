//! Verifies tokens, and creates them for development and tests.

use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::{EncodingKey, Header, Validation};

use crate::cache::Cache;
use crate::claims::{Claims, Principal};
use crate::clock::{LEEWAY, now};
use crate::embed::{EmbedKey, is_embed};
use crate::jwks::Jwks;
use crate::keys::{InvalidKey, Key};
use crate::rejected::{LONGEST_TOKEN, Rejected};

/// Builds a [`Verifier`] from at least one key, and the issuer and audience that are required.
#[derive(Default)]
pub struct Keys {
    fixed: Vec<Key>,
    published: Option<String>,
    embed: Option<EmbedKey>,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Keys {
    /// Accepts tokens signed with a shared secret (HS256).
    ///
    /// # Errors
    /// [`InvalidKey::TooShort`] if it has less than 32 bytes.
    pub fn secret(mut self, secret: &[u8]) -> Result<Self, InvalidKey> {
        self.fixed.push(Key::secret(secret)?);
        Ok(self)
    }

    /// Accepts tokens signed with the private half of a public key in PEM form. The kind of the key
    /// determines the algorithm: RS256, ES256 or EdDSA.
    ///
    /// # Errors
    /// [`InvalidKey::Pem`], [`InvalidKey::Private`] or [`InvalidKey::Kind`].
    pub fn pem(mut self, pem: &[u8]) -> Result<Self, InvalidKey> {
        self.fixed.push(Key::pem(pem)?);
        Ok(self)
    }

    /// Accepts tokens signed with the keys of a JWKS document, from a file or an http(s) URL.
    #[must_use]
    pub fn jwks(mut self, source: &str) -> Self {
        self.published = Some(source.to_owned());
        self
    }

    /// Also accepts tokens of embedded pages, signed with this key.
    #[must_use]
    pub fn embed(mut self, key: EmbedKey) -> Self {
        self.embed = Some(key);
        self
    }

    /// Requires this issuer (`iss`) of logins.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Requires this audience (`aud`) of logins.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.to_owned());
        self
    }

    /// Builds the verifier. If there is a JWKS document, reads it and starts the thread that keeps
    /// reading it.
    ///
    /// # Errors
    /// [`InvalidKey::None`] without any key for logins, [`InvalidKey::Shared`] if one of them is also
    /// the key of embedded pages, and [`InvalidKey::Jwks`] if the source of published keys can be read
    /// but is not a JWKS document.
    pub fn verifier(self) -> Result<Verifier, InvalidKey> {
        if self.fixed.is_empty() && self.published.is_none() {
            return Err(InvalidKey::None);
        }
        if self.embed.as_ref().is_some_and(|embed| self.fixed.iter().any(|key| embed.is_verified_by(key))) {
            return Err(InvalidKey::Shared);
        }
        Ok(Verifier(Arc::new(Inner {
            fixed: self.fixed,
            embed: self.embed,
            published: self.published.map(Jwks::watch).transpose()?,
            seen: Mutex::default(),
            issuer: self.issuer,
            audience: self.audience,
            cache: Cache::default(),
        })))
    }
}

/// Verifies tokens. Clones share the keys and the cache.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    fixed: Vec<Key>,
    embed: Option<EmbedKey>,
    published: Option<Arc<Jwks>>,
    /// The published keys with which the cached tokens were verified.
    seen: Mutex<Arc<Vec<Key>>>,
    issuer: Option<String>,
    audience: Option<String>,
    cache: Cache,
}

impl Verifier {
    /// Verifies a token and returns its principal.
    ///
    /// # Errors
    /// [`Rejected`] if the token is not valid; for logs only.
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
        let header = jsonwebtoken::decode_header(token)?;
        if header.jwk.is_some() || header.jku.is_some() || header.x5u.is_some() || header.x5c.is_some() {
            return Err(Rejected::OwnKey);
        }
        if header.crit.is_some() {
            return Err(Rejected::Critical);
        }
        let principal = match (is_embed(&header), &inner.embed) {
            (true, Some(embed)) => embed.verify(token, &header)?,
            // A token that says what it is for is never a login, whoever signed it.
            (true, None) => return Err(Rejected::Type),
            (false, _) => Principal::of(inner.claims(token, header, &published)?)?,
        };
        inner.cache.put(token, &principal, principal.expires_at.saturating_add(LEEWAY), now);
        Ok(principal)
    }
}

impl Inner {
    /// Returns the published keys. Clears the cache if they have changed.
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

    fn claims(&self, token: &str, header: Header, published: &[Key]) -> Result<Claims, Rejected> {
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

/// Creates an HS256 token, for development and tests.
///
/// # Errors
/// [`InvalidKey::TooShort`] if the secret has less than 32 bytes.
pub fn mint(secret: &[u8], claims: &Claims) -> Result<String, InvalidKey> {
    let key = Key::secret(secret)?;
    let signed = jsonwebtoken::encode(&Header::new(key.algorithm), claims, &EncodingKey::from_secret(secret));
    // Signing with a key of sufficient length does not fail.
    Ok(signed.unwrap_or_default())
}
