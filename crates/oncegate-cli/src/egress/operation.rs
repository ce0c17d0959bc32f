//! From a caller's request to an operation: the key it has or gets, its name, its headers, its exact bytes.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TE};
use http::{HeaderMap, HeaderName, request};
use oncegate::key::{IdempotencyKey, KeyRules};
use oncegate::{Problem, ProblemKind};
use oncegate_client::journal::OperationName;
use oncegate_client::{Operation, OperationError};

use super::arguments::Named;
use crate::proxy::remove_hop_by_hop;

/// What is to happen once, and what the caller calls it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) operation: Operation,
    pub(super) name: Option<OperationName>,
}

/// Reads a request that is for `target` of this upstream.
pub(super) fn read(
    upstream: &Named,
    target: &str,
    mut head: request::Parts,
    body: Bytes,
) -> Result<Asked, Problem> {
    let url = format!("{}{target}", upstream.url);
    let mut builder = Operation::with(head.method, &url).map_err(unfit)?;
    let name = operation_name(upstream, &head.headers)?;
    if let Some(key) = own_key(&head.headers)? {
        if name.is_some() {
            return Err(invalid(
                "a request has a key or an operation's name, not both",
            ));
        }
        builder = builder.key(key.as_str()).map_err(unfit)?;
    }
    remove_hop_by_hop(&mut head.headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT, TE, KEY, OPERATION] {
        head.headers.remove(name);
    }
    for (name, value) in &head.headers {
        let value = value
            .to_str()
            .map_err(|_error| invalid(format!("the header {name} is not plain ASCII")))?;
        builder = builder.header(name.as_str(), value).map_err(unfit)?;
    }
    Ok(Asked {
        operation: builder.body(body).build(),
        name,
    })
}

/// The caller's own key, if it has one.
fn own_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = single(headers, &KEY)? else {
        return Ok(None);
    };
    IdempotencyKey::parse(value, &KeyRules::default())
        .map(Some)
        .map_err(|error| Problem::new(ProblemKind::KeyInvalid).because(error))
}

/// The caller's name of the operation. The upstream is part of it: an invoice is paid here and mailed there.
fn operation_name(upstream: &Named, headers: &HeaderMap) -> Result<Option<OperationName>, Problem> {
    let Some(value) = single(headers, &OPERATION)? else {
        return Ok(None);
    };
    let name = std::str::from_utf8(value)
        .ok()
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| invalid("the operation's name is empty, or is no text"))?;
    OperationName::new(&format!("{}/{name}", upstream.name))
        .map(Some)
        .map_err(invalid)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(invalid(format!("there is more than one {name}"))),
        (value, _) => Ok(value.map(http::HeaderValue::as_bytes)),
    }
}

fn unfit(error: OperationError) -> Problem {
    invalid(error)
}

fn invalid(why: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::KeyInvalid).because(why)
}

/// The key of an operation.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The caller's name of an operation.
pub(super) const OPERATION: HeaderName = HeaderName::from_static("idempotency-operation");
