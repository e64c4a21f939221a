//! Parses and validates `DATABASE_URL`, so that an invalid one is reported in a clear message, and
//! a secret in the wrong place does not appear in a message of the PostgreSQL client.
//!
//! Both [formats of libpq](https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING) are
//! accepted. The client gets the keyword format, quoted.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Where the database is, and how to log in. The `Debug` output shows no values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DatabaseUrl {
    parameters: Vec<(&'static str, String)>,
    pub(super) password_file: Option<PathBuf>,
}

/// Why a text is not such a URL. The message repeats nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(String);

/// The parameters of libpq 15 that are useful here, and some that are rejected with a message of
/// their own.
const PARAMETERS: [&str; 38] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssencmode",
    "gsslib",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "options",
    "passfile",
    "password",
    "port",
    "requirepeer",
    "requiressl",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslmode",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
    "client_encoding",
    "replication",
    "sslnegotiation",
];

/// Parameters of Prisma that have no meaning for this service and do no harm.
const IGNORED: [&str; 8] = [
    "connection_limit",
    "max_connection_lifetime",
    "max_idle_connection_lifetime",
    "pgbouncer",
    "pool_timeout",
    "single_use_connections",
    "socket_timeout",
    "statement_cache_size",
];

/// Defaults of every connection, unless the URL sets them. A server that disappears without closing
/// the connection is noticed after about 15 seconds, whether data is in transit to it or not.
const DEFAULTS: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "3"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "15000"),
];

fn invalid(why: impl Into<String>) -> InvalidUrl {
    InvalidUrl(why.into())
}

