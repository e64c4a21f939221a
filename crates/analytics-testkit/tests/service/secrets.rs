//! No binary writes a secret to its output, however wrongly the secret is set.

use std::collections::BTreeMap;
use std::fs;

use analytics_testkit::database::unique_name;
use analytics_testkit::process;

/// The secret that must never be printed. It is a plain word, so that a rule that hides only
/// unusual characters does not hide it by accident.
const SECRET: &str = "hunter2hunter2hunter2hunter2hunter2hunter2";

/// Settings that can contain a secret, with the secret in each position.
fn settings() -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    for form in [
        "postgresql://u:p@S@h/d",
        "postgresql://u:S/x@h/d",
        "postgresql://u:S%zz@h/d",
        "postgresql://u:S?x@h/d",
        "postgresql://u:S#x@h/d",
        "postgresql://u:S h/d",
        "postgresql://S",
        "postgresql://u:S@h:99999/d",
        "postgresql://u:S@h:S/d",
        "postgresql://u:S@[h/d",
        "postgresql://u:S@h/d?sslmode=S",
        "postgresql://h/d?S",
        "postgresql://h/d?password=S&sslcert=S&x=S",
        "postgresql://u:S@h/d?schema=S",
        "mysql://u:S@h/d",
        "jdbc:postgresql://h/d?user=u&password=S",
        "host=h password=S port=x",
        "host=h password='S",
        "password=S x",
        "S",
        " S ",
        "'S'",
        "\"S\"",
        "postgresql://u:S@127.0.0.1:1/d/e",
    ] {
        settings.push(("DATABASE_URL", form.replace('S', SECRET)));
    }
    for form in [
        "sasl.pasword=S",
        "sasl.password=S,S",
        "sasl.password=S,a.b=S",
        "sasl.password:S",
        "S",
        "S=S",
        "a.b.S=1",
        "sasl.password=S\nsasl.mechanisms=S",
        "security.protocol=S",
        "security.protocol=SASL_PLAINTEXT,sasl.mechanisms=S,sasl.password=S",
        "ssl.key.pem=S,security.protocol=SSL",
        "ssl.key.password=S,ssl.key.location=/S,security.protocol=SSL",
        "sasl.username=S\nS",
        "@/S",
        "@S",
        "group.id=S",
        "sasl.password=\"S",
        "sasl.jaas.config=x required password=\"S\";",
        "security.protocol=SASL_SSL,sasl.mechanisms=OAUTHBEARER,sasl.oauthbearer.config=S",
        "plugin.library.paths=S",
        "ssl.ca.pem=S,security.protocol=SSL",
        "ssl.certificate.pem=S,security.protocol=SSL",
    ] {
        settings.push(("KAFKA_PROPERTIES", form.replace('S', SECRET)));
    }
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----");
    for (name, value) in [
        ("KAFKA_BROKER", format!("u:{SECRET}@k:9092")),
        ("KAFKA_BROKER", SECRET.to_owned()),
        ("KAFKA_TOPICS", SECRET.to_owned()),
        ("KAFKA_TOPICS", format!("order.created={SECRET}@{SECRET}{SECRET}")),
        ("KAFKA_EXTRA_TOPICS", format!("{SECRET},{SECRET}")),
        ("KAFKA_START", SECRET.to_owned()),
        ("BASE_CURRENCY", SECRET.to_owned()),
        ("BUSINESS_TIMEZONE", SECRET.to_owned()),
        ("DEDUPE_DAYS", SECRET.to_owned()),
        ("MAX_RECORD_BYTES", SECRET.to_owned()),
        ("DEAD_LETTER_DAYS", SECRET.to_owned()),
        ("REDACT_DEAD_LETTERS", SECRET.to_owned()),
        ("INGEST_BIND", SECRET.to_owned()),
        ("API_BIND", SECRET.to_owned()),
        ("API_MODE", SECRET.to_owned()),
        ("API_POOL_SIZE", SECRET.to_owned()),
        ("API_BASE_PATH", SECRET.to_owned()),
        ("DASHBOARD", SECRET.to_owned()),
        ("DASHBOARD_AUTH", SECRET.to_owned()),
        ("DASHBOARD_TOKEN_HEADER", format!("{SECRET} x")),
        ("DASHBOARD_TOKEN_COOKIE", format!("{SECRET}=x")),
        ("EMBED_ORIGINS", SECRET.to_owned()),
        ("EMBED_ORIGINS", format!("https://u:{SECRET}@a.example")),
        ("EMBED_SIGNING_KEY", SECRET[..31].to_owned()),
        ("API_KEEP_ALIVE_SECONDS", SECRET.to_owned()),
        ("API_LIVE_CONNECTIONS", SECRET.to_owned()),
        ("API_RATE_LIMIT", SECRET.to_owned()),
        ("API_RATE_BURST", SECRET.to_owned()),
        ("JWT_SECRET", SECRET[..31].to_owned()),
        ("JWT_PUBLIC_KEY", SECRET.to_owned()),
        ("JWT_PUBLIC_KEY", pem.clone()),
        ("JWT_PUBLIC_KEY", pem.replace('\n', "\\n")),
        ("JWT_PUBLIC_KEY", format!("@/{SECRET}")),
        ("JWT_JWKS", format!("https://u:{SECRET}@127.0.0.1:1/jwks")),
        ("JWT_JWKS", format!("http://{SECRET} x")),
        ("JWT_JWKS", format!("/{SECRET}")),
        ("LOG_FORMAT", SECRET.to_owned()),
        ("RUST_LOG", format!("{SECRET}={SECRET}")),
        ("ANALYTICS_CONFIG", format!("/{SECRET}")),
    ] {
        settings.push((name, value));
    }
    settings
}

