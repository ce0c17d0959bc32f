//! How values become what settings hold: one function for each type of setting.
//!
//! Promises: a value of the wrong type, and one that is out of bounds, is refused with what it is
//! and what would be right. Deliberately absent: how settings go together; that is `check`.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use oncegate::fingerprint::JsonPointer;
use oncegate::policy::Reconcile;
use oncegate::problem::PROBLEM_BASE;
use oncegate::scope::ScopeSource;
use oncegate::units::show_duration;
use oncegate_stores::StoreUrl;
use oncegate_tower::Quota;
use oncegate_tower::path::normal_path;

use super::refusal::{Refusal, did_you_mean};
use super::units::{parse_duration, parse_quota, parse_size, show_size};
use super::value::Value;

type Read<T> = Result<T, Refusal>;

pub(super) fn word(value: &Value) -> Read<&str> {
    match value {
        Value::Text(text) | Value::String(text) => Ok(text),
        Value::Integer(_)
        | Value::Boolean(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Foreign(_) => Err(wrong_type("a string", value)),
    }
}

fn list<T>(value: &Value, each: impl FnMut(&Value) -> Read<T>) -> Read<Vec<T>> {
    match value {
        Value::List(items) => items.iter().map(each).collect(),
        Value::String(_) => Err(wrong_type("a list", value).hint(&format!("write `[{value}]`"))),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Boolean(_)
        | Value::Table(_)
        | Value::Foreign(_) => Err(wrong_type("a list", value)),
    }
}

fn integer(value: &Value) -> Read<i64> {
    let without_quotes = |refusal: Refusal, text: &str| match text.parse::<i64>() {
        Ok(number) => refusal.hint(&format!("write `{number}` without quotes")),
        Err(_) => refusal,
    };
    match value {
        Value::Integer(number) => Ok(*number),
        Value::Text(text) => text
            .trim()
            .parse()
            .map_err(|_| Refusal::new("it is no integer")),
        Value::String(text) => Err(without_quotes(wrong_type("an integer", value), text)),
        Value::Boolean(_) | Value::List(_) | Value::Table(_) | Value::Foreign(_) => {
            Err(wrong_type("an integer", value))
        }
    }
}

pub(super) fn boolean(value: &Value) -> Read<bool> {
    match value {
        Value::Boolean(it) => Ok(*it),
        Value::Text(text) => text
            .trim()
            .parse()
            .map_err(|_| Refusal::new("it is neither `true` nor `false`")),
        Value::String(_)
        | Value::Integer(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Foreign(_) => Err(wrong_type("`true` or `false`", value)),
    }
}

/// One of these words.
pub(super) fn choice<T: Copy>(value: &Value, words: &[(&str, T)]) -> Read<T> {
    let given = word(value)?;
    let known = || words.iter().map(|(name, _)| *name);
    let found = words.iter().find(|(name, _)| *name == given);
    found.map(|(_, it)| *it).ok_or_else(|| {
        let why = format!(
            "`{given}` is none of {}",
            known().collect::<Vec<_>>().join(", ")
        );
        Refusal::new(&why).hint(&did_you_mean(given, known()))
    })
}

/// The word for `it`; the counterpart of [`choice`].
pub(super) fn word_for<T: PartialEq>(it: &T, words: &[(&str, T)]) -> Value {
    let name = words
        .iter()
        .find(|(_, known)| known == it)
        .map_or("", |(name, _)| *name);
    Value::String(name.to_owned())
}

pub(super) fn duration(value: &Value, bounds: RangeInclusive<Duration>) -> Read<Duration> {
    let duration = match value {
        Value::Text(text) | Value::String(text) => parse_duration(text)?,
        Value::Integer(number) => parse_duration(&number.to_string())?,
        Value::Boolean(_) | Value::List(_) | Value::Table(_) | Value::Foreign(_) => {
            return Err(wrong_type("a duration", value));
        }
    };
    within(duration, bounds, |it| show_duration(*it))
}

pub(super) fn quota_or_off(value: &Value) -> Read<Option<Quota>> {
    match word(value)? {
        "off" => Ok(None),
        text => parse_quota(text).map(Some),
    }
}

pub(super) fn size(value: &Value, bounds: RangeInclusive<u64>) -> Read<u64> {
    let size = match value {
        Value::Text(text) | Value::String(text) => parse_size(text)?,
        Value::Integer(number) => {
            u64::try_from(*number).map_err(|_| Refusal::new("a size cannot be negative"))?
        }
        Value::Boolean(_) | Value::List(_) | Value::Table(_) | Value::Foreign(_) => {
            return Err(wrong_type("a size", value));
        }
    };
    within(size, bounds, |it| show_size(*it))
}

pub(super) fn count(value: &Value, bounds: RangeInclusive<u16>) -> Read<usize> {
    let (min, max) = (i64::from(*bounds.start()), i64::from(*bounds.end()));
    let number = within(integer(value)?, min..=max, i64::to_string)?;
    usize::try_from(number).map_err(|_| Refusal::new("a count cannot be negative"))
}

/// A count that may be large.
pub(super) fn number(value: &Value, bounds: RangeInclusive<u32>) -> Read<usize> {
    let (min, max) = (i64::from(*bounds.start()), i64::from(*bounds.end()));
    let number = within(integer(value)?, min..=max, i64::to_string)?;
    usize::try_from(number).map_err(|_| Refusal::new("a count cannot be negative"))
}

pub(super) fn status(value: &Value, bounds: RangeInclusive<u16>) -> Read<StatusCode> {
    let number = count(value, bounds)?;
    let status = u16::try_from(number)
        .ok()
        .and_then(|number| StatusCode::from_u16(number).ok());
    status.ok_or_else(|| Refusal::new(&format!("{number} is no HTTP status")))
}

pub(super) fn statuses(value: &Value, bounds: &RangeInclusive<u16>) -> Read<Vec<StatusCode>> {
    list(value, |item| status(item, bounds.clone()))
}

/// Methods in capitals, each once.
pub(super) fn methods(value: &Value) -> Read<Vec<Method>> {
    let mut methods = Vec::new();
    for method in list(value, |item| method(word(item)?))? {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok(methods)
}

pub(super) fn method(name: &str) -> Read<Method> {
    let capitals = name.to_ascii_uppercase();
    let method = Method::from_bytes(capitals.as_bytes())
        .map_err(|_| Refusal::new(&format!("`{name}` cannot be an HTTP method")))?;
    if SAFE.contains(&method) {
        let why = format!("{method} cannot take keys: it changes nothing, and always passes");
        return Err(Refusal::new(&why));
    }
    if method == Method::CONNECT {
        return Err(Refusal::new("CONNECT cannot take keys: it opens a tunnel"));
    }
    Ok(method)
}

pub(super) fn headers(value: &Value) -> Read<Vec<HeaderName>> {
    list(value, |item| {
        let name = word(item)?;
        let parsed = HeaderName::from_bytes(name.as_bytes());
        parsed.map_err(|_| Refusal::new(&format!("`{name}` cannot be the name of a header")))
    })
}

/// Names for a key: at least one, and none that means something else.
pub(super) fn key_headers(value: &Value) -> Read<Vec<HeaderName>> {
    let names = headers(value)?;
    if names.is_empty() {
        let hint = "to take no keys at all, set `key = \"ignored\"`";
        return Err(Refusal::new("a key has to come under some name").hint(hint));
    }
    if let Some(name) = names.iter().find(|name| name.as_str().contains('_')) {
        let hint = "many origins take `X_Y` for `X-Y`; use a name with dashes";
        return Err(Refusal::new(&format!("`{name}` can be taken for another header")).hint(hint));
    }
    match names.iter().find(|name| TAKEN.contains(&name.as_str())) {
        Some(name) => Err(Refusal::new(&format!(
            "`{name}` means something else already"
        ))),
        None => Ok(names),
    }
}

/// `Idempotency-Key` for `idempotency-key`: how people write it.
pub(crate) fn show_header(name: &HeaderName) -> String {
    let capital = |part: &str| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    let parts: Vec<String> = name.as_str().split('-').map(capital).collect();
    parts.join("-")
}

pub(super) fn header_words(names: &[HeaderName]) -> Value {
    Value::strings(names.iter().map(show_header))
}

/// A path under which we answer ourselves, or `off`.
pub(super) fn path_or_off(value: &Value) -> Read<Option<String>> {
    let hint = "write a path as it is requested, such as `/.well-known/idempotency`";
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%{}".contains(&byte);
    match word(value)? {
        "off" => Ok(None),
        path if path.starts_with(PROBLEM_BASE) => {
            Err(Refusal::new("the pages of the problems are there").hint(hint))
        }
        path if path.starts_with('/')
            && path.bytes().all(is_plain)
            && !normal_path(path).changed =>
        {
            Ok(Some(path.to_owned()))
        }
        path => Err(Refusal::new(&format!("`{path}` is no path in its normal form")).hint(hint)),
    }
}

pub(super) fn scope_sources(value: &Value) -> Read<Vec<ScopeSource>> {
    list(value, |item| parsed(word(item)?))
}

/// Names that mean something to somebody else.
pub(super) fn names(value: &Value) -> Read<Vec<String>> {
    list(value, |item| match word(item)? {
        "" => Err(Refusal::new("one of them is empty")),
        name => Ok(name.to_owned()),
    })
}

pub(super) fn pointers(value: &Value) -> Read<Vec<JsonPointer>> {
    list(value, |item| match word(item)? {
        "" => Err(Refusal::new("an empty pointer leaves out the whole body")
            .hint("to compare no bodies, set `fingerprint = \"none\"`")),
        text => parsed(text),
    })
}

pub(super) fn path(value: &Value) -> Read<PathBuf> {
    match word(value)? {
        "" => Err(Refusal::new("it is empty")),
        text => Ok(PathBuf::from(text)),
    }
}

/// One address, or a list of them.
pub(super) fn addresses(value: &Value) -> Read<Vec<SocketAddr>> {
    let addresses = match value {
        Value::String(text) => vec![address(text)?],
        Value::Text(_)
        | Value::Integer(_)
        | Value::Boolean(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Foreign(_) => list(value, |item| address(word(item)?))?,
    };
    if addresses.is_empty() {
        return Err(Refusal::new("there has to be an address to listen on"));
    }
    Ok(addresses)
}

pub(super) fn address_or_off(value: &Value) -> Read<Option<SocketAddr>> {
    match word(value)? {
        "off" => Ok(None),
        text => address(text).map(Some),
    }
}

fn address(text: &str) -> Read<SocketAddr> {
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port
            .parse()
            .map_err(|_| Refusal::new(&format!("`{port}` is no port")))?;
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| {
        let hint = match text.rsplit_once(':') {
            Some(("" | "*", port)) => format!("to listen everywhere, write `0.0.0.0:{port}`"),
            Some(_) => "names are not looked up: what they stand for may change".to_owned(),
            None => "add the port".to_owned(),
        };
        Refusal::new(&format!("`{text}` is no IP address with a port")).hint(&hint)
    })
}

/// Origins of the web: scheme, host and port.
pub(super) fn origins(value: &Value) -> Read<Vec<String>> {
    list(value, |item| {
        let text = word(item)?;
        let uri = text.parse::<http::Uri>().ok().map(http::Uri::into_parts);
        let bare = uri.is_some_and(|uri| {
            let scheme = uri.scheme.as_ref().map_or("", |scheme| scheme.as_str());
            let authority = uri
                .authority
                .as_ref()
                .map_or("", |authority| authority.as_str());
            matches!(scheme, "http" | "https") && text == format!("{scheme}://{authority}")
        });
        match text {
            "*" => Err(Refusal::not_yet("`*` in `cors_origins`").hint("name the origins")),
            _ if bare && !text.contains('@') && *text == text.to_ascii_lowercase() => {
                Ok(text.to_owned())
            }
            _ => Err(
                Refusal::new(&format!("`{text}` is no origin as browsers send it"))
                    .hint("scheme, host and port in small letters, and no slash at the end"),
            ),
        }
    })
}

/// The URL of a store.
pub(super) fn store(value: &Value) -> Read<StoreUrl> {
    match word(value)?.parse() {
        Ok(url) => Ok(url),
        Err(error) => Err(Refusal::new(&error.to_string())),
    }
}

/// `{ get = "/payments/by-key/{key}", status = 201 }`, or nothing for the empty table.
pub(super) fn reconcile(value: &Value) -> Read<Reconcile> {
    let Value::Table(members) = value else {
        return Err(wrong_type("a table", value));
    };
    let (mut get, mut found) = (None, None);
    for (name, value) in members {
        match name.as_str() {
            "get" => get = Some(reconcile_path(word(value)?)?),
            "status" => found = Some(status(value, 200..=299)?),
            _ => {
                let hint = did_you_mean(name, ["get", "status"].into_iter());
                return Err(Refusal::new(&format!("`{name}` is unknown in it")).hint(&hint));
            }
        }
    }
    match (get, found) {
        (Some(get), Some(status)) => Ok(Reconcile { get, status }),
        (None, _) => Err(Refusal::new("`get` is missing in it")),
        (_, None) => Err(Refusal::new("`status` is missing in it")),
    }
}

fn reconcile_path(path: &str) -> Read<String> {
    let probe = path.replace("{key}", "k");
    if !path.contains("{key}") {
        return Err(Refusal::new(
            "`get` does not say where the key goes: `{key}` is missing",
        ));
    }
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(Refusal::new(
            "`get` is no path: it has to start with one `/`",
        ));
    }
    if probe.contains(['{', '}', '#']) || probe.parse::<http::uri::PathAndQuery>().is_err() {
        return Err(Refusal::new("`get` is no path, with or without a query"));
    }
    Ok(path.to_owned())
}

/// Reads a type that knows its own text.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Read<T> {
    text.parse()
        .map_err(|error: T::Err| Refusal::new(&error.to_string()))
}

fn within<T: PartialOrd>(it: T, bounds: RangeInclusive<T>, show: impl Fn(&T) -> String) -> Read<T> {
    if it < *bounds.start() {
        return Err(Refusal::new(&format!(
            "the least is {}",
            show(bounds.start())
        )));
    }
    if it > *bounds.end() {
        return Err(Refusal::new(&format!("the most is {}", show(bounds.end()))));
    }
    Ok(it)
}

fn wrong_type(wanted: &str, value: &Value) -> Refusal {
    Refusal::new(&format!("it has to be {wanted}, not {}", value.kind()))
}

const SAFE: [Method; 4] = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
/// Headers that cannot hold a key because the protocol or we ourselves speak through them.
const TAKEN: [&str; 14] = [
    "idempotency-fence",
    "idempotency-status",
    "idempotency-outcome",
    "idempotent-replayed",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];
