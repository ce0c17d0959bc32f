//! What an API publishes about its keys: in its OpenAPI document, or at `/.well-known/idempotency`.
//!
//! The discovery document, version 1, is defined here:
//!
//! ```json
//! {
//!   "version": 1,
//!   "routes": [{
//!     "match": "POST,PUT /payments/{id}",
//!     "key": "required",
//!     "key_header": ["Idempotency-Key"],
//!     "key_length_max": 255,
//!     "key_format": "any",
//!     "retention": "24h",
//!     "in_flight": {"status": 409, "wait": "10s"},
//!     "mismatch": {"status": 422},
//!     "on_server_error": "release"
//!   }]
//! }
//! ```
//!
//! With `wait`, a duplicate is held for up to so long before it is refused.
//! Of several routes that match, the first counts. `{name}` is a segment, `{*rest}` all that follow. `match` and `key`
//! must be there; what is not there is not promised, and members that are not known are for later versions.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::case::Documented;
use crate::dialect::Fate;
use crate::operation::path_of;

/// What is documented for one operation. What is not said is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether a key has to be sent.
    pub key: Option<KeyPolicy>,
    /// The headers that carry it; the first one is used.
    pub key_header: Vec<String>,
    /// How long it may be, in bytes.
    pub key_length_max: Option<usize>,
    /// Its format, `any` or the name of one.
    pub key_format: Option<String>,
    /// The status of a duplicate in flight.
    pub in_flight: Option<u16>,
    /// The status of a mismatch.
    pub mismatch: Option<u16>,
    /// What becomes of a key after a server error.
    pub server_error: Option<Fate>,
    /// How long an answer is replayed.
    pub retention: Option<Duration>,
}

/// Whether an operation takes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPolicy {
    /// Without one it is refused.
    Required,
    /// It can be sent.
    Optional,
    /// It has no effect.
    Ignored,
}

/// Where a discovery document is.
pub const DISCOVERY_PATH: &str = "/.well-known/idempotency";

impl Policy {
    /// Whether it says this.
    #[must_use]
    pub fn says(&self, what: Documented) -> bool {
        match what {
            Documented::KeyOptional => self.key == Some(KeyPolicy::Optional),
            Documented::KeyLength => self.key_length_max.is_some(),
            Documented::Mismatch => self.mismatch.is_some(),
            Documented::InFlight => self.in_flight.is_some(),
            Documented::ServerError => self.server_error.is_some_and(|fate| fate != Fate::Open),
        }
    }

    /// What two documents say differently.
    #[must_use]
    pub fn contradiction(&self, other: &Self) -> Option<&'static str> {
        let differ = [
            ("whether a key is required", differ(self.key, other.key)),
            (
                "the length of keys",
                differ(self.key_length_max, other.key_length_max),
            ),
            (
                "the status in flight",
                differ(self.in_flight, other.in_flight),
            ),
            (
                "the status of a mismatch",
                differ(self.mismatch, other.mismatch),
            ),
            (
                "server errors",
                differ(self.server_error, other.server_error),
            ),
            ("the retention", differ(self.retention, other.retention)),
        ];
        let first = differ.into_iter().find(|(_, differ)| *differ);
        first.map(|(what, _)| what)
    }

    /// This, and what the other says where this says nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            key: self.key.or(other.key),
            key_header: if self.key_header.is_empty() {
                other.key_header
            } else {
                self.key_header
            },
            key_length_max: self.key_length_max.or(other.key_length_max),
            key_format: self.key_format.or(other.key_format),
            in_flight: self.in_flight.or(other.in_flight),
            mismatch: self.mismatch.or(other.mismatch),
            server_error: self.server_error.or(other.server_error),
            retention: self.retention.or(other.retention),
        }
    }
}

/// What a discovery document says of a request; `None`, if it has no route for it.
///
/// # Errors
/// It is no discovery document of version 1, and why.
pub fn discovered(document: &[u8], method: &str, target: &str) -> Result<Option<Policy>, String> {
    let value: Value =
        serde_json::from_slice(document).map_err(|error| format!("it is no JSON: {error}"))?;
    match value.get("version").and_then(Value::as_u64) {
        Some(1) => {}
        Some(version) => return Err(format!("its version is {version}, and 1 is known")),
        None => return Err("it has no `version`".to_owned()),
    }
    let document = Document::deserialize(value).map_err(|error| error.to_string())?;
    for route in &document.routes {
        route
            .check()
            .map_err(|problem| format!("route {:?}: {problem}", route.pattern))?;
    }
    let path = path_of(target);
    let route = document
        .routes
        .into_iter()
        .find(|route| route.matches(method, path));
    Ok(route.map(Route::policy))
}

#[derive(Deserialize)]
struct Document {
    routes: Vec<Route>,
}

#[derive(Deserialize)]
struct Route {
    #[serde(rename = "match")]
    pattern: String,
    key: KeyPolicy,
    #[serde(default)]
    key_header: Vec<String>,
    key_length_max: Option<usize>,
    key_format: Option<String>,
    retention: Option<String>,
    in_flight: Option<Duplicate>,
    mismatch: Option<Refused>,
    on_server_error: Option<OnServerError>,
}

