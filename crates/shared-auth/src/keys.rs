//! Keys that verify tokens, each bound to one algorithm.
//!
//! The key determines the algorithm, never the token: a token must not be able to have a public key
//! used as an HS256 secret.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use openssl::x509::X509;
use serde_json::Value;

/// Minimum size of HS256 secrets in bytes, that of the hash (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;

/// Minimum size of RSA keys in bits (RFC 7518, section 3.3).
const SHORTEST_RSA: u32 = 2048;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    /// An HS256 secret of less than 32 bytes, with its size.
    #[error("must have {SHORTEST_SECRET} bytes or more for HS256, got {0}")]
    TooShort(usize),
    /// A private key. A service that only verifies tokens must not be able to sign them.
    #[error("must be a public key, got a private one: use its public half")]
    Private,
    /// A public key of an unsupported kind, size or curve.
    #[error("must be an RSA key of {SHORTEST_RSA} bits or more, a P-256 key or an Ed25519 key, got {0}")]
    Kind(String),
    /// Not a public key in PEM form.
    #[error("must be a public key in PEM form, as in -----BEGIN PUBLIC KEY-----, for RS256, ES256 or EdDSA")]
    Pem,
    /// Not a usable JWKS document, with the reason.
    #[error("must be a JWKS document: {0}")]
    Jwks(&'static str),
    /// The key of embedded pages is also one of logins.
    #[error("must not be the key of any other token")]
    Shared,
    /// No key at all.
    #[error("no key is configured")]
    None,
}

/// A key that verifies tokens.
#[derive(Clone)]
pub(crate) struct Key {
    /// The id of the key, to which the `kid` of a token may refer.
    pub(crate) id: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

impl Key {
    /// Creates an HS256 key from a shared secret.
    pub(crate) fn secret(secret: &[u8]) -> Result<Self, InvalidKey> {
        if secret.len() < SHORTEST_SECRET {
            return Err(InvalidKey::TooShort(secret.len()));
        }
        Ok(Self { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) })
    }

    /// Creates a key from a public key or a certificate in PEM form. The kind of the key determines
    /// the algorithm.
    pub(crate) fn pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        let text = String::from_utf8_lossy(pem);
        if text.contains("PRIVATE KEY-----") {
            return Err(InvalidKey::Private);
        }
        let key = PKey::public_key_from_pem(pem)
            .or_else(|_| PKey::from_rsa(Rsa::public_key_from_pem_pkcs1(pem)?))
            .or_else(|_| X509::from_pem(pem)?.public_key())
            .map_err(|_| InvalidKey::Pem)?;
        let algorithm = algorithm(&key)?;
        // The form that `DecodingKey` reads for every kind of key.
        let pem = key.public_key_to_pem().map_err(|_| InvalidKey::Pem)?;
        let key = match algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_pem(&pem),
            Algorithm::ES256 => DecodingKey::from_ec_pem(&pem),
            _ => DecodingKey::from_ed_pem(&pem),
        };
        Ok(Self { id: None, algorithm, key: key.map_err(|_| InvalidKey::Pem)? })
    }

    /// Creates a key from a key of a JWKS document. Returns `None` for keys with other uses or
    /// algorithms, which a document may also contain.
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
            // Symmetric keys are not used: everybody can read the document.
            _ => return None,
        };
        Some(Self { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
    }

    /// Returns the keys of a JWKS document, without those that cannot be used.
    ///
    /// # Errors
    /// [`InvalidKey::Jwks`] if it is not a JWKS document, or has no key that can be used.
    pub(crate) fn jwks(document: &[u8]) -> Result<Vec<Self>, InvalidKey> {
        #[derive(serde::Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document =
            serde_json::from_slice(document).map_err(|_| InvalidKey::Jwks("it is not a JSON object with keys"))?;
        let read = |mut key: Value| {
            // An id must be a string (RFC 7517, section 4.5). Any other id is ignored.
            if let Some(key) = key.as_object_mut() {
                key.retain(|name, value| name != "kid" || value.is_string());
            }
            Self::jwk(&serde_json::from_value(key).ok()?)
        };
        let keys: Vec<Self> = document.keys.into_iter().filter_map(read).collect();
        if keys.is_empty() {
            return Err(InvalidKey::Jwks("it has no key for RS256, ES256 or EdDSA signatures"));
        }
        Ok(keys)
    }
}

