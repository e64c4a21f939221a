//! A receiver of notifications on loopback, which answers as a test wants.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use serde_json::Value;

/// The secret of the tests: `whsec_` and this.
pub(crate) const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request that was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
    /// When, in seconds since 1970.
    at: i64,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Whether the signature is that of Standard Webhooks, made when it was sent.
    pub(crate) fn is_signed(&self) -> bool {
        let timestamp = &self.headers["webhook-timestamp"];
        let age = self.at - timestamp.parse::<i64>().unwrap();
        let key = PKey::hmac(&STANDARD.decode(SECRET).unwrap()).unwrap();
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        let signed = format!("{}.{timestamp}.{}", self.id(), self.text);
        let expected = STANDARD.encode(signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap());
        self.headers["webhook-signature"] == format!("v1,{expected}") && age.abs() < 60
    }
}

/// How the next request is answered. Without one: 200.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// With a status, and headers.
    Status(u16, &'static str),
    /// The connection is closed.
    Nothing,
    /// Not at all: the connection stays open.
    Silence,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    answers: VecDeque<Answer>,
}

/// The receiver.
pub(crate) struct Receiver {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::serve("http", |stream| Some(Box::new(stream)))
    }

    /// The same over TLS, with a certificate for localhost, which is returned as PEM.
    pub(crate) fn with_tls() -> (Self, Vec<u8>) {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let certificate = certificate(&key);
        let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        let acceptor = acceptor.build();
        let receiver = Self::serve("https", move |stream| Some(Box::new(acceptor.accept(stream).ok()?)));
        (receiver, certificate.to_pem().unwrap())
    }

    fn serve(
        scheme: &str,
        open: impl Fn(std::net::TcpStream) -> Option<Box<dyn Stream>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://localhost:{}/hook", listener.local_addr().unwrap().port());
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, open) = (Arc::clone(&state), Arc::new(open));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, open) = (Arc::clone(&shared), Arc::clone(&open));
                thread::spawn(move || open(stream).map(|stream| answer(stream, &state)));
            }
        });
        Self { url, state }
    }

    /// Answers the next requests like this, in this order.
    pub(crate) fn answers(&self, answers: &[Answer]) {
        self.state.lock().unwrap().answers = answers.iter().cloned().collect();
    }

    /// What was received so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

fn answer(stream: Box<dyn Stream>, state: &Mutex<State>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("POST /hook "), "{line}");
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    let answer = {
        let mut state = state.lock().unwrap();
        let at = chrono::Utc::now().timestamp();
        state.received.push(Received { headers, text: String::from_utf8(body).unwrap(), at });
        state.answers.pop_front().unwrap_or(Answer::Status(200, ""))
    };
    match answer {
        Answer::Status(status, headers) => {
            let head = format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
            stream.get_mut().write_all(head.as_bytes()).unwrap();
        }
        Answer::Nothing => {}
        // Until the client is gone.
        Answer::Silence => drop(stream.read(&mut [0])),
    }
}

fn certificate(key: &PKey<Private>) -> X509 {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1000).unwrap()).unwrap();
    let names = SubjectAlternativeName::new().dns("localhost").build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}