impl DatabaseUrl {
    /// Parses `postgresql://user:password@host:5432/database?sslmode=require` or
    /// `host=... user=... dbname=...`.
    ///
    /// # Errors
    /// [`InvalidUrl`] says what is wrong, without repeating any of the text.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let text = text.trim();
        let mut url = Self::default();
        let rest = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
        match rest {
            Some(rest) => url.read_uri(rest)?,
            None if is_keywords(text) => url.read_keywords(text)?,
            None => {
                return Err(invalid("must be a PostgreSQL URL such as postgresql://user:password@host:5432/database"));
            }
        }
        Ok(url)
    }

    /// Returns the parameters in the client's format. `application` is the name shown in
    /// `pg_stat_activity`, unless the URL sets one.
    #[must_use]
    pub fn for_client(&self, application: &str) -> String {
        let own = DEFAULTS.iter().copied().chain([("application_name", application)]);
        let own = own.filter(|(name, _)| self.get(name).is_none());
        let given = self.parameters.iter().map(|(name, value)| (*name, value.as_str()));
        let quoted =
            |(name, value): (&str, &str)| format!("{name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
        own.chain(given).map(quoted).collect::<Vec<_>>().join(" ")
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Parses what follows the scheme:
    /// `[user[:password]@][host[:port][,...]][/database][?parameters]`.
    fn read_uri(&mut self, rest: &str) -> Result<(), InvalidUrl> {
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = match authority.split_once('@') {
            Some((_, hosts)) if hosts.contains('@') => {
                return Err(invalid("has more than one '@' before the host: in a user or password write it as %40"));
            }
            Some((login, hosts)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                let user = decoded(user)?;
                if user.contains(':') {
                    return Err(invalid(
                        "has a ':' in its user: the ':' before the password must not be written as %3A",
                    ));
                }
                self.set("user", user)?;
                self.set("password", decoded(password)?)?;
                hosts
            }
            None => authority,
        };
        self.read_hosts(hosts)?;
        if database.contains('/') {
            return Err(invalid("must name a database after the host, as in host:5432/database"));
        }
        self.set("dbname", decoded(database)?)?;
        for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| invalid("has a parameter without '='"))?;
            self.set_parameter(name, decoded(value)?)?;
        }
        Ok(())
    }

    fn read_hosts(&mut self, hosts: &str) -> Result<(), InvalidUrl> {
        const LOOKS: &str = "must have a host and a port such as db.example.com:5432 after the user and password; \
                             in those, / ? # : @ must be written as %2F %3F %23 %3A %40";
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
                Some((address, rest)) => (address, rest),
                None => host.find(':').map_or((host, ""), |colon| host.split_at(colon)),
            };
            let name = decoded(name).map_err(|_| invalid(LOOKS))?;
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:/%".contains(&b);
            if !name.bytes().all(allowed) {
                return Err(invalid(LOOKS));
            }
            let port = match port {
                "" => String::new(),
                port => port.strip_prefix(':').filter(|port| is_port(port)).ok_or_else(|| invalid(LOOKS))?.to_owned(),
            };
            names.push(name);
            ports.push(port);
        }
        self.set("host", names.join(","))?;
        if ports.iter().any(|port| !port.is_empty()) { self.set("port", ports.join(",")) } else { Ok(()) }
    }

    /// Parses `name = value` pairs. A value may be in single quotes; a backslash escapes the next
    /// character.
    fn read_keywords(&mut self, text: &str) -> Result<(), InvalidUrl> {
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=').ok_or_else(|| invalid("has a word without '='"))?;
            let (value, after) = keyword_value(after.trim_start())?;
            self.set_parameter(name.trim(), value)?;
            rest = after.trim_start();
        }
        Ok(())
    }

    fn set_parameter(&mut self, name: &str, value: String) -> Result<(), InvalidUrl> {
        match name {
            // libpq accepts this for users of JDBC.
            "ssl" if value == "true" => return self.set("sslmode", "require".into()),
            "schema" if value == "public" => return Ok(()),
            "schema" => return Err(invalid("schema: must be public, where the service's tables are")),
            "sslaccept" => {
                return Err(invalid("sslaccept: is a parameter of Prisma; use sslmode=verify-full or sslmode=require"));
            }
            "sslidentity" => return Err(invalid("sslidentity: is a parameter of Prisma; use sslcert and sslkey")),
            "replication" => return Err(invalid("replication: is not supported")),
            "client_encoding" if !value.eq_ignore_ascii_case("utf8") && value != "UTF-8" => {
                return Err(invalid("client_encoding: must be UTF8"));
            }
            name if IGNORED.contains(&name) => return Ok(()),
            _ => {}
        }
        let Some(known) = PARAMETERS.into_iter().find(|known| *known == name) else {
            let close = |known: &&str| strsim::normalized_damerau_levenshtein(name, known) >= 0.8;
            let meant = PARAMETERS.into_iter().find(close).map(|known| format!("; is {known} meant?"));
            return Err(invalid(format!("has a parameter that PostgreSQL does not have{}", meant.unwrap_or_default())));
        };
        if known == "sslnegotiation" {
            return Err(invalid("sslnegotiation: is not supported by this version's PostgreSQL client"));
        }
        self.set(known, value)
    }

    pub(super) fn set(&mut self, name: &'static str, value: String) -> Result<(), InvalidUrl> {
        if value.contains('\0') {
            return Err(invalid(format!("{name}: must not contain the character U+0000")));
        }
        match name {
            "sslmode" if !["disable", "allow", "prefer", "require", "verify-ca", "verify-full"].contains(&&*value) => {
                return Err(invalid("sslmode: must be disable, allow, prefer, require, verify-ca or verify-full"));
            }
            "target_session_attrs"
                if !["any", "read-write", "read-only", "primary", "standby", "prefer-standby"].contains(&&*value) =>
            {
                return Err(invalid(
                    "target_session_attrs: must be any, read-write, read-only, primary, standby or prefer-standby",
                ));
            }
            "port" if !value.split(',').all(|port| port.is_empty() || is_port(port)) => {
                return Err(invalid("port: must be a number from 1 to 65535"));
            }
            "connect_timeout"
            | "keepalives"
            | "keepalives_idle"
            | "keepalives_interval"
            | "keepalives_count"
            | "tcp_user_timeout"
                if value.parse::<u32>().is_err() =>
            {
                return Err(invalid(format!("{name}: must be a whole number")));
            }
            _ => {}
        }
        // If a parameter is given twice, the later one is used.
        self.parameters.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.parameters.push((name, value));
        }
        Ok(())
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.parameters.iter().map(|(name, _)| name)).finish()
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether a text begins like libpq's keyword format, with a name and `=`.
fn is_keywords(text: &str) -> bool {
    let name = text.split_once('=').map(|(name, _)| name.trim_end());
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

/// Splits a text in keyword format into the value at its start and the rest.
fn keyword_value(text: &str) -> Result<(String, &str), InvalidUrl> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            character if !quoted && character.is_whitespace() => {
                return Ok((value, text.get(at..).unwrap_or_default()));
            }
            character => value.push(character),
        }
    }
    if quoted { Err(invalid("has a quote that is not closed")) } else { Ok((value, "")) }
}