#[derive(Deserialize)]
struct Duplicate {
    status: u16,
    wait: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    status: u16,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnServerError {
    Release,
    Keep,
    Unknown,
}

impl Route {
    fn check(&self) -> Result<(), String> {
        let (methods, path) = self.parts();
        let is_name = |name: &str| is_field_name(name) && !name.contains(char::is_lowercase);
        if !methods.split(',').all(is_name) || !path.starts_with('/') {
            return Err("`match` is not methods and a path, `POST,PUT /payments/{id}`".to_owned());
        }
        if self.key_header.iter().any(|name| !is_field_name(name)) {
            return Err("`key_header` holds what is no name of a header".to_owned());
        }
        if self.key_length_max == Some(0) {
            return Err("`key_length_max` is 0".to_owned());
        }
        let in_flight = self.in_flight.as_ref().map(|refused| refused.status);
        let mismatch = self.mismatch.as_ref().map(|refused| refused.status);
        for (name, status) in [("in_flight", in_flight), ("mismatch", mismatch)] {
            if status.is_some_and(|status| status / 100 != 4) {
                return Err(format!("the status of `{name}` is no 4xx"));
            }
        }
        let wait = self.in_flight.as_ref().and_then(|it| it.wait.as_deref());
        for (name, text) in [("retention", self.retention.as_deref()), ("wait", wait)] {
            if text.is_some_and(|text| duration(text).is_none()) {
                return Err(format!("`{name}` is no number with a unit, as `24h`"));
            }
        }
        Ok(())
    }

    fn parts(&self) -> (&str, &str) {
        self.pattern.split_once(' ').unwrap_or_default()
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let (methods, pattern) = self.parts();
        methods.split(',').any(|name| name == method) && path_matches(pattern, path)
    }

    fn policy(self) -> Policy {
        Policy {
            key: Some(self.key),
            key_header: self.key_header,
            key_length_max: self.key_length_max,
            key_format: self.key_format,
            // Whoever is held may get the answer instead.
            in_flight: self
                .in_flight
                .filter(|duplicate| duplicate.wait.is_none())
                .map(|duplicate| duplicate.status),
            mismatch: self.mismatch.map(|refused| refused.status),
            server_error: self.on_server_error.map(OnServerError::fate),
            retention: self.retention.as_deref().and_then(duration),
        }
    }
}

impl OnServerError {
    /// An unknown outcome is neither replayed nor run again: nothing can be shown.
    const fn fate(self) -> Fate {
        match self {
            Self::Release => Fate::Released,
            Self::Keep => Fate::Kept,
            Self::Unknown => Fate::Open,
        }
    }
}

/// Whether both say something, and not the same.
fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for part in pattern.split('/') {
        if part.starts_with("{*") {
            return segments.next().is_some_and(|rest| !rest.is_empty());
        }
        let Some(segment) = segments.next() else {
            return false;
        };
        let is_name = part.starts_with('{') && part.ends_with('}');
        let fits = if is_name {
            !segment.is_empty()
        } else {
            part == segment
        };
        if !fits {
            return false;
        }
    }
    segments.next().is_none()
}

fn is_field_name(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route() -> Value {
        json!({
            "match": "POST,PUT /payments/{id}",
            "key": "required",
            "key_header": ["Idempotency-Key"],
            "key_length_max": 255,
            "key_format": "any",
            "retention": "24h",
            "in_flight": {"status": 409},
            "mismatch": {"status": 422},
            "on_server_error": "release",
            "a_later_member": true,
        })
    }

    fn read(routes: Value) -> Result<Option<Policy>, String> {
        let document = json!({"version": 1, "routes": routes}).to_string();
        discovered(document.as_bytes(), "POST", "/payments/7?dry=1")
    }

    #[test]
    fn the_first_route_that_matches_counts() {
        let mut other = route();
        other["match"] = "POST /payments".into();
        other["mismatch"]["status"] = 400.into();
        let policy = read(json!([other, route()])).unwrap().unwrap();
        let expected = Policy {
            key: Some(KeyPolicy::Required),
            key_header: vec!["Idempotency-Key".to_owned()],
            key_length_max: Some(255),
            key_format: Some("any".to_owned()),
            in_flight: Some(409),
            mismatch: Some(422),
            server_error: Some(Fate::Released),
            retention: Some(Duration::from_secs(24 * 60 * 60)),
        };
        assert_eq!(policy, expected);
        assert_eq!(read(json!([])), Ok(None));
    }

    #[test]
    fn patterns_match_as_routes_of_the_proxy_do() {
        for (pattern, path, matches) in [
            ("/payments", "/payments", true),
            ("/payments", "/payments/1", false),
            ("/payments/{id}", "/payments/1", true),
            ("/payments/{id}", "/payments/", false),
            ("/payments/{id}", "/payments/1/refunds", false),
            ("/payments/{*rest}", "/payments/1/refunds", true),
            ("/payments/{*rest}", "/payments/", false),
            ("/{*rest}", "/payments", true),
        ] {
            assert_eq!(path_matches(pattern, path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_document_is_named() {
        for (member, value, says) in [
            ("match", json!("/payments"), "`match` is not methods"),
            ("match", json!("post /payments"), "`match` is not methods"),
            ("key", json!("maybe"), "maybe"),
            ("key_header", json!(["Idempotency Key"]), "`key_header`"),
            ("key_length_max", json!(0), "`key_length_max` is 0"),
            ("retention", json!("a day"), "`retention`"),
            ("retention", json!("24"), "`retention`"),
            ("in_flight", json!({"status": 200}), "`in_flight` is no 4xx"),
            ("mismatch", json!({}), "status"),
            ("on_server_error", json!("retry"), "retry"),
        ] {
            let mut route = route();
            route[member] = value;
            let problem = read(json!([route])).unwrap_err();
            assert!(problem.contains(says), "{member}: {problem}");
        }
        for (document, says) in [
            ("<html>", "no JSON"),
            (r#"{"routes":[]}"#, "no `version`"),
            (r#"{"version":2,"routes":[]}"#, "version is 2"),
            (r#"{"version":1}"#, "routes"),
        ] {
            let problem = discovered(document.as_bytes(), "POST", "/").unwrap_err();
            assert!(problem.contains(says), "{document}: {problem}");
        }
    }
}