/// Returns the algorithm to use with a public key.
fn algorithm(key: &PKey<Public>) -> Result<Algorithm, InvalidKey> {
    match key.id() {
        Id::RSA if key.bits() >= SHORTEST_RSA => Ok(Algorithm::RS256),
        Id::RSA => Err(InvalidKey::Kind(format!("an RSA key of {} bits", key.bits()))),
        Id::EC => match key.ec_key().ok().and_then(|key| key.group().curve_name()) {
            Some(Nid::X9_62_PRIME256V1) => Ok(Algorithm::ES256),
            curve => {
                let curve = curve.and_then(|curve| curve.short_name().ok()).unwrap_or("another curve");
                Err(InvalidKey::Kind(format!("a key on {curve}")))
            }
        },
        Id::ED25519 => Ok(Algorithm::EdDSA),
        _ => Err(InvalidKey::Kind("a key of another kind".into())),
    }
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};

    use super::*;

    fn refused(pem: &[u8]) -> String {
        Key::pem(pem).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn unsupported_keys_are_refused_with_a_reason() {
        let rsa = |bits| PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
        let ec = |curve| {
            let group = EcGroup::from_curve_name(curve).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        };
        let p256 = ec(Nid::X9_62_PRIME256V1);
        assert_eq!(Key::pem(&p256.public_key_to_pem().unwrap()).unwrap().algorithm, Algorithm::ES256);
        let pkcs1 = rsa(2048).rsa().unwrap().public_key_to_pem_pkcs1().unwrap();
        assert_eq!(Key::pem(&pkcs1).unwrap().algorithm, Algorithm::RS256);
        let ed = PKey::generate_ed25519().unwrap();
        assert_eq!(Key::pem(&ed.public_key_to_pem().unwrap()).unwrap().algorithm, Algorithm::EdDSA);
        for (pem, says) in [
            (ec(Nid::SECP384R1).public_key_to_pem().unwrap(), "got a key on secp384r1"),
            (ec(Nid::SECP256K1).public_key_to_pem().unwrap(), "got a key on secp256k1"),
            (rsa(1024).public_key_to_pem().unwrap(), "got an RSA key of 1024 bits"),
            (PKey::generate_ed448().unwrap().public_key_to_pem().unwrap(), "got a key of another kind"),
            (p256.private_key_to_pem_pkcs8().unwrap(), "got a private one"),
            (p256.ec_key().unwrap().private_key_to_pem().unwrap(), "got a private one"),
            (rsa(2048).private_key_to_pem_pkcs8().unwrap(), "got a private one"),
            (b"nonsense".to_vec(), "must be a public key in PEM form"),
        ] {
            let sentence = refused(&pem);
            assert!(sentence.contains(says), "{says}: {sentence}");
        }
    }

    #[test]
    fn unusable_keys_of_a_document_are_ignored() {
        let good = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let with = |kid: &str| good.replace("{", &format!(r#"{{"kid":{kid},"#));
        let ids = |document: String| {
            let keys = Key::jwks(document.as_bytes());
            keys.map(|keys| keys.into_iter().map(|key| key.id).collect::<Vec<_>>()).map_err(|error| error.to_string())
        };
        assert_eq!(ids(format!(r#"{{"keys":[{}]}}"#, with("\"a\""))), Ok(vec![Some("a".into())]));
        assert_eq!(ids(format!(r#"{{"keys":[{}]}}"#, with("7"))), Ok(vec![None]));
        assert_eq!(ids(format!(r#"{{"keys":[7,{{"kty":"new"}},{good}]}}"#)), Ok(vec![None]));
        assert!(ids(r#"{"keys":[{"kty":"new"}]}"#.into()).unwrap_err().contains("no key for RS256"));
        assert!(ids("SECRET".into()).is_err_and(|sentence| !sentence.contains("SECRET")));
    }
}