/// Runs every binary with these settings and asserts that its output does not contain the secret.
fn assert_silent(environment: &BTreeMap<String, String>, what: &str, secret: &str) {
    for binary in ["analytics-ingest", "analytics-api", "analytics-jobs"] {
        let jobs: [&[&str]; 2] = [&["--check-settings"], &["token", "--role", "admin"]];
        for arguments in jobs.iter().take(if binary == "analytics-jobs" { 2 } else { 1 }) {
            let output = process::run(binary, arguments, environment);
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!said.contains(secret), "{binary} with {what} printed: {said}");
            assert!(!said.contains("panicked"), "{binary} with {what} printed: {said}");
        }
    }
}

fn good() -> BTreeMap<String, String> {
    [
        ("DATABASE_URL", "postgresql://u@127.0.0.1:1/d"),
        ("KAFKA_BROKER", "127.0.0.1:1"),
        ("JWT_SECRET", "not the secret that is looked for, but long enough"),
        ("RUST_LOG", "trace"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[test]
fn no_binary_prints_a_secret_that_is_set_wrong() {
    let settings = settings();
    assert!(settings.len() > 70);
    for (name, value) in settings {
        let mut environment = good();
        let secret = if name == "JWT_SECRET" { &SECRET[..31] } else { SECRET };
        environment.insert(name.into(), value.clone());
        assert_silent(&environment, &format!("{name}={value}"), secret);
    }
}

#[test]
fn no_binary_prints_the_content_of_a_file_that_cannot_be_parsed() {
    let folder = std::env::temp_dir().join(format!("analytics-secrets-{}", unique_name()));
    fs::create_dir(&folder).unwrap();
    for line in [
        "JWT_SECRET=correct SECRET",
        "JWT_SECRET='SECRET",
        "JWT_SECRET=\"SECRET",
        "JWT_SECRET=$SECRET{",
        "SECRET",
        "=SECRET",
        "JWT_SECRET SECRET",
        "export JWT_SECRET=a SECRET",
        "KAFKA_PROPERTIES=sasl.password=a SECRET",
        "A B=SECRET",
        "DATABASE_URL=postgresql://u:SECRET h/d",
        "jwt_secret = SECRET",
        "jwt_secret = \"SECRET",
        "[SECRET]",
        "jwt_secret: SECRET",
        "jwt_secret = ['SECRET']",
        "jwt_secrt = \"SECRET\"",
        "'SECRET' = 1",
        "jwt_secret = '''SECRET",
        "database_url = SECRET@h",
    ] {
        let text = line.replace("SECRET", SECRET);
        for file in [".env", "settings.toml"] {
            fs::write(folder.join(file), format!("# settings\n{text}\n")).unwrap();
        }
        let mut environment = good();
        environment.insert("ANALYTICS_CONFIG".into(), folder.join("settings.toml").display().to_string());
        assert_silent(&environment, line, SECRET);
        for binary in ["analytics-ingest", "analytics-api", "analytics-jobs"] {
            let output = process::run_in(&folder, binary, &["--check-settings"], &good());
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(
                !said.contains(SECRET) && !said.contains("panicked"),
                "{binary} with {line} in .env printed: {said}"
            );
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}
