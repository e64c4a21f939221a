//! Tokens of one vendor, for pages of a service that are embedded in another site.
//!
//! Such a token is readable by the scripts of the site that embeds the page, so it must be worth
//! little. It is signed with a key of its own and says in its header what it is: no service takes it
//! for a login, and no login is taken for it, whatever its claims (RFC 8725, sections 3.9 to 3.12).

use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::claims::{Principal, Role};
use crate::clock::{LEEWAY, now};
use crate::keys::{InvalidKey, Key};
use crate::rejected::Rejected;

/// The end of the media type of these tokens, after the name of the service.
const TYPE: &str = "-embed+jwt";
/// Maximum lifetime of a token, in seconds.
const LONGEST_LIFE: u64 = 3600;

/// The key that signs the tokens of embedded pages of one service, and verifies them.
#[derive(Clone)]
pub struct EmbedKey {
    key: Key,
    signing: EncodingKey,
    /// The issuer and the audience of the tokens.
    party: String,
    header: Header,
}

/// All claims of such a token.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EmbedClaims {
    iss: String,
    aud: String,
    vendor_id: String,
    iat: u64,
    exp: u64,
}

impl EmbedKey {
    /// Creates the key of a service. Its tokens have the issuer and audience `<service>-embed` and
    /// the type `<service>-embed+jwt`.
    ///
    /// # Errors
    /// [`InvalidKey::TooShort`] if the secret has less than 32 bytes.
    pub fn new(secret: &[u8], service: &str) -> Result<Self, InvalidKey> {
        let key = Key::secret(secret)?;
        let header = Header { typ: Some(format!("{service}{TYPE}")), ..Header::new(key.algorithm) };
        Ok(Self { key, signing: EncodingKey::from_secret(secret), party: format!("{service}-embed"), header })
    }

    /// Creates a token that is valid for `seconds`, an hour at most. Returns it with its expiry, in
    /// seconds since the Unix epoch.
    #[must_use]
    pub fn mint(&self, vendor: &str, seconds: u64) -> (String, u64) {
        let iat = now();
        let exp = iat.saturating_add(seconds.min(LONGEST_LIFE));
        let claims =
            EmbedClaims { iss: self.party.clone(), aud: self.party.clone(), vendor_id: vendor.to_owned(), iat, exp };
        // Signing with a key of sufficient length does not fail.
        (jsonwebtoken::encode(&self.header, &claims, &self.signing).unwrap_or_default(), exp)
    }

    /// Verifies a token whose header says that it is [of an embedded page](is_embed).
    pub(crate) fn verify(&self, token: &str, header: &Header) -> Result<Principal, Rejected> {
        let is_own = header.typ.as_deref().map(bare) == self.header.typ.as_deref().map(bare);
        if header.alg != self.key.algorithm || !is_own {
            return Err(Rejected::Type);
        }
        let mut validation = Validation::new(self.key.algorithm);
        validation.leeway = LEEWAY;
        validation.set_issuer(&[&self.party]);
        validation.set_audience(&[&self.party]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let claims = jsonwebtoken::decode::<EmbedClaims>(token, &self.key.key, &validation)?.claims;
        let is_short = claims.exp.saturating_sub(claims.iat) <= LONGEST_LIFE && claims.iat <= now() + LEEWAY;
        let vendor = claims.vendor_id.trim();
        if !is_short || vendor.is_empty() {
            return Err(Rejected::Embed);
        }
        Ok(Principal { user: None, role: Role::Embed(vendor.to_owned()), expires_at: claims.exp })
    }

    /// Whether a key verifies what this one signs. That is so for equal secrets, and for unequal ones
    /// that HMAC treats alike.
    pub(crate) fn is_verified_by(&self, other: &Key) -> bool {
        let mut any = Validation::new(Algorithm::HS256);
        any.required_spec_claims.clear();
        any.validate_exp = false;
        any.validate_aud = false;
        let (token, _) = self.mint("", 0);
        other.algorithm == Algorithm::HS256 && jsonwebtoken::decode::<Value>(&token, &other.key, &any).is_ok()
    }
}

/// Whether a header is that of a token for embedded pages of any service.
pub(crate) fn is_embed(header: &Header) -> bool {
    header.typ.as_deref().is_some_and(|typ| bare(typ).ends_with(TYPE))
}

/// Returns a media type as it is compared: in lower case, without `application/` (RFC 7515, section
/// 4.1.9).
fn bare(typ: &str) -> String {
    let typ = typ.trim().to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ).to_owned()
}
