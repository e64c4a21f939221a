//! The table of all settings. A test compares the README's table with it.

/// A setting, known by the same name in the environment and (in lower or upper case) in the TOML
/// file.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// The value if it is not set; `None` if it has no default.
    pub default: Option<&'static str>,
    /// What it means, as in the README.
    pub about: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

const fn setting(name: &'static str, default: Option<&'static str>, about: &'static str) -> Setting {
    Setting { name, default, about, secret: false }
}

const fn secret(name: &'static str, about: &'static str) -> Setting {
    Setting { name, default: None, about, secret: true }
}

/// Every setting of every process.
pub const SETTINGS: &[Setting] = &[
    secret("DATABASE_URL", "PostgreSQL, as in postgresql://user:password@host:5432/database"),
    setting(
        "DATABASE_PASSWORD_FILE",
        None,
        "a file with the password, instead of one in DATABASE_URL; read again for each new connection",
    ),
    setting("KAFKA_BROKER", None, "Kafka brokers, as in kafka-1:9092,kafka-2:9092"),
    setting("KAFKA_GROUP_ID", Some("analytics-ingest"), "the consumer group"),
    setting(
        "KAFKA_TOPICS",
        Some(""),
        "topics of the event families, as in order.created=prod.orders; a family may have \
         several topics, each with a namespace for its ids after @",
    ),
    setting("KAFKA_EXTRA_TOPICS", Some(""), "topics whose events are logged but not counted, comma separated"),
    setting(
        "KAFKA_START",
        Some("earliest"),
        "where counting starts in partitions that exist before the group: earliest, latest, or an RFC 3339 time",
    ),
    secret(
        "KAFKA_PROPERTIES",
        "librdkafka properties, key=value separated by commas or lines, or @file; for TLS and SASL",
    ),
    setting(
        "KAFKA_OAUTH_TOKEN_URL",
        None,
        "the token endpoint of an identity provider, to authenticate to Kafka by SASL OAUTHBEARER with the grant \
         client_credentials",
    ),
    setting("KAFKA_OAUTH_CLIENT_ID", None, "the id of this client at that provider"),
    secret("KAFKA_OAUTH_CLIENT_SECRET", "the secret of this client"),
    setting(
        "KAFKA_OAUTH_CLIENT_SECRET_FILE",
        None,
        "a file with that secret, instead of KAFKA_OAUTH_CLIENT_SECRET; read again for each token",
    ),
    setting(
        "KAFKA_OAUTH_SCOPE",
        None,
        "the scope to request, if the provider needs one; several are separated by spaces",
    ),
    setting(
        "KAFKA_OAUTH_CA_FILE",
        None,
        "the certificates that are trusted for the token endpoint, in PEM form, instead of those of the system",
    ),
    setting("BASE_CURRENCY", Some("USD"), "the currency of amounts without a currency; fixed at the first migration"),
    setting(
        "BUSINESS_TIMEZONE",
        Some("UTC"),
        "the IANA timezone of business days and hours; fixed at the first migration",
    ),
    setting("WEEK_START", Some("monday"), "the first day of the weeks in series: monday, sunday or saturday"),
    setting("DEDUPE_DAYS", Some("35"), "how many days an event's identity is remembered after it arrived"),
    setting("REFUND_DAYS", Some("400"), "how many days an order is found by its id after it arrived"),
    setting(
        "REDACT_FIELDS",
        Some(""),
        "fields to remove from payloads before they are stored, at every depth, comma separated",
    ),
    setting(
        "REDACT_DEAD_LETTERS",
        Some("true"),
        "whether REDACT_FIELDS are also removed from dead letters whose payload is JSON",
    ),
    setting(
        "MAX_RECORD_BYTES",
        Some("1048576"),
        "the size limit of a record, in bytes; larger ones become dead letters",
    ),
    setting(
        "ORDER_COUNTS_WHEN",
        Some("created"),
        "when an order counts, the same for every process: created; or paid, when orders wait until they are paid, and \
         count on the day they were placed",
    ),
    setting(
        "DEAD_LETTER_MAX_BYTES",
        Some("4194304"),
        "how much of a payload a dead letter keeps, in bytes; a truncated one can \
         only be replayed with a corrected payload",
    ),
    setting(
        "DEAD_LETTER_MAX_TOTAL_BYTES",
        Some("5368709120"),
        "the size limit of all dead letters together, in bytes; further ones are counted but not kept",
    ),
    setting(
        "FOLD_MAX_WAITING_RECORDS",
        Some("300000"),
        "how many records may be logged and not counted yet before ingest pauses",
    ),
    setting(
        "FOLD_MAX_WAITING_SECONDS",
        Some("30"),
        "how long a record may be logged and not counted yet before ingest pauses",
    ),
    setting(
        "DEAD_LETTER_DAYS",
        Some("90"),
        "how many days dead letters are kept; `dead-letters purge` deletes older ones",
    ),
    setting(
        "AUDIT_RECORDS_PER_SECOND",
        Some("0"),
        "how many records per second `analytics-ingest audit` reads at most; 0 is no limit",
    ),
    setting(
        "ANOMALY_FLOOR",
        Some("20"),
        "how many views or orders must be expected in a day, or an hour, for it to be judged by `anomalies`; for \
         sellers and products",
    ),
    setting(
        "ANOMALY_GRACE_MINUTES",
        Some("15"),
        "how long after its end an hour may be incomplete before `anomalies` reports it as delayed",
    ),
    setting(
        "ANOMALY_PAYMENT_HOURS",
        Some("24"),
        "how many hours after an order was placed its payment is waited for before `anomalies` judges orders and \
         revenue, with ORDER_COUNTS_WHEN=paid",
    ),
    setting(
        "ANOMALY_CALENDAR",
        Some(""),
        "a file of times that `anomalies` does not judge, such as holidays: lines FROM,TO,NAME of days or local times",
    ),
    secret(
        "NOTIFY_WEBHOOK_URL",
        "an http(s) address that `anomalies` and `verify` tell what they find, and `weekly` the weeks of sellers",
    ),
    secret(
        "NOTIFY_WEBHOOK_SECRET",
        "the secret that signs these requests, 24 to 64 bytes in base64; without it they are not signed",
    ),
    setting("NOTIFY_WEBHOOK_SECRET_FILE", None, "a file with that secret, instead of NOTIFY_WEBHOOK_SECRET"),
    setting(
        "PUBLIC_URL",
        None,
        "the address of the dashboard as people open it, such as https://analytics.example.com; for links in notifications",
    ),
    setting(
        "STATEMENT_GRACE",
        Some("3d"),
        "how long after its end a month can be closed by `statements close`, in days or hours, such as 3d or 36h",
    ),
    secret(
        "STATEMENT_SIGNING_KEY",
        "the Ed25519 private key that signs statements, in PEM form, or @file; without it no statement is made",
    ),
    setting("INGEST_BIND", Some("0.0.0.0:9090"), "where ingest serves /health and /metrics"),
    setting("API_BIND", Some("0.0.0.0:8080"), "where the API listens"),
    setting("API_MODE", Some("read-only"), "read-only, or read-write to enable the writing routes"),
    setting("API_BASE_PATH", Some(""), "the prefix of all paths of the API, such as /analytics"),
    setting("API_CORS_ORIGINS", Some(""), "origins allowed by CORS, comma separated; * allows any"),
    setting(
        "API_POOL_SIZE",
        Some("8"),
        "the maximum number of connections to PostgreSQL for the requests of one API process, at least 2: one is for \
         single metrics. Two more check the state of the database",
    ),
    setting(
        "API_KEEP_ALIVE_SECONDS",
        Some("75"),
        "how long an idle connection is kept open; should be longer than the idle timeout of a load balancer in front",
    ),
    setting(
        "API_LIVE_CONNECTIONS",
        Some("500"),
        "the maximum number of open streams of /api/live per API process; each is a connection of a client",
    ),
    setting("API_STATEMENT_TIMEOUT_MS", Some("10000"), "how long a statement may take before the response is a 503"),
    setting(
        "API_RATE_LIMIT",
        Some("0"),
        "how many requests per minute each user may send; further ones get 429; 0 is no limit",
    ),
    setting("API_RATE_BURST", Some("60"), "how many of these requests a user may send at once"),
    setting(
        "METRICS_BUSINESS",
        Some("off"),
        "who may read /metrics/business, the numbers of the marketplace for Prometheus: off, open, or token",
    ),
    secret("METRICS_BUSINESS_TOKEN", "the bearer token of /metrics/business, 16 bytes or more"),
    setting("METRICS_BUSINESS_TOP", Some("10"), "how many sellers and products /metrics/business lists"),
    setting(
        "TRUSTED_PROXIES",
        Some("127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"),
        "the proxies whose X-Forwarded-* headers and token header count, as addresses and networks, or none; \
         by default those with private addresses",
    ),
    setting("DASHBOARD", Some("on"), "on, or off for an API without the pages"),
    setting(
        "DASHBOARD_AUTH",
        Some("token"),
        "token: pages send the token that they were given; gateway: a gateway adds it to their requests",
    ),
    setting(
        "DASHBOARD_TOKEN_HEADER",
        Some("X-Forwarded-Access-Token"),
        "the header in which a gateway puts the token, or none",
    ),
    setting("DASHBOARD_TOKEN_COOKIE", Some("analytics_token"), "the cookie in which a gateway puts the token, or none"),
    setting(
        "EMBED_ORIGINS",
        Some(""),
        "the https origins whose pages may embed the panels of sellers, comma separated",
    ),
    secret(
        "EMBED_SIGNING_KEY",
        "the key of embed tokens, 32 bytes or more, other than JWT_SECRET; without it there are none",
    ),
    secret("JWT_SECRET", "the HS256 key of the marketplace's tokens, 32 bytes or more"),
    setting("JWT_PUBLIC_KEY", None, "a PEM public key for RS256, ES256 or EdDSA tokens, or @file"),
    setting("JWT_JWKS", None, "a JWKS document with rotating keys: a file, or an http(s) URL"),
    setting("JWT_ISSUER", None, "the required iss of tokens, if set"),
    setting("JWT_AUDIENCE", None, "the required aud of tokens, if set"),
    setting("LOG_FORMAT", Some("text"), "text or json"),
    setting("RUST_LOG", Some("info"), "the log filter, in the syntax of env_logger"),
];