fn decoded(text: &str) -> Result<String, InvalidUrl> {
    let wrong = || invalid("has a '%' that does not start a code such as %25, which stands for '%'");
    let mut codes = text.split('%').skip(1);
    let is_code = |code: &str| code.len() >= 2 && code.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !codes.all(is_code) {
        return Err(wrong());
    }
    percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Result<String, String> {
        let url = DatabaseUrl::parse(text).map_err(|error| error.to_string())?;
        let own = |part: &&str| DEFAULTS.iter().all(|(name, value)| **part != format!("{name}='{value}'"));
        let all = url.for_client("x");
        Ok(all.split(' ').filter(own).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn both_forms_are_read() {
        for (text, expected) in [
            ("postgres://h/d", "application_name='x' host='h' dbname='d'"),
            (
                "postgresql://u:p@h:6543/d?sslmode=require&connect_timeout=1",
                "application_name='x' user='u' password='p' host='h' dbname='d' port='6543' sslmode='require' connect_timeout='1'",
            ),
            (
                "postgresql://u%40x:p%2Fw%25%27%5C@h/d",
                r"application_name='x' user='u@x' password='p/w%\'\\' host='h' dbname='d'",
            ),
            ("postgresql://u:p#w&=!@h/d", "application_name='x' user='u' password='p#w&=!' host='h' dbname='d'"),
            ("postgresql://a:1,b,[::1]:3/d", "application_name='x' host='a,b,::1' port='1,,3' dbname='d'"),
            ("postgresql://%2Fvar%2Frun/d", "application_name='x' host='/var/run' dbname='d'"),
            ("postgresql:///d?host=h&user=u", "application_name='x' dbname='d' host='h' user='u'"),
            (
                "postgresql://h/d?schema=public&connection_limit=5&pgbouncer=true",
                "application_name='x' host='h' dbname='d'",
            ),
            ("postgresql://h/d?application_name=mine", "host='h' dbname='d' application_name='mine'"),
            ("postgresql://h/d?ssl=true", "application_name='x' host='h' dbname='d' sslmode='require'"),
            (
                "host=h dbname = d user='a b'  password='it\\'s'",
                r"application_name='x' host='h' dbname='d' user='a b' password='it\'s'",
            ),
        ] {
            let sorted = |text: &str| {
                let mut parts: Vec<String> =
                    text.split("' ").map(|part| part.trim_end_matches('\'').to_owned()).collect();
                parts.sort();
                parts
            };
            assert_eq!(client(text).as_deref().map(sorted), Ok(sorted(expected)), "{text}");
        }
    }

    #[test]
    fn invalid_urls_are_rejected_without_repeating_their_text() {
        for (text, says) in [
            ("postgresql://u:p@SECRET@h/d", "more than one '@'"),
            ("postgresql://u:SECRET/x@h/d", "after the user and password"),
            ("postgresql://u%3ASECRET@h/d", "a ':' in its user"),
            ("postgresql://u:SECRET?x@h/d", "after the user and password"),
            ("postgresql://u:SECRET%zz@h/d", "a '%' that"),
            ("postgresql://u:SECRET%@h/d", "a '%' that"),
            ("postgresql://u:p@SECRET h/d", "after the user and password"),
            ("postgresql://u:p@h:SECRET/d", "after the user and password"),
            ("postgresql://u:p@h:99999/d", "after the user and password"),
            ("postgresql://u:p@h:0/d", "after the user and password"),
            ("postgresql://u:p@h/d/SECRET", "a database after the host"),
            ("postgresql://h/d?SECRET", "a parameter without '='"),
            ("postgresql://h/d?SECRET=1", "a parameter that PostgreSQL does not have"),
            ("postgresql://h/d?ssl_mode=SECRET", "is sslmode meant?"),
            ("postgresql://h/d?sslmode=SECRET", "sslmode: must be"),
            ("postgresql://h/d?schema=SECRET", "schema: must be public"),
            ("postgresql://h/d?sslaccept=SECRET", "sslaccept: is a parameter of Prisma"),
            ("postgresql://h/d?connect_timeout=SECRET", "connect_timeout: must be a whole number"),
            ("mysql://u:SECRET@h/d", "must be a PostgreSQL URL"),
            ("jdbc:postgresql://h/d?password=SECRET", "must be a PostgreSQL URL"),
            ("SECRET", "must be a PostgreSQL URL"),
            ("host=h password='SECRET", "a quote that is not closed"),
            ("host=h SECRET", "a word without '='"),
            ("host=h port=SECRET", "port: must be"),
            ("host=h pasword=SECRET", "is password meant?"),
        ] {
            let sentence = client(text).unwrap_err();
            assert!(sentence.contains(says), "{text}: {sentence}");
            assert!(!sentence.contains("SECRET") && !sentence.contains('\n'), "{sentence}");
        }
    }

    #[test]
    fn debug_output_shows_no_values() {
        let url = DatabaseUrl::parse("postgresql://user:SECRET@host/db").unwrap();
        assert_eq!(format!("{url:?}"), r#"["user", "password", "host", "dbname"]"#);
    }
}
