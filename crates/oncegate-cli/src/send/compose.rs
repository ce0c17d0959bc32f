//! From the command line to an operation: header lines and bodies as people write them.

use std::path::Path;

use http::Method;
use oncegate_client::{FileBody, Operation, OperationBuilder, OperationError};

use super::arguments::Arguments;
use crate::check::fields;
use crate::command::Failed;

/// The operation that was asked for.
pub(super) async fn operation(arguments: &Arguments) -> Result<Operation, Failed> {
    let url = arguments.url.as_deref().unwrap_or_default();
    let method = Method::from_bytes(arguments.request.as_bytes())
        .map_err(|error| Failed::usage("-X is no method").because(error))?;
    let mut builder = Operation::with(method, url).map_err(unfit)?;
    if let Some(key) = &arguments.key {
        builder = builder.key(key).map_err(unfit)?;
    }
    builder = builder.dialect(arguments.dialect).map_err(unfit)?;
    let mut typed = false;
    for line in header_lines(&arguments.headers)? {
        let (name, value) = header(&line)?;
        typed |= name.eq_ignore_ascii_case("content-type");
        builder = builder.header(name, value).map_err(unfit)?;
    }
    with_body(builder, &arguments.data, typed).await
}

/// Sets the body, and says what it is if nobody did.
async fn with_body(
    builder: OperationBuilder,
    data: &str,
    typed: bool,
) -> Result<Operation, Failed> {
    if let Some(file) = large_file(data) {
        let body = FileBody::open(file).await;
        let body = body.map_err(|error| Failed::usage("-d cannot be read").because(error))?;
        let builder = if typed {
            builder
        } else {
            let kind = "application/octet-stream";
            builder.header("content-type", kind).map_err(unfit)?
        };
        return Ok(builder.body_file(body).build());
    }
    let body = fields::body(data).map_err(Failed::usage)?;
    let builder = if typed || body.is_empty() {
        builder
    } else {
        let kind = fields::content_type(&body);
        builder.header("content-type", kind).map_err(unfit)?
    };
    Ok(builder.body(body).build())
}

/// A file that is too large to be copied into the journal: it is named there, with a digest.
fn large_file(data: &str) -> Option<&Path> {
    let path = Path::new(data.strip_prefix('@').filter(|path| *path != "-")?);
    let metadata = std::fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() > COPIED_BYTES_MAX).then_some(path)
}

/// All header lines, those in files among them.
fn header_lines(written: &[String]) -> Result<Vec<String>, Failed> {
    let mut lines = Vec::new();
    for line in written {
        let Some(file) = line.strip_prefix('@') else {
            lines.push(line.clone());
            continue;
        };
        let bytes = fields::body(line).map_err(Failed::usage)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            Failed::usage(format!("{file} holds no header lines")).because(error)
        })?;
        let of_file = text.lines().filter(|line| !line.trim().is_empty());
        lines.extend(of_file.map(str::to_owned));
    }
    Ok(lines)
}

/// `NAME: VALUE`. The line is not shown in errors: it may hold a credential.
fn header(line: &str) -> Result<(&str, &str), Failed> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| Failed::usage("a header line is NAME: VALUE"))?;
    Ok((name.trim(), value.trim()))
}

fn unfit(error: OperationError) -> Failed {
    let own = matches!(error, OperationError::OwnHeader { .. });
    let sentence = if own {
        "a header cannot be given (a key is given by --key)"
    } else {
        "the operation cannot be sent"
    };
    Failed::usage(sentence).because(error)
}

/// Larger files are not copied into the journal.
const COPIED_BYTES_MAX: u64 = 1024 * 1024;
