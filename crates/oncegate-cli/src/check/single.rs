//! One operation, told on the command line.

use oncegate_check::operation::{Form, Operation};
use oncegate_check::wire::Peer;

use super::arguments::Arguments;
use super::fields;
use crate::command::Failed;
use crate::config::did_you_mean;

/// The operation of a URL.
pub(super) fn operation(arguments: &Arguments, url: &str) -> Result<Operation, Failed> {
    let (peer, target) = Peer::of(url).map_err(|error| Failed::usage(error.to_string()))?;
    let plain = Form {
        method: arguments.request.clone(),
        target,
        fields: Vec::new(),
        body: fields::body(&arguments.data).map_err(Failed::usage)?,
    };
    let mut operation = Operation::new(peer, plain);
    for written in &arguments.forms {
        let (variant, form) = form(written, operation.plain()).map_err(Failed::usage)?;
        operation.forms.insert(variant, form);
    }
    if let Some(other) = &arguments.other_data {
        operation.other_body = Some(fields::body(other).map_err(Failed::usage)?);
    }
    Ok(operation)
}

/// `FORM=METHOD PATH [BODY]`: without a body, that of the plain form.
fn form(written: &str, plain: &Form) -> Result<(oncegate_check::case::Variant, Form), String> {
    let (name, line) = written
        .split_once('=')
        .ok_or_else(|| format!("{written:?} is no form: FORM=METHOD /PATH"))?;
    let variant = fields::variant(name).ok_or_else(|| {
        let help = did_you_mean(name, fields::forms().map(|form| form.name()));
        format!("{name:?} is no form that cases know; {help}")
    })?;
    let (method, target, body) = fields::request(line)?;
    let body = match body {
        Some(body) => fields::body(body)?,
        None => plain.body.clone(),
    };
    let form = Form {
        method,
        target,
        fields: Vec::new(),
        body,
    };
    Ok((variant, form))
}
