//! The setting `match`: `POST,PUT /payments/{id}`, a list of methods and a path pattern.
//!
//! Promises: a pattern that is accepted can match. Deliberately absent: conflicts between routes,
//! which only the whole table sees.

use matchit::{InsertError, Router};
use oncegate_tower::path::normal_path;

use super::read::{method, word};
use super::refusal::Refusal;
use super::setting::Match;
use super::value::Value;
use crate::routes::Route;

/// Reads `POST,PUT /payments/{id}`; without methods, those of the setting `methods` count.
pub(super) fn read_match(value: &Value) -> Result<Match, Refusal> {
    let text = word(value)?;
    let text = text.trim();
    let (methods, pattern) = if text.starts_with('/') {
        (None, text)
    } else {
        // A path may have spaces in it, a list of methods may not.
        let (methods, pattern) = text
            .split_once(char::is_whitespace)
            .ok_or_else(|| Refusal::new("there is no path pattern in it that starts with `/`"))?;
        (Some(read_methods(methods)?), pattern.trim_start())
    };
    check_pattern(pattern)?;
    Ok(Match {
        methods,
        pattern: pattern.to_owned(),
    })
}

/// The value that reads as this route.
pub(super) fn show_match(route: &Route) -> Value {
    Value::String(route.to_string())
}

fn read_methods(names: &str) -> Result<Vec<http::Method>, Refusal> {
    let mut methods = Vec::new();
    for name in names.split(',') {
        if name.is_empty() {
            let hint = "several methods have commas between them and no spaces";
            return Err(Refusal::new(&format!("`{names}` is no list of methods")).hint(hint));
        }
        let method = method(name)?;
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok(methods)
}

fn check_pattern(pattern: &str) -> Result<(), Refusal> {
    if !pattern.starts_with('/') {
        return Err(Refusal::new(&format!(
            "the pattern `{pattern}` does not start with `/`"
        )));
    }
    if pattern.contains('%') {
        let hint = "write the characters themselves: patterns see decoded paths";
        return Err(Refusal::new("a pattern with `%` in it never matches").hint(hint));
    }
    if pattern.contains(['?', '#']) {
        return Err(Refusal::new(
            "a pattern matches the path alone, without a query",
        ));
    }
    if normal_path(pattern).changed {
        let hint = "paths are matched without `.`, `..`, `;`, `\\` and empty segments";
        return Err(Refusal::new(&format!("the pattern `{pattern}` never matches")).hint(hint));
    }
    Router::new()
        .insert(pattern, ())
        .map_err(|error| why_not(&error))
}

fn why_not(error: &InsertError) -> Refusal {
    let hint =
        "`{name}` is one segment, `{*rest}` all that follow; for a brace itself, `{{` or `}}`";
    let why = error.to_string();
    let mut letters = why.chars();
    let first = letters.next().unwrap_or_default().to_ascii_lowercase();
    Refusal::new(&format!("{first}{}", letters.as_str())).hint(hint)
}
