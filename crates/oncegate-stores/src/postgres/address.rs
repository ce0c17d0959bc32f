//! Where a PostgreSQL is: `postgres://` or `postgresql://`, read and judged whole.
//!
//! The client reads users, hosts and databases in its own way; what it is given has been judged before. An address may
//! hold a password: no error and no `Debug` shows it, and `Display` puts `***` in its place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Where a PostgreSQL is, and which of its schemas is ours.
///
/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME`. Several hosts, divided by commas, are tried in turn until
/// one of them takes writes.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct PostgresAddress {
    /// User and password, as they were written.
    credentials: Option<String>,
    /// As they were written.
    hosts: String,
    database: String,
    /// Parameters that the client reads: names, and values as they were written.
    client: Vec<(&'static str, String)>,
    encryption: Encryption,
    /// The certificates to trust in place of the system's.
    root_certificates: Option<PathBuf>,
    schema: String,
    pooled: bool,
    migrates: bool,
}

/// An address that names no PostgreSQL. What was written is not repeated: it may hold a password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresAddressError {
    /// It does not begin with one of the two schemes.
    #[error("store has no scheme of a PostgreSQL; it is postgres:// or postgresql://")]
    Scheme,
    /// No host can be read in it.
    #[error(
        "store postgres:// has no address; write postgres://USER@HOST:PORT/DATABASE, and @ : / ? # % within a \
         password as %40 %3A %2F %3F %23 %25"
    )]
    Host,
    /// A parameter that it does not have.
    #[error("store postgres:// has no parameter {name:?}; {meant}")]
    UnknownParameter {
        /// The parameter's name.
        name: String,
        /// The nearest one, or all of them.
        meant: String,
    },
    /// A parameter with a value that it does not take.
    #[error("store postgres://: parameter {name} is {takes}")]
    BadValue {
        /// The parameter.
        name: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// Certificates to trust, where nobody shows any.
    #[error("store postgres://: sslrootcert needs sslmode=verify-full")]
    RootsWithoutTls,
}

/// Whether the server has to prove who it is. There is nothing between: encrypted to a stranger is not encrypted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Encryption {
    /// As it is written nowhere: to this machine without, to all others with a proof.
    ByHost {
        local: bool,
    },
    Disabled,
    Verified,
}

impl PostgresAddress {
    /// The schema with our tables.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether sessions are shared with others, as behind a PgBouncer in transaction mode.
    #[must_use]
    pub const fn is_pooled(&self) -> bool {
        self.pooled
    }

    /// Whether a store that is opened brings its tables up to date.
    #[must_use]
    pub const fn migrates(&self) -> bool {
        self.migrates
    }

    pub(super) const fn is_encrypted(&self) -> bool {
        match self.encryption {
            Encryption::ByHost { local } => !local,
            Encryption::Disabled => false,
            Encryption::Verified => true,
        }
    }

    /// The file with the certificates to trust, in place of the system's.
    pub(super) fn root_certificates(&self) -> Option<&Path> {
        self.root_certificates.as_deref()
    }

    /// One host after the other, as the client wants it: one that hangs is not to use up the time of all.
    pub(super) fn configs(&self) -> Result<Vec<Config>, PostgresAddressError> {
        let config = self.config()?;
        let ports = config.get_ports();
        let port = |index: usize| ports.get(index).or(ports.first()).copied();
        let hosts = config.get_hosts().iter().enumerate();
        Ok(hosts
            .map(|(index, host)| with_one_host(&config, host, port(index)))
            .collect())
    }

    /// As the client reads it.
    fn config(&self) -> Result<Config, PostgresAddressError> {
        // Nothing that the client could take for the end of a part is left in it.
        let credentials = self.credentials.as_ref().map_or_else(String::new, |text| {
            format!("{}@", text.replace('@', "%40").replace('/', "%2F"))
        });
        let parameters: Vec<String> = self
            .client
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace('@', "%40")))
            .collect();
        let url = format!(
            "postgres://{credentials}{}/{}?{}",
            self.hosts,
            self.database,
            parameters.join("&")
        );
        let mut config: Config = url
            .parse()
            .map_err(|_repeats_it| PostgresAddressError::Host)?;
        let hosts = config.get_hosts();
        if hosts.is_empty() || !hosts.iter().all(is_host) {
            return Err(PostgresAddressError::Host);
        }
        if hosts.len() > 1 {
            // The one that is a standby now would refuse every claim.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config.ssl_mode(if self.is_encrypted() {
            SslMode::Require
        } else {
            SslMode::Disable
        });
        if config.get_application_name().is_none() {
            config.application_name("oncegate");
        }
        Ok(config)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), PostgresAddressError> {
        if let Some(known) = OF_THE_CLIENT.into_iter().find(|known| *known == name) {
            self.client.push((known, value.to_owned()));
            return Ok(());
        }
        let bad = |name, takes| Err(PostgresAddressError::BadValue { name, takes });
        match (name, value) {
            ("sslmode", "disable") => self.encryption = Encryption::Disabled,
            // The client of PostgreSQL itself does not look at the certificate for `require`: here it is looked at.
            ("sslmode", "require" | "verify-full") => self.encryption = Encryption::Verified,
            ("sslmode", _) => return bad("sslmode", SSLMODES),
            ("sslrootcert", "") => return bad("sslrootcert", "a file with certificates"),
            ("sslrootcert", "system") => self.root_certificates = None,
            ("sslrootcert", file) => self.root_certificates = Some(file.into()),
            ("schema", schema) if is_schema(schema) => schema.clone_into(&mut self.schema),
            ("schema", _) => return bad("schema", SCHEMAS),
            ("pgbouncer", "transaction") => self.pooled = true,
            ("pgbouncer", "off") => self.pooled = false,
            ("pgbouncer", _) => return bad("pgbouncer", "transaction or off"),
            ("migrate", "on") => self.migrates = true,
            ("migrate", "off") => self.migrates = false,
            ("migrate", _) => return bad("migrate", "on or off"),
            (unknown, _) => return Err(unknown_parameter(unknown)),
        }
        Ok(())
    }
}

impl FromStr for PostgresAddress {
    type Err = PostgresAddressError;

    fn from_str(url: &str) -> Result<Self, PostgresAddressError> {
        let (scheme, rest) = url.split_once("://").ok_or(PostgresAddressError::Scheme)?;
        if !SCHEMES
            .into_iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
        {
            return Err(PostgresAddressError::Scheme);
        }
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, place) = match place.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials.to_owned()), place),
            None => (None, place),
        };
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let mut address = Self {
            credentials,
            hosts: hosts.to_owned(),
            database: database.to_owned(),
            client: Vec::new(),
            encryption: Encryption::ByHost { local: true },
            root_certificates: None,
            schema: SCHEMA.to_owned(),
            pooled: false,
            migrates: true,
        };
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            address.set(name, value).map_err(|error| {
                let is_unknown = matches!(error, PostgresAddressError::UnknownParameter { .. });
                // A raw question mark within a password: what follows is no name of a parameter.
                if is_unknown && parameters.contains('@') {
                    PostgresAddressError::Host
                } else {
                    error
                }
            })?;
        }
        // The client reads it once more, in its own way: what it will not take is to show now.
        let config = address.config()?;
        if let Encryption::ByHost { local } = &mut address.encryption {
            *local = config.get_hosts().iter().all(is_local);
        }
        if address.root_certificates.is_some() && !address.is_encrypted() {
            return Err(PostgresAddressError::RootsWithoutTls);
        }
        Ok(address)
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(credentials) = &self.credentials {
            match credentials.split_once(':') {
                Some((user, _password)) => write!(f, "{user}:***@")?,
                None => write!(f, "{credentials}@")?,
            }
        }
        f.write_str(&self.hosts)?;
        if !self.database.is_empty() {
            write!(f, "/{}", self.database)?;
        }
        let mut mark = '?';
        for (name, value) in self.shown_parameters() {
            write!(f, "{mark}{name}={value}")?;
            mark = '&';
        }
        Ok(())
    }
}

impl PostgresAddress {
    /// Those that are not as they would be without a word.
    fn shown_parameters(&self) -> Vec<(&'static str, String)> {
        let mut shown: Vec<(&'static str, String)> = self
            .client
            .iter()
            .map(|(name, value)| match *name {
                "password" => ("password", "***".to_owned()),
                name => (name, value.clone()),
            })
            .collect();
        match self.encryption {
            Encryption::ByHost { .. } => {}
            Encryption::Disabled => shown.push(("sslmode", "disable".to_owned())),
            Encryption::Verified => shown.push(("sslmode", "verify-full".to_owned())),
        }
        if let Some(file) = &self.root_certificates {
            shown.push(("sslrootcert", file.display().to_string()));
        }
        if self.schema != SCHEMA {
            shown.push(("schema", self.schema.clone()));
        }
        if self.pooled {
            shown.push(("pgbouncer", "transaction".to_owned()));
        }
        if !self.migrates {
            shown.push(("migrate", "off".to_owned()));
        }
        shown
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({self})")
    }
}

fn with_one_host(config: &Config, host: &Host, port: Option<u16>) -> Config {
    let mut one = Config::new();
    match host {
        Host::Tcp(name) => one.host(name),
        #[cfg(unix)]
        Host::Unix(folder) => one.host_path(folder),
    };
    one.port(port.unwrap_or(PORT))
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs());
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(database) = config.get_dbname() {
        one.dbname(database);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    one
}

/// A name, an address, or the folder of a socket. What is not to be in it may be a part of somebody's password.
fn is_host(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
        }
        #[cfg(unix)]
        Host::Unix(_folder) => true,
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let ip: Option<std::net::IpAddr> = name.parse().ok();
            name == "localhost" || ip.is_some_and(|ip| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_folder) => true,
    }
}

/// What needs no quoting in a statement.
fn is_schema(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= SCHEMA_BYTES_MAX
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_lowercase() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !text.starts_with("pg_")
}

fn unknown_parameter(name: &str) -> PostgresAddressError {
    let known = || OURS.into_iter().chain(OF_THE_CLIENT);
    let near = known()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min_by_key(|(distance, _known)| *distance);
    let meant = match near {
        Some((_distance, known)) => format!("did you mean {known}?"),
        None => format!("it has {}", known().collect::<Vec<_>>().join(", ")),
    };
    PostgresAddressError::UnknownParameter {
        name: name.to_owned(),
        meant,
    }
}

const SCHEMES: [&str; 2] = ["postgres", "postgresql"];
const OURS: [&str; 5] = ["schema", "sslmode", "sslrootcert", "pgbouncer", "migrate"];
/// What the client reads, and what means the same here as it means to every other client.
const OF_THE_CLIENT: [&str; 8] = [
    "user",
    "password",
    "host",
    "port",
    "dbname",
    "application_name",
    "channel_binding",
    "sslnegotiation",
];
const SSLMODES: &str = "disable, or require or verify-full, which mean the same here: encrypted, and the server's \
                        certificate proves its name";
const SCHEMAS: &str = "1 to 63 small letters, digits or _, not a digit first, and not pg_";
const PORT: u16 = 5432;
const SCHEMA: &str = "oncegate";
const SCHEMA_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<PostgresAddress, PostgresAddressError> {
        url.parse()
    }

    #[test]
    fn an_address_is_shown_as_it_is_understood_and_without_its_password() {
        let table = [
            ("postgres://h", "postgres://h"),
            ("POSTGRESQL://h:5433/d", "postgres://h:5433/d"),
            ("postgres://me:hunter2@h/d", "postgres://me:***@h/d"),
            ("postgres://me:hunt@er2@h/d", "postgres://me:***@h/d"),
            (
                "postgres://h/d?user=me&password=hunter2",
                "postgres://h/d?user=me&password=***",
            ),
            ("postgres://me@a:1,b:2/d", "postgres://me@a:1,b:2/d"),
            ("postgres://me@[::1]:5432", "postgres://me@[::1]:5432"),
            (
                "postgres://%2Frun%2Fpostgresql/d",
                "postgres://%2Frun%2Fpostgresql/d",
            ),
            (
                "postgres:///d?host=/run/postgresql",
                "postgres:///d?host=/run/postgresql",
            ),
            (
                "postgres://h?schema=oncegate&migrate=on&pgbouncer=off",
                "postgres://h",
            ),
            (
                "postgres://h?migrate=off&pgbouncer=transaction&schema=shop_2",
                "postgres://h?schema=shop_2&pgbouncer=transaction&migrate=off",
            ),
            (
                "postgres://h?sslmode=require",
                "postgres://h?sslmode=verify-full",
            ),
            (
                "postgres://h?sslmode=disable",
                "postgres://h?sslmode=disable",
            ),
            (
                "postgres://h?sslrootcert=/ca.pem",
                "postgres://h?sslrootcert=/ca.pem",
            ),
            ("postgres://h?sslrootcert=system", "postgres://h"),
        ];
        for (url, shown) in table {
            let address = parse(url).unwrap();
            assert_eq!(address.to_string(), shown, "{url}");
            assert_eq!(format!("{address:?}"), format!("PostgresAddress({shown})"));
        }
    }

    #[test]
    fn the_client_is_told_what_was_written() {
        let configs = |url: &str| parse(url).unwrap().configs().unwrap();
        let one = configs("postgres://m%65:hunt@e/r%3F2@h:5433/d%20b?application_name=a@b");
        let [told] = one.as_slice() else {
            panic!("there is one host: {one:?}");
        };
        assert_eq!(told.get_user(), Some("me"));
        assert_eq!(told.get_password(), Some(b"hunt@e/r?2".as_slice()));
        assert_eq!(told.get_hosts(), [Host::Tcp("h".to_owned())]);
        assert_eq!(told.get_ports(), [5433]);
        assert_eq!(told.get_dbname(), Some("d b"));
        assert_eq!(told.get_application_name(), Some("a@b"));
        assert_eq!(told.get_target_session_attrs(), TargetSessionAttrs::Any);
        for (told, (host, port)) in configs("postgres://a,b:2/d")
            .iter()
            .zip([("a", 5432), ("b", 2)])
        {
            assert_eq!(told.get_hosts(), [Host::Tcp(host.to_owned())]);
            assert_eq!(told.get_ports(), [port]);
            assert_eq!(told.get_application_name(), Some("oncegate"));
            assert_eq!(
                told.get_target_session_attrs(),
                TargetSessionAttrs::ReadWrite
            );
        }
    }

    #[test]
    fn a_server_on_another_machine_has_to_prove_who_it_is_unless_told_not_to() {
        let table = [
            ("postgres://db.example.com/d", true),
            ("postgres://10.0.0.7/d", true),
            ("postgres://127.0.0.1,db.example.com/d", true),
            ("postgres://db.example.com/d?sslmode=disable", false),
            ("postgres://127.0.0.1/d", false),
            ("postgres://[::1]/d", false),
            ("postgres://localhost/d", false),
            ("postgres:///d?host=/run/postgresql", false),
            ("postgres://localhost/d?sslmode=verify-full", true),
        ];
        for (url, encrypted) in table {
            let address = parse(url).unwrap();
            assert_eq!(address.is_encrypted(), encrypted, "{url}");
            let mode = address.config().unwrap().get_ssl_mode();
            assert_eq!(mode == SslMode::Require, encrypted, "{url}");
            assert_ne!(mode, SslMode::Prefer);
        }
    }

    #[test]
    fn a_bad_address_is_told_what_would_be_a_good_one() {
        use PostgresAddressError::{BadValue, Host, RootsWithoutTls, Scheme};
        let bad = |name, takes| BadValue { name, takes };
        let table = [
            ("localhost:5432", Scheme),
            ("postgres:localhost", Scheme),
            ("mysql://h", Scheme),
            ("postgres://", Host),
            ("postgres:///d", Host),
            ("postgres://h,,i", Host),
            ("postgres://h:port", Host),
            ("postgres://h|i", Host),
            ("postgres://h?sslmode=prefer", bad("sslmode", SSLMODES)),
            ("postgres://h?sslmode=verify-ca", bad("sslmode", SSLMODES)),
            ("postgres://h?schema=", bad("schema", SCHEMAS)),
            ("postgres://h?schema=a;b", bad("schema", SCHEMAS)),
            ("postgres://h?schema=Shop", bad("schema", SCHEMAS)),
            ("postgres://h?schema=pg_catalog", bad("schema", SCHEMAS)),
            (
                "postgres://h?pgbouncer=session",
                bad("pgbouncer", "transaction or off"),
            ),
            ("postgres://h?migrate=no", bad("migrate", "on or off")),
            (
                "postgres://h?sslrootcert=/ca.pem&sslmode=disable",
                RootsWithoutTls,
            ),
            ("postgres://localhost?sslrootcert=/ca.pem", RootsWithoutTls),
        ];
        for (url, error) in table {
            assert_eq!(parse(url).unwrap_err(), error, "{url}");
        }
        let long = format!("postgres://h?schema={}", "a".repeat(SCHEMA_BYTES_MAX + 1));
        assert_eq!(parse(&long), Err(bad("schema", SCHEMAS)));
    }

    #[test]
    fn an_unknown_parameter_is_told_the_nearest_one() {
        let told = |url: &str| parse(url).unwrap_err().to_string();
        assert_eq!(
            told("postgres://h?sslmod=disable"),
            "store postgres:// has no parameter \"sslmod\"; did you mean sslmode?"
        );
        assert!(told("postgres://h?currentSchema=a").ends_with(
            "it has schema, sslmode, sslrootcert, pgbouncer, migrate, user, password, host, port, dbname, \
             application_name, channel_binding, sslnegotiation"
        ));
    }

    #[test]
    fn no_message_repeats_a_password() {
        for url in [
            "postgres://me:hunter2@",
            "postgres://me:hunter2@h:port",
            "postgres://me:hunter2?@h/x",
            "postgres://me:hunter2/x@h|",
            "postgres://me:hunter2@h?x=hunter2",
            "postgres://h?password=hunter2&sslmode=x",
            "postgres://me:x?hunter2@h",
            "postgres://me:1?hunter2=x@h",
        ] {
            let message = parse(url).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{url}: {message}");
        }
    }
}
