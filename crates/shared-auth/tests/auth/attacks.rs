//! Attacks, each of which must be rejected.

use base64_url as base64;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};
use shared_auth::{Keys, Verifier};

use crate::tokens::{SECRET, admin, key, now, sign};

/// Builds a verifier with keys from every source: a secret, a PEM key and a JWKS document.
fn verifier() -> Verifier {
    let jwks = format!("{}/tests/keys/jwks.json", env!("CARGO_MANIFEST_DIR"));
    let keys = Keys::default().secret(SECRET).unwrap().pem(&key("es256.pub.pem")).unwrap().jwks(&jwks);
    keys.verifier().unwrap()
}

/// Assembles a token from its parts, with any signature.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    format!("{}.{}.{signature}", base64::encode(&header.to_string()), base64::encode(&claims.to_string()))
}

mod base64_url {
    pub(crate) fn encode(text: &str) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits: Vec<bool> = text.bytes().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
        let digit = |six: &[bool]| (0..6).fold(0, |sum, index| sum * 2 + usize::from(six.get(index) == Some(&true)));
        bits.chunks(6).map(|six| char::from(ALPHABET[digit(six)])).collect()
    }
}

#[test]
fn every_attack_is_rejected() {
    let verifier = verifier();
    let header = |change: fn(&mut Header)| {
        let mut header = Header::new(Algorithm::RS256);
        change(&mut header);
        header
    };
    let own_key: jsonwebtoken::jwk::Jwk =
        serde_json::from_value(json!({ "kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB" })).unwrap();
    let good = admin(json!({}));
    for (attack, token) in [
        ("none", forged(&json!({ "alg": "none" }), &good, "")),
        ("None", forged(&json!({ "alg": "None", "typ": "JWT" }), &good, "x")),
        ("no algorithm", forged(&json!({ "typ": "JWT" }), &good, "x")),
        ("another algorithm of the family", sign(&Header::new(Algorithm::HS384), &good, None)),
        ("RSA-PSS with the RSA key", sign(&Header::new(Algorithm::PS256), &good, Some("rs256.pem"))),
        ("the public key as a secret", sign(&Header::new(Algorithm::HS256), &good, Some("es256.pub.pem"))),
        ("the RSA public key as a secret", sign(&Header::new(Algorithm::HS256), &good, Some("rs256.pub.pem"))),
        ("a symmetric key of the document", {
            let secret = jsonwebtoken::EncodingKey::from_secret(b"everybody can read this secret, so it is none");
            jsonwebtoken::encode(&Header { kid: Some("oct".into()), ..Header::default() }, &good, &secret).unwrap()
        }),
        ("a foreign key", sign(&Header::new(Algorithm::RS256), &good, Some("foreign.pem"))),
        ("a foreign kid", sign(&header(|h| h.kid = Some("foreign".into())), &good, Some("rs256.pem"))),
        ("the kid of another kind", sign(&header(|h| h.kid = Some("ec".into())), &good, Some("rs256.pem"))),
        ("a kid for encryption", sign(&header(|h| h.kid = Some("enc".into())), &good, Some("rs256.pem"))),
        ("a kid that is a path", sign(&header(|h| h.kid = Some("../../dev/null".into())), &good, Some("rs256.pem"))),
        ("jku", sign(&header(|h| h.jku = Some("http://127.0.0.1/jwks.json".into())), &good, Some("rs256.pem"))),
        ("x5u", sign(&header(|h| h.x5u = Some("http://127.0.0.1/x".into())), &good, Some("rs256.pem"))),
        ("jwk", sign(&Header { jwk: Some(own_key), ..Header::new(Algorithm::RS256) }, &good, Some("rs256.pem"))),
        ("crit", sign(&header(|h| h.crit = Some(vec!["b64".into()])), &good, Some("rs256.pem"))),
        ("crit with a secret", sign(&Header { crit: Some(vec!["x".into()]), ..Header::default() }, &good, None)),
        ("an empty crit", sign(&Header { crit: Some(vec![]), ..Header::default() }, &good, None)),
        ("expired", sign(&Header::default(), &admin(json!({ "exp": now() - 31 })), None)),
        ("not yet valid", sign(&Header::default(), &admin(json!({ "nbf": now() + 60 })), None)),
        ("no exp", sign(&Header::default(), &json!({ "role": "admin" }), None)),
        ("exp is not a number", sign(&Header::default(), &admin(json!({ "exp": "never" })), None)),
        ("oversize", sign(&Header::default(), &admin(json!({ "x": "x".repeat(8192) })), None)),
        ("the signature of another token", {
            let (token, other) =
                (sign(&Header::default(), &good, None), sign(&Header::default(), &admin(json!({ "x": 1 })), None));
            format!("{}.{}", token.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1)
        }),
        ("cut short", sign(&Header::default(), &good, None).rsplit_once('.').unwrap().0.to_owned()),
        ("an empty token", String::new()),
        ("nonsense", "a.b.c".to_owned()),
    ] {
        assert!(verifier.verify(&token).is_err(), "{attack}");
    }
    assert!(verifier.verify(&sign(&Header::default(), &good, None)).is_ok(), "a valid token is accepted");
    assert!(verifier.verify(&sign(&header(|h| h.kid = Some("rsa".into())), &good, Some("rs256.pem"))).is_ok());
}

#[test]
fn weak_and_missing_keys_are_refused() {
    assert!(Keys::default().secret(&SECRET[..31]).is_err());
    assert!(Keys::default().pem(b"nonsense").is_err());
    assert!(Keys::default().pem(SECRET).is_err());
    assert!(Keys::default().verifier().is_err());
}
