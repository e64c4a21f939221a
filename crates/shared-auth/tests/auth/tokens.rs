//! Verifies tokens that are signed as other services sign them.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use shared_auth::{Keys, Role, Verifier};

pub(crate) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Reads a key file.
pub(crate) fn key(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))).expect(name)
}

pub(crate) fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// Returns the claims of an admin, valid for a minute, with changes.
pub(crate) fn admin(changes: Value) -> Value {
    let mut claims = json!({ "userId": "u-1", "role": "admin", "exp": now() + 60 });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

/// Creates a token with this header, signed with a key file, or with the secret if none is given.
pub(crate) fn sign(header: &Header, claims: &Value, key_file: Option<&str>) -> String {
    let key = match (header.alg, key_file) {
        (Algorithm::RS256 | Algorithm::PS256, Some(file)) => EncodingKey::from_rsa_pem(&key(file)).unwrap(),
        (Algorithm::ES256, Some(file)) => EncodingKey::from_ec_pem(&key(file)).unwrap(),
        (Algorithm::EdDSA, Some(file)) => EncodingKey::from_ed_pem(&key(file)).unwrap(),
        (_, Some(file)) => EncodingKey::from_secret(&key(file)),
        (_, None) => EncodingKey::from_secret(SECRET),
    };
    jsonwebtoken::encode(header, claims, &key).unwrap()
}

pub(crate) fn is_admin(verifier: &Verifier, token: &str) -> bool {
    verifier.verify(token).is_ok_and(|principal| principal.role == Role::Admin)
}

#[test]
fn a_token_of_each_algorithm_is_verified() {
    let token = |algorithm, file: Option<&str>| sign(&Header::new(algorithm), &admin(json!({})), file);
    let secret = Keys::default().secret(SECRET).unwrap().verifier().unwrap();
    assert!(is_admin(&secret, &token(Algorithm::HS256, None)));
    for (algorithm, name) in [(Algorithm::RS256, "rs256"), (Algorithm::ES256, "es256"), (Algorithm::EdDSA, "eddsa")] {
        let verifier = Keys::default().pem(&key(&format!("{name}.pub.pem"))).unwrap().verifier().unwrap();
        assert!(is_admin(&verifier, &token(algorithm, Some(&format!("{name}.pem")))), "{name}");
    }
}

#[test]
fn issuer_and_audience_are_checked_where_they_are_configured() {
    let keys = || Keys::default().secret(SECRET).unwrap().issuer("shop").audience("analytics");
    let verifier = keys().verifier().unwrap();
    let token = |changes| sign(&Header::default(), &admin(changes), None);
    assert!(is_admin(&verifier, &token(json!({ "iss": "shop", "aud": ["other", "analytics"] }))));
    for changes in [
        json!({}),
        json!({ "iss": "shop" }),
        json!({ "aud": "analytics" }),
        json!({ "iss": "x", "aud": "analytics" }),
        json!({ "iss": "shop", "aud": "x" }),
    ] {
        assert!(verifier.verify(&token(changes.clone())).is_err(), "{changes}");
    }
    let anybody = Keys::default().secret(SECRET).unwrap().verifier().unwrap();
    assert!(is_admin(&anybody, &token(json!({ "iss": "x", "aud": "y" }))));
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    let verifier = Keys::default().secret(SECRET).unwrap().verifier().unwrap();
    for (changes, valid) in [
        (json!({ "exp": now() - 25 }), true),
        (json!({ "exp": now() - 35 }), false),
        (json!({ "nbf": now() + 25 }), true),
        (json!({ "nbf": now() + 35 }), false),
        (serde_json::from_str(&format!(r#"{{"exp":{}.5}}"#, now() + 60)).unwrap(), true),
        (serde_json::from_str(&format!(r#"{{"exp":{}.5}}"#, now() - 35)).unwrap(), false),
        (serde_json::from_str(r#"{"exp":4.1e9}"#).unwrap(), true),
        (serde_json::from_str(r#"{"exp":1.1e9}"#).unwrap(), false),
    ] {
        assert_eq!(is_admin(&verifier, &sign(&Header::default(), &admin(changes.clone()), None)), valid, "{changes}");
    }
}

#[test]
fn a_verified_token_is_accepted_until_it_expires() {
    let verifier = Keys::default().secret(SECRET).unwrap().verifier().unwrap();
    // Expired, but valid for a few more seconds because of the leeway.
    let token = sign(&Header::default(), &admin(json!({ "exp": now() - 25 })), None);
    assert!(is_admin(&verifier, &token));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while verifier.verify(&token).is_ok() {
        assert!(std::time::Instant::now() < deadline, "the token is accepted after it expired");
        std::thread::yield_now();
    }
}
