//! The configuration file: any text is right or refused with a report, and what is in force reads back as the same.

use std::sync::Arc;

use oncegate_cli::config::Config;
use oncegate_cli::routes::Route;

/// The input is a file.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    // What it names elsewhere is not part of the input, and could be a terminal.
    if text.contains("_file") {
        return;
    }
    match Config::from_text("oncegate.toml", text.to_owned()) {
        Ok(config) => accepted(&config),
        Err(error) => {
            assert!(error.findings().count() > 0);
            for to_terminal in [false, true] {
                assert!(!error.render(to_terminal).is_empty());
            }
        }
    }
}

fn accepted(config: &Config) {
    let printed = config.print();
    let again = Config::from_text("printed.toml", printed.clone());
    let again = again.unwrap_or_else(|error| panic!("{}\n{printed}", error.render(false)));
    assert_eq!(&again, config, "{printed}");
    assert_eq!(again.print(), printed);
    config
        .routes
        .iter()
        .for_each(|route| can_match(config, route));
}

/// A pattern that is accepted can match: there is a request that it was written for.
fn can_match(config: &Config, route: &Route) {
    let Some(path) = example(&route.pattern) else {
        return;
    };
    for method in &route.policy.methods {
        let found = config.routes.policy(method, &path);
        let is_default = Arc::ptr_eq(found, config.routes.defaults());
        assert!(!is_default, "`{method} {path}` gets the policy of {route}");
    }
}

/// A path that the pattern describes, percent-encoded. `None` where braces stand for themselves.
fn example(pattern: &str) -> Option<String> {
    if pattern.contains("{{") || pattern.contains("}}") {
        return None;
    }
    let mut path = String::new();
    let mut pieces = pattern.split('{');
    path.push_str(&encode(pieces.next()?));
    for piece in pieces {
        let (_name, rest) = piece.split_once('}')?;
        path.push_str("example");
        path.push_str(&encode(rest));
    }
    Some(path)
}

fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'/' | b'.' | b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