/// Returns the setting with this name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// A name at least this similar to a setting's name counts as a misspelling of it.
const MISSPELLED: f64 = 0.9;

/// Returns the setting that a misspelled name is probably meant to be. Names that platforms set by
/// themselves (such as `KAFKA_PORT` for a Kubernetes service) are not similar enough to any.
pub(super) fn probably_meant(name: &str) -> Option<&'static str> {
    let close = |setting: &&Setting| strsim::normalized_damerau_levenshtein(name, setting.name) >= MISSPELLED;
    SETTINGS.iter().find(close).map(|setting| setting.name)
}

#[cfg(test)]
mod tests {
    use super::SETTINGS;

    /// Returns the rows of the README's table of settings.
    fn documented() -> Vec<&'static str> {
        let readme = include_str!("../../../../README.md");
        let (_, table) = readme.split_once("| setting | default | what it is |").expect("the table of settings");
        table.lines().skip(2).take_while(|line| line.starts_with('|')).collect()
    }

    #[test]
    fn the_readme_lists_every_setting_with_its_default() {
        let row = |setting: &super::Setting| {
            let default = setting.default.filter(|default| !default.is_empty());
            let default = default.map_or(String::new(), |default| format!("`{default}` "));
            format!("| `{}` | {default}| {} |", setting.name, setting.about)
        };
        assert_eq!(documented(), SETTINGS.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn the_example_file_names_settings_only() {
        let example = include_str!("../../../../.env.example");
        for line in example.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, _) = line.split_once('=').expect(line);
            assert!(SETTINGS.iter().any(|setting| setting.name == name), "{name}");
        }
    }
}
