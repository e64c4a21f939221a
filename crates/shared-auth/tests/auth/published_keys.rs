//! Keys of a JWKS document, which may change while it is in use.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, Header};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use serde_json::{Value, json};
use shared_auth::{Keys, Verifier};

use crate::tokens::{admin, is_admin, key, sign};

fn document() -> Value {
    serde_json::from_slice(&key("jwks.json")).unwrap()
}

/// Returns the document with only the keys that have these ids.
fn only(ids: &[&str]) -> String {
    let mut document = document();
    document["keys"].as_array_mut().unwrap().retain(|key| ids.contains(&key["kid"].as_str().unwrap()));
    document.to_string()
}

fn token(algorithm: Algorithm, kid: &str, file: &str) -> String {
    sign(&Header { kid: Some(kid.into()), ..Header::new(algorithm) }, &admin(json!({})), Some(file))
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn every_kind_of_published_key_is_used() {
    let path = format!("{}/tests/keys/jwks.json", env!("CARGO_MANIFEST_DIR"));
    let verifier = Keys::default().jwks(&path).verifier().unwrap();
    for (algorithm, kid, file) in [
        (Algorithm::RS256, "rsa", "rs256.pem"),
        (Algorithm::ES256, "ec", "es256.pem"),
        (Algorithm::EdDSA, "ed", "eddsa.pem"),
    ] {
        assert!(is_admin(&verifier, &token(algorithm, kid, file)), "{kid}");
        assert!(is_admin(&verifier, &sign(&Header::new(algorithm), &admin(json!({})), Some(file))), "{kid} unnamed");
    }
}

/// Starts a server on loopback that answers with the current document.
fn serve(document: &Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let document = Arc::clone(document);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _request = stream.read(&mut [0; 4096]).unwrap();
            let body = document.lock().unwrap().clone();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    url
}

/// Serves the document over TLS, once for each connection. Returns its address and the certificate as PEM.
fn serve_with_tls(document: String) -> (String, Vec<u8>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::days_from_now(1000).unwrap()).unwrap();
    let names = SubjectAlternativeName::new().dns("localhost").build(&made.x509v3_context(None, None)).unwrap();
    made.append_extension(names).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = made.build();
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/jwks.json", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for mut stream in listener.incoming().filter_map(|stream| acceptor.accept(stream.unwrap()).ok()) {
            let _request = stream.read(&mut [0; 4096]).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", document.len());
            stream.write_all((head + &document).as_bytes()).unwrap();
        }
    });
    (url, certificate.to_pem().unwrap())
}

/// The test starts itself: which certificates the system trusts is read from the environment.
#[test]
fn documents_are_read_over_https_from_servers_that_the_system_trusts() {
    const URL: &str = "JWKS_OF_THE_TEST";
    if let Ok(url) = std::env::var(URL) {
        let verifier = Keys::default().jwks(&url).verifier().unwrap();
        let is_known = is_admin(&verifier, &token(Algorithm::RS256, "rsa", "rs256.pem"));
        assert_eq!(is_known, std::env::var_os("SSL_CERT_FILE").is_some());
        return;
    }
    let (url, certificate) = serve_with_tls(only(&["rsa"]));
    let path = std::env::temp_dir().join(format!("jwks-{}.pem", std::process::id()));
    std::fs::write(&path, certificate).unwrap();
    for trusted in [true, false] {
        let mut itself = Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", "published_keys::documents_are_read_over_https_from_servers_that_the_system_trusts"]);
        itself.env(URL, &url).env_remove("SSL_CERT_FILE");
        if trusted {
            itself.env("SSL_CERT_FILE", &path);
        }
        let output = itself.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "trusted: {trusted}: {said}");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn keys_rotate_without_a_restart() {
    let document = Arc::new(Mutex::new(only(&["rsa"])));
    let verifier: Verifier = Keys::default().jwks(&serve(&document)).verifier().unwrap();
    let (old, new) = (token(Algorithm::RS256, "rsa", "rs256.pem"), token(Algorithm::ES256, "ec", "es256.pem"));
    assert!(is_admin(&verifier, &old));
    assert!(!is_admin(&verifier, &new), "not published yet");
    *document.lock().unwrap() = only(&["ec"]);
    eventually("the new key to be read", || is_admin(&verifier, &new));
    assert!(!is_admin(&verifier, &old), "a token of a withdrawn key is rejected");
    *document.lock().unwrap() = "nonsense".into();
    assert!(!is_admin(&verifier, &old));
    assert!(is_admin(&verifier, &new), "a document that cannot be read changes nothing");
}

#[test]
fn an_invalid_document_is_an_error_and_a_missing_one_is_read_later() {
    let path = std::env::temp_dir().join(format!("jwks-{}.json", std::process::id()));
    std::fs::write(&path, "{}").unwrap();
    assert!(Keys::default().jwks(path.to_str().unwrap()).verifier().is_err());
    std::fs::remove_file(&path).unwrap();
    let verifier = Keys::default().jwks(path.to_str().unwrap()).verifier().unwrap();
    let token = token(Algorithm::RS256, "rsa", "rs256.pem");
    assert!(!is_admin(&verifier, &token));
    std::fs::write(&path, document().to_string()).unwrap();
    eventually("the file to be read", || is_admin(&verifier, &token));
    std::fs::remove_file(&path).unwrap();
}
