//! An OpenAPI Overlay (1.0): what would be added, as a file of its own.
//!
//! An overlay merges objects and appends to lists, as annotating does, so one patch serves both. A target is the
//! deepest object that holds for one operation or one shared response: tools differ in how they merge far above.

use crate::marks::NOTE;
use crate::part::Part;
use crate::style::Style;
use crate::write;

/// The overlay for a patch. `extends` is where the description is.
pub(crate) fn write(patch: &Part, extends: Option<&str>, json: bool) -> String {
    let info = Part::members([
        ("title", Part::text("Idempotency keys, by Oncegate")),
        ("version", Part::text(env!("CARGO_PKG_VERSION"))),
    ]);
    let mut overlay = Part::members([("overlay", Part::text("1.0.0")), ("info", info)]);
    if let Some(extends) = extends {
        overlay.set("extends", Part::text(extends));
    }
    overlay.set("actions", Part::List(actions(patch)));
    let style = Style::own();
    if json {
        return write::lines(&overlay, "", &style) + "\n";
    }
    let mut out = String::new();
    if let Part::Members(members) = &overlay {
        for (name, part) in members {
            write::block_member(&mut out, 0, name, part, &style);
        }
    }
    out.trim_start().to_owned() + "\n"
}

fn actions(patch: &Part) -> Vec<Part> {
    let mut actions = Vec::new();
    for (name, part) in members(patch) {
        match name.as_str() {
            // Nothing is taken out of a description that nothing was put into.
            NOTE => {}
            "paths" => {
                for (path, item) in members(part) {
                    for (method, additions) in members(item) {
                        let target = format!("$.paths[{}].{method}", quoted(path));
                        actions.push(action(target, additions.clone()));
                    }
                }
            }
            // It may not be there, and the root always is.
            _ => {
                let part = Part::Members(vec![(name.clone(), part.clone())]);
                actions.push(action("$".to_owned(), part));
            }
        }
    }
    actions
}

fn action(target: String, update: Part) -> Part {
    Part::members([("target", Part::text(target)), ("update", update)])
}

fn members(part: &Part) -> &[(String, Part)] {
    match part {
        Part::Members(members) => members,
        Part::Null | Part::Flag(_) | Part::Number(_) | Part::Text(_) | Part::List(_) => &[],
    }
}

/// A name in a JSONPath.
fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "\\'"))
}
