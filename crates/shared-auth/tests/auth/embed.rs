//! Tokens of embedded pages and logins, each of which must not be taken for the other.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use shared_auth::{EmbedKey, InvalidKey, Keys, Role, Verifier};

use crate::tokens::{SECRET, admin, now, sign};

const OWN: &[u8] = b"the key of embedded pages, and of nothing else";

fn verifier() -> Verifier {
    let key = EmbedKey::new(OWN, "analytics").unwrap();
    Keys::default().secret(SECRET).unwrap().embed(key).verifier().unwrap()
}

fn typed(typ: &str) -> Header {
    Header { typ: Some(typ.into()), ..Header::new(Algorithm::HS256) }
}

/// Returns the claims of an embed token, with changes.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": "analytics-embed", "aud": "analytics-embed", "vendorId": "v-1", "iat": now(), "exp": now() + 60,
    });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

fn signed(header: &Header, claims: &Value, secret: &[u8]) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

#[test]
fn an_embed_token_is_of_one_vendor_and_expires() {
    let (token, expires_at) = EmbedKey::new(OWN, "analytics").unwrap().mint("v-1", 900);
    let principal = verifier().verify(&token).unwrap();
    assert_eq!((&principal.role, principal.expires_at, principal.user), (&Role::Embed("v-1".into()), expires_at, None));
    assert!((890..=900).contains(&(i64::try_from(expires_at).unwrap() - now())));
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("analytics-embed+jwt"));
    let (_, longest) = EmbedKey::new(OWN, "analytics").unwrap().mint("v-1", u64::MAX);
    assert!(i64::try_from(longest).unwrap() <= now() + 3600);
}

#[test]
fn no_token_is_taken_for_one_of_another_kind() {
    let verifier = verifier();
    let embed = typed("analytics-embed+jwt");
    for typ in ["analytics-embed+jwt", "application/analytics-embed+jwt", "Analytics-Embed+JWT"] {
        assert!(verifier.verify(&signed(&typed(typ), &claims(json!({})), OWN)).is_ok(), "{typ}");
    }
    for (attack, token) in [
        ("an admin's claims, typed and signed as embedded", signed(&embed, &admin(json!({})), OWN)),
        ("claims of both kinds", signed(&embed, &claims(json!({ "role": "admin" })), OWN)),
        ("an admin's claims, signed as embedded", signed(&Header::default(), &admin(json!({})), OWN)),
        ("embed claims without the type", signed(&Header::default(), &claims(json!({})), OWN)),
        ("the type, signed with the key of logins", signed(&embed, &claims(json!({})), SECRET)),
        ("a login with the type", sign(&embed, &admin(json!({})), None)),
        ("a login with the type of another service", sign(&typed("billing-embed+jwt"), &admin(json!({})), None)),
        ("a login with the type in other words", sign(&typed("application/X-Embed+JWT"), &admin(json!({})), None)),
        ("a token of another service", signed(&typed("billing-embed+jwt"), &claims(json!({})), OWN)),
        ("another issuer", signed(&embed, &claims(json!({ "iss": "shop" })), OWN)),
        ("another audience", signed(&embed, &claims(json!({ "aud": "billing" })), OWN)),
        ("an issuer that is a list", signed(&embed, &claims(json!({ "iss": ["analytics-embed"] })), OWN)),
        ("no vendor", signed(&embed, &claims(json!({ "vendorId": " " })), OWN)),
        ("several vendors", signed(&embed, &claims(json!({ "vendorId": ["v-1", "v-2"] })), OWN)),
        ("expired", signed(&embed, &claims(json!({ "iat": now() - 120, "exp": now() - 60 })), OWN)),
        ("valid for longer than an hour", signed(&embed, &claims(json!({ "exp": now() + 3700 })), OWN)),
        ("issued in the future", signed(&embed, &claims(json!({ "iat": now() + 600, "exp": now() + 900 })), OWN)),
        ("another algorithm", {
            let header = Header { typ: Some("analytics-embed+jwt".into()), ..Header::new(Algorithm::HS384) };
            signed(&header, &claims(json!({})), OWN)
        }),
        ("crit", signed(&Header { crit: Some(vec!["b64".into()]), ..embed.clone() }, &claims(json!({})), OWN)),
    ] {
        assert!(verifier.verify(&token).is_err(), "{attack}");
    }
    for missing in ["iss", "aud", "exp", "iat", "vendorId"] {
        let mut claims = claims(json!({}));
        claims.as_object_mut().unwrap().remove(missing);
        assert!(verifier.verify(&signed(&embed, &claims, OWN)).is_err(), "without {missing}");
    }
    // A service without embedded pages, or with other keys, accepts none.
    let (token, _) = EmbedKey::new(OWN, "analytics").unwrap().mint("v-1", 900);
    assert!(Keys::default().secret(SECRET).unwrap().verifier().unwrap().verify(&token).is_err());
    let both = Keys::default().secret(OWN).unwrap().verifier().unwrap();
    assert!(both.verify(&token).is_err(), "not even where the keys are the same");
    assert!(verifier.verify(&sign(&Header::default(), &admin(json!({})), None)).is_ok());
    assert!(verifier.verify(&sign(&typed("at+jwt"), &admin(json!({})), None)).is_ok());
}

#[test]
fn the_key_of_embedded_pages_is_no_other_key() {
    assert!(EmbedKey::new(&OWN[..31], "analytics").is_err());
    let with = |embed: &[u8]| {
        let key = EmbedKey::new(embed, "analytics").unwrap();
        Keys::default().secret(SECRET).unwrap().embed(key).verifier()
    };
    assert!(with(OWN).is_ok());
    // HMAC fills a short key with zeros.
    let padded = [SECRET, b"\0\0"].concat();
    for same in [SECRET, &padded] {
        assert!(matches!(with(same), Err(InvalidKey::Shared)), "{same:?}");
    }
}
