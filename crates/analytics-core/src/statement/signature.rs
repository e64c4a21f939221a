//! Ed25519 (RFC 8032): the key that signs statements, and its public half, which checks them.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sign::{Signer, Verifier};

use super::Digest;

/// What is signed begins with this, so that no signature of something else is one of a statement.
const CONTEXT: &str = "marketplace analytics statement 1\n";

/// The key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKey {
    /// Not a private key for Ed25519.
    #[error("must be an Ed25519 private key in PEM form, as `openssl genpkey -algorithm ed25519` makes it, or @file")]
    Private,
    /// Not a public key for Ed25519.
    #[error("must be an Ed25519 public key: its 32 bytes in base64, or in PEM form")]
    Public,
}

/// A key that signs statements.
pub struct SigningKey(PKey<Private>, PublicKey);

impl SigningKey {
    /// Reads a key in PEM form.
    ///
    /// # Errors
    /// [`InvalidSigningKey::Private`].
    pub fn parse(pem: &str) -> Result<Self, InvalidSigningKey> {
        let key = PKey::private_key_from_pem_passphrase(pem.as_bytes(), b"").ok();
        let key = key.filter(|key| key.id() == Id::ED25519).ok_or(InvalidSigningKey::Private)?;
        let public = key.raw_public_key().ok().and_then(|bytes| bytes.try_into().ok());
        let public = PublicKey(public.ok_or(InvalidSigningKey::Private)?);
        Ok(Self(key, public))
    }

    /// Returns the public half.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.1
    }

    /// Signs the digest of a statement.
    ///
    /// # Errors
    /// [`InvalidSigningKey::Private`] if the library refuses the key.
    pub fn sign(&self, digest: &Digest) -> Result<[u8; 64], InvalidSigningKey> {
        let signed = || {
            let mut signer = Signer::new_without_digest(&self.0).ok()?;
            signer.sign_oneshot_to_vec(&message(digest)).ok()?.try_into().ok()
        };
        signed().ok_or(InvalidSigningKey::Private)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.1).finish_non_exhaustive()
    }
}

/// The public half of a key. Written in base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Reads a key in base64 or in PEM form.
    ///
    /// # Errors
    /// [`InvalidSigningKey::Public`].
    pub fn parse(text: &str) -> Result<Self, InvalidSigningKey> {
        let text = text.trim();
        let of_base64 = || BASE64_STANDARD.decode(text).ok()?.try_into().ok();
        let of_pem = || {
            let key = PKey::public_key_from_pem(text.as_bytes()).ok().filter(|key| key.id() == Id::ED25519)?;
            key.raw_public_key().ok()?.try_into().ok()
        };
        of_base64().or_else(of_pem).map(Self).ok_or(InvalidSigningKey::Public)
    }

    /// Returns whether a signature is one of this digest by this key.
    #[must_use]
    pub fn verifies(&self, digest: &Digest, signature: &[u8; 64]) -> bool {
        let verified = || {
            let key: PKey<Public> = PKey::public_key_from_raw_bytes(&self.0, Id::ED25519).ok()?;
            let mut verifier = Verifier::new_without_digest(&key).ok()?;
            verifier.verify_oneshot(signature, &message(digest)).ok()
        };
        verified() == Some(true)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn message(digest: &Digest) -> Vec<u8> {
    format!("{CONTEXT}{digest}").into_bytes()
}
