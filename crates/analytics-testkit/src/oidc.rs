//! An OpenID provider for one test, with certificates made for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::database::unique_name;
use crate::process::{self, free_port};
use crate::wait;

/// The audience that the broker expects.
pub const AUDIENCE: &str = "kafka";
/// The id of its only client.
pub const CLIENT: &str = "analytics:ingest";
/// The secret of its only client, with characters that have to be escaped.
pub const SECRET: &str = "a secret: +/%=&";
/// The only scope.
pub const SCOPE: &str = "events:read";

/// The provider. Its endpoints are served by https for clients, and by http for the broker.
pub struct Oidc {
    directory: PathBuf,
    program: PathBuf,
    child: Option<Child>,
    seconds: u32,
    /// The audience of its tokens. The broker expects [`AUDIENCE`].
    pub audience: &'static str,
    http_port: u16,
    https_port: u16,
}

impl Oidc {
    /// Creates a provider whose tokens last for some seconds, without starting it. `TEST_OIDC` is the folder of the
    /// program; `scripts/test` sets it.
    ///
    /// # Panics
    /// If the certificates cannot be made.
    #[must_use]
    pub fn new(seconds: u32) -> Self {
        let program = std::env::var("TEST_OIDC").expect("TEST_OIDC; scripts/test sets it");
        let directory = std::env::temp_dir().join(format!("oidc-{}", unique_name()));
        std::fs::create_dir_all(&directory).expect("a directory");
        make_certificates(&directory);
        let program = Path::new(&program).join("provider.mjs");
        Self {
            directory,
            program,
            child: None,
            seconds,
            audience: AUDIENCE,
            http_port: free_port(),
            https_port: free_port(),
        }
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn run(&mut self) {
        let output = |name| File::options().create(true).append(true).open(self.directory.join(name)).expect("a file");
        let child = process::tied("node")
            .arg(&self.program)
            .env("OIDC_HTTP_PORT", self.http_port.to_string())
            .env("OIDC_HTTPS_PORT", self.https_port.to_string())
            .env("OIDC_KEY", self.path("server.key"))
            .env("OIDC_CERTIFICATE", self.path("server.crt"))
            .env("OIDC_CLIENT", CLIENT)
            .env("OIDC_SECRET", SECRET)
            .env("OIDC_SCOPE", SCOPE)
            .env("OIDC_AUDIENCE", self.audience)
            .env("OIDC_SECONDS", self.seconds.to_string())
            .stdin(Stdio::null())
            .stdout(output("tokens"))
            .stderr(output("log"))
            .spawn();
        self.child = Some(child.expect("node"));
        wait::until("the OpenID provider to answer", Duration::from_secs(60), || ureq::get(self.jwks()).call().ok());
    }

    /// Kills it, if it runs.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended = child.kill();
            let _ended = child.wait();
        }
    }

    /// The address of its keys.
    #[must_use]
    pub fn jwks(&self) -> String {
        format!("http://localhost:{}/jwks", self.http_port)
    }

    /// The address of its token endpoint.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("https://localhost:{}/token", self.https_port)
    }

    /// The path of a file: `ca.crt`, the authority of `server.crt` for localhost, whose key is `server.key`, and
    /// `server.pem`, which has both.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The tokens that it has issued.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        let tokens = std::fs::read_to_string(self.path("tokens")).unwrap_or_default();
        tokens.lines().map(ToOwned::to_owned).collect()
    }

    /// Settings of a broker that accepts these tokens at one of its listeners, over TLS, and ends connections whose
    /// token has expired.
    #[must_use]
    pub fn broker_settings(&self, listener: &str) -> String {
        let oauth = format!("listener.name.{}.oauthbearer", listener.to_ascii_lowercase());
        // The default validator of Kafka 4.1.0 verifies neither the signature nor the audience.
        let package = "org.apache.kafka.common.security.oauthbearer";
        format!(
            "sasl.enabled.mechanisms=OAUTHBEARER\n{oauth}.sasl.jaas.config={package}.OAuthBearerLoginModule required;\n\
             {oauth}.sasl.server.callback.handler.class={package}.OAuthBearerValidatorCallbackHandler\n\
             {oauth}.connections.max.reauth.ms=3600000\n\
             sasl.oauthbearer.jwt.validator.class={package}.BrokerJwtValidator\n\
             sasl.oauthbearer.jwks.endpoint.url={jwks}\nsasl.oauthbearer.expected.audience={AUDIENCE}\n\
             sasl.oauthbearer.expected.issuer=http://localhost:{port}\n\
             ssl.keystore.type=PEM\nssl.keystore.location={server}\n",
            jwks = self.jwks(),
            port = self.http_port,
            server = self.path("server.pem").display(),
        )
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            eprintln!("--- log of the OpenID provider:\n{log}");
        }
        let _gone = std::fs::remove_dir_all(&self.directory);
    }
}

fn make_certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr");
    std::fs::write(directory.join("names"), "subjectAltName=DNS:localhost").expect("a file");
    openssl("x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt");
    let read = |name| std::fs::read_to_string(directory.join(name)).expect("a file");
    std::fs::write(directory.join("server.pem"), read("server.key") + &read("server.crt")).expect("a file");
}
