//! Keys, each with the one algorithm that it may be used with.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

/// HS256 keys shorter than its hash can be guessed (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    /// An HS256 secret under 32 bytes.
    #[error("it has {0} bytes, HS256 needs {SHORTEST_SECRET} or more")]
    TooShort(usize),
    /// No public key in PEM form.
    #[error("it is no public key in PEM form for RS256, ES256 or EdDSA")]
    Pem,
    /// No JWKS document.
    #[error("it is no JWKS document: {0}")]
    Jwks(String),
    /// There is nothing to verify tokens with.
    #[error("no key is configured")]
    None,
}

/// A key to verify with. What a token says of its own algorithm never chooses another.
#[derive(Clone)]
pub(crate) struct Key {
    /// The key's id, which a token may name.
    pub(crate) id: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

impl Key {
    /// A shared secret for HS256.
    pub(crate) fn secret(secret: &[u8]) -> Result<Self, InvalidKey> {
        if secret.len() < SHORTEST_SECRET {
            return Err(InvalidKey::TooShort(secret.len()));
        }
        Ok(Self { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) })
    }

    /// A public key in PEM form; its kind says the algorithm.
    pub(crate) fn pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        let key = |algorithm| move |key| Self { id: None, algorithm, key };
        let rsa = DecodingKey::from_rsa_pem(pem).map(key(Algorithm::RS256));
        let ec = || DecodingKey::from_ec_pem(pem).map(key(Algorithm::ES256));
        let ed = || DecodingKey::from_ed_pem(pem).map(key(Algorithm::EdDSA));
        rsa.or_else(|_| ec()).or_else(|_| ed()).map_err(|_| InvalidKey::Pem)
    }

    /// A key of a JWKS document; `None` for keys of other uses and algorithms, which such a
    /// document may hold beside ours.
    fn jwk(jwk: &Jwk) -> Option<Self> {
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
            (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
            (AlgorithmParameters::EllipticCurve(ec), None | Some(KeyAlgorithm::ES256))
                if ec.curve == EllipticCurve::P256 =>
            {
                Algorithm::ES256
            }
            (AlgorithmParameters::OctetKeyPair(_), None | Some(KeyAlgorithm::EdDSA)) => Algorithm::EdDSA,
            // A symmetric key in a document that anybody can read is no secret.
            _ => return None,
        };
        Some(Self { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
    }

    /// The keys of a JWKS document.
    pub(crate) fn jwks(document: &[u8]) -> Result<Vec<Self>, InvalidKey> {
        let set: JwkSet = serde_json::from_slice(document).map_err(|error| InvalidKey::Jwks(error.to_string()))?;
        let keys: Vec<Self> = set.keys.iter().filter_map(Self::jwk).collect();
        if keys.is_empty() {
            return Err(InvalidKey::Jwks("it has no key for RS256, ES256 or EdDSA signatures".into()));
        }
        Ok(keys)
    }
}
