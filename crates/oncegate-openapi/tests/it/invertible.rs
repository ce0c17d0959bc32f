//! For any description: what was put in is taken out to the byte, and twice is once. Descriptions are made at random,
//! in every form that they can be written in.

use proptest::prelude::*;

use crate::support::annotated;

/// How one thing is written.
#[derive(Clone, Copy, Debug)]
enum Form {
    Block,
    Flow,
    FlowOnLines,
    Nothing,
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        Just(Form::Block),
        Just(Form::Flow),
        Just(Form::FlowOnLines),
        Just(Form::Nothing)
    ]
}

/// Lines after a thing that belong to nobody, or to it.
const TAILS: [&str; 6] = [
    "",
    " # so",
    "\n\n# a comment\n",
    "\n",
    "\n          # in",
    "\n#\n\n#",
];
/// Values that end in different ways.
const VALUES: [&str; 8] = [
    "ok",
    "'o''k'",
    "\"o\\\"k\"",
    "|\n            a\n\n            b\n",
    "|+\n            a\n\n\n",
    ">-\n            a\n            b",
    "a\n            b",
    "",
];

fn list(form: Form, tail: &str) -> String {
    match form {
        Form::Block => format!("      parameters:\n      -   name: a\n          in: query{tail}\n"),
        Form::Flow => format!("      parameters: [{{name: a, in: query}}, ]{tail}\n"),
        Form::FlowOnLines => {
            format!("      parameters: [\n        {{name: a, in: query}}\n      ]{tail}\n")
        }
        Form::Nothing => format!("      parameters: []{tail}\n"),
    }
}

fn response(status: &str, form: Form, value: &str, tail: &str) -> String {
    match form {
        Form::Block => format!("        {status}:\n          description: {value}{tail}\n"),
        Form::Flow => format!("        {status}: {{description: ok, headers: {{}}}}{tail}\n"),
        Form::FlowOnLines => {
            format!(
                "        {status}: {{\n          description: ok,\n          content: {{application/problem+json: {{}}}}\n          }}{tail}\n"
            )
        }
        Form::Nothing => format!("        {status}: {{ }}{tail}\n"),
    }
}

prop_compose! {
    fn operation()(
        list_form in form(),
        with_list: bool,
        responses in prop::collection::vec((0..5_usize, form(), 0..VALUES.len(), 0..TAILS.len()), 0..4),
        tail in 0..TAILS.len(),
    ) -> String {
        let mut text = String::new();
        if with_list {
            text += &list(list_form, TAILS[tail]);
        }
        text += "      responses:\n";
        let mut seen = Vec::new();
        for (status, form, value, tail) in responses {
            let status = ["'200'", "409", "\"503\"", "default", "4XX"][status];
            if !seen.contains(&status) {
                seen.push(status);
                let tail = if VALUES[value].contains('\n') && matches!(form, Form::Block) { "" } else { TAILS[tail] };
                text += &response(status, form, VALUES[value], tail);
            }
        }
        text
    }
}

prop_compose! {
    fn description()(
        operations in prop::collection::vec(operation(), 1..4),
        components in 0..5_usize,
        first: bool,
        crlf: bool,
        cut: bool,
        mark: bool,
    ) -> String {
        let components = [
            "", "components:\n", "components: {}\n", "components:\n  schemas:\n    A: {}\n  responses:\n", "components: {schemas: {\n  A: {}}}\n",
        ][components];
        let mut text = String::from("openapi: 3.1.0\n");
        if first {
            text += components;
        }
        text += "paths:\n";
        for (at, operation) in operations.iter().enumerate() {
            text += &format!("  /p{at}:\n    post:\n{operation}");
        }
        if !first {
            text += components;
        }
        if cut {
            text.truncate(text.trim_end().len());
        }
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        if mark { format!("\u{feff}{text}") } else { text }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_put_in_is_taken_out_to_the_byte(text in description()) {
        annotated(&text);
    }
}
