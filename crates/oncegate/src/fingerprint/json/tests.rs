//! The rules of JSON comparison, as tables and as properties.

use proptest::prelude::*;

use super::*;

fn excluding(body: &[u8], pointers: &[&str]) -> Option<Vec<u8>> {
    let exclude: Vec<_> = pointers
        .iter()
        .map(|pointer| pointer.parse().unwrap())
        .collect();
    canonical(body, &exclude, Vec::new(), &[7; 32])
}

fn form(body: &str) -> Option<Vec<u8>> {
    excluding(body.as_bytes(), &[])
}

#[test]
fn texts_that_say_the_same_have_one_canonical_form() {
    let table = [
        (r#"{"a":1,"b":2}"#, " {\t\"b\" : 2 ,\r\n\"a\":1 } "),
        (
            r#"{"a":{"c":[1,{"e":1,"d":2}],"b":0}}"#,
            r#"{"a":{"b":0,"c":[1,{"d":2,"e":1}]}}"#,
        ),
        (r#""\u0041\u00e9\ud83d\ude00\/""#, "\"A\u{e9}\u{1f600}/\""),
        (
            r#""\b\f\n\r\t\"\\""#,
            r#""\u0008\u000C\u000a\u000D\u0009\u0022\u005c""#,
        ),
        (r#"{"\u0061":1}"#, r#"{"a":1}"#),
        ("[]", "[ ]"),
        ("{}", "{ }"),
    ];
    for (one, two) in table {
        assert!(form(one).is_some(), "{one}");
        assert_eq!(form(one), form(two), "{one} {two}");
    }
}

#[test]
fn texts_that_say_different_things_have_different_canonical_forms() {
    let different = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "1.0",
        "1.00",
        "1e0",
        "1E0",
        "1e+0",
        "10",
        "0.1",
        "9007199254740993",
        "9007199254740992",
        "1e400",
        "\"\"",
        "\"1\"",
        "\"null\"",
        "\"\\u0000\"",
        "[]",
        "[null]",
        "[[]]",
        "[1,2]",
        "[2,1]",
        "[12]",
        "[[1],2]",
        "[[1,2]]",
        "[\"1\",\"2\"]",
        "[\"1,2\"]",
        "{}",
        "[{}]",
        "{\"a\":1}",
        "{\"b\":1}",
        "{\"a\":\"1\"}",
        "{\"a\":null}",
        "{\"a\":{}}",
        "{\"a\":[]}",
        "{\"a\":1,\"b\":2}",
        "{\"a\":2,\"b\":1}",
        "{\"A\":1}",
        "[\"a\",1]",
        "{\"\":1}",
        "\"e\\u0301\"",
        "\"\\u00e9\"",
    ];
    let forms: Vec<_> = different
        .iter()
        .map(|text| form(text).expect(text))
        .collect();
    for (at, one) in forms.iter().enumerate() {
        assert!(
            !forms[..at].contains(one),
            "{} reads as something before it",
            different[at]
        );
    }
}

#[test]
fn what_parsers_could_read_differently_has_no_canonical_form() {
    let table: [&[u8]; 45] = [
        b"",
        b" ",
        b"{",
        b"[",
        b"\"",
        b"\"a",
        b"nul",
        b"nulll",
        b"True",
        b"NaN",
        b"Infinity",
        b"01",
        b"-",
        b"+1",
        b".5",
        b"1.",
        b"1e",
        b"1e+",
        b"1.e1",
        b"--1",
        b"0x1",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"{\"a\":1,}",
        b"{\"a\"}",
        b"{a:1}",
        b"{1:1}",
        b"{\"a\" 1}",
        b"[1}",
        b"{} {}",
        b"1 1",
        b"\"\\x\"",
        b"\"\\u12\"",
        b"\"\\u+123\"",
        b"\"a\nb\"",
        b"\"\\ud800\"",
        b"\"\\ud800\\u0041\"",
        b"\"\\udc00\"",
        b"{\"a\":1,\"a\":1}",
        b"{\"a\":1,\"\\u0061\":2}",
        b"[{\"b\":{\"a\":1,\"c\":0,\"a\":2}}]",
        b"\"\xff\"",
        b"\xef\xbb\xbf{}",
        b"// c\n1",
    ];
    for body in table {
        assert_eq!(excluding(body, &[]), None, "{}", body.escape_ascii());
    }
}

#[test]
fn a_byte_in_a_string_means_the_same_wherever_it_stands() {
    for (byte, before) in (0..0x80).flat_map(|byte: u8| (0..20).map(move |before| (byte, before))) {
        let inner = format!("{}{}{}", "\u{7f}".repeat(before), char::from(byte), "zz");
        let stands_for_itself = byte >= b' ' && !matches!(byte, b'"' | b'\\');
        let meant = stands_for_itself.then(|| model(&Value::String(inner.clone())));
        assert_eq!(
            form(&format!("\"{inner}\"")),
            meant,
            "{byte} behind {before}"
        );
    }
}

#[test]
fn the_depth_is_limited_and_hostile_depth_does_not_overflow_the_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(form(&nested(128)).is_some());
    assert_eq!(form(&nested(129)), None);
    assert_eq!(form(&"[".repeat(JSON_BYTES_MAX)), None);
    assert_eq!(form(&"{\"a\":".repeat(JSON_BYTES_MAX / 5)), None);
}

#[test]
fn the_order_of_members_does_not_count_in_large_objects_either() {
    let object = |names: &mut dyn Iterator<Item = usize>| {
        let members: Vec<_> = names
            .map(|name| format!("\"{name}\":[{{\"x\":{name}}}]"))
            .collect();
        format!("{{\"outer\":{{{}}}}}", members.join(","))
    };
    let one = form(&object(&mut (0..2000))).unwrap();
    assert_eq!(Some(&one), form(&object(&mut (0..2000).rev())).as_ref());
    assert_ne!(Some(&one), form(&object(&mut (1..2001))).as_ref());
    assert!(one.len() < 100, "large objects are folded");
}

#[test]
fn what_is_excluded_does_not_count_and_all_else_does() {
    let same = |one: &str, two: &str, pointers: &[&str]| {
        let one = excluding(one.as_bytes(), pointers);
        assert!(one.is_some());
        one == excluding(two.as_bytes(), pointers)
    };
    assert!(same(r#"{"a":1,"t":5}"#, r#"{"t":[6,{}],"a":1}"#, &["/t"]));
    assert!(same(r#"{"a":1,"t":5}"#, r#"{"a":1}"#, &["/t"]));
    assert!(same(
        r#"{"m":{"t":5,"b":1}}"#,
        r#"{"m":{"b":1}}"#,
        &["/m/t"]
    ));
    assert!(same(
        r#"[{"t":1},{"t":2}]"#,
        r#"[{"t":1},{"t":3}]"#,
        &["/1/t"]
    ));
    assert!(same(r#"[1,2,3]"#, r#"[1,9,3]"#, &["/1"]));
    assert!(same(
        r#"{"a":{"b":1}}"#,
        r#"{"a":{"c":2}}"#,
        &["/a/b", "/a"]
    ));
    assert!(same("1", "[2]", &[""]));
    assert!(same(r#"{"1":1}"#, r#"{"1":2}"#, &["/1"]));
    assert!(!same(r#"{"a":1,"t":5}"#, r#"{"a":2,"t":5}"#, &["/t"]));
    assert!(!same(
        r#"[{"t":1},{"t":2}]"#,
        r#"[{"t":9},{"t":2}]"#,
        &["/1/t"]
    ));
    assert!(!same(r#"[1,2,3]"#, r#"[1,3]"#, &["/1"]));
    assert!(!same("[9]", "[]", &["/0"]));
    assert!(!same(r#"{"t":{"t":1}}"#, r#"{"t":{"t":2}}"#, &["/x/t"]));
}

#[test]
fn what_is_excluded_has_to_be_well_formed_all_the_same() {
    for body in [r#"{"t":1,"t":2}"#, r#"{"t":01}"#, r#"{"t":{"a":1,"a":1}}"#] {
        assert_eq!(excluding(body.as_bytes(), &["/t"]), None, "{body}");
    }
    assert_eq!(excluding(b"{} x", &[""]), None);
}

/// A JSON value that can be written in many ways.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Word(&'static str),
    Number(String),
    String(String),
    Array(Vec<Self>),
    Object(std::collections::BTreeMap<String, Self>),
}

/// A stream of choices, so that the same value is written differently each time.
struct Choices(u64);

impl Choices {
    fn next(&mut self, below: u32) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(below)).try_into().unwrap()
    }
}

impl Value {
    fn write(&self, choices: &mut Choices, out: &mut String) {
        out.push_str(["", " ", "\n\t"][choices.next(3)]);
        match self {
            Self::Word(word) => out.push_str(word),
            Self::Number(number) => out.push_str(number),
            Self::String(text) => write_string(text, choices, out),
            Self::Array(values) => {
                out.push('[');
                for (at, value) in values.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    value.write(choices, out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_cached_key(|_| choices.next(1000));
                for (at, (name, value)) in members.into_iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    write_string(name, choices, out);
                    out.push(':');
                    value.write(choices, out);
                }
                out.push('}');
            }
        }
        out.push_str(["", " "][choices.next(2)]);
    }

    fn text(&self, seed: u64) -> String {
        let mut text = String::new();
        self.write(&mut Choices(seed), &mut text);
        text
    }
}

/// What the canonical form is meant to be, said in the plainest way.
fn model(value: &Value) -> Vec<u8> {
    let framed = |tag: u8, text: &str| {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[tag], &length[..], text.as_bytes()].concat()
    };
    match value {
        Value::Word(word) => word.as_bytes()[..1].to_vec(),
        Value::Number(number) => framed(b'#', number),
        Value::String(text) => framed(b'"', text),
        Value::Array(values) => {
            let written: Vec<_> = values.iter().map(model).collect();
            [b"[", &written.concat()[..], b"]"].concat()
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (framed(b'"', name), model(value));
            let mut members: Vec<_> = members.iter().map(member).collect();
            members.sort();
            let written: Vec<_> = members
                .into_iter()
                .flat_map(|(name, value)| [name, value])
                .collect();
            let whole = [b"{", &written.concat()[..], b"}"].concat();
            if whole.len() <= FOLD_ABOVE_BYTES {
                return whole;
            }
            [b"F", &blake3::keyed_hash(&[7; 32], &whole).as_bytes()[..]].concat()
        }
    }
}

fn write_string(text: &str, choices: &mut Choices, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if choices.next(3) == 0 || character < ' ' || matches!(character, '"' | '\\') {
            let units = character.encode_utf16(&mut [0; 2]).to_vec();
            units
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(character);
        }
    }
    out.push('"');
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(Value::Word),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?([eE][+-]?[0-9])?".prop_map(Value::Number),
        ".{0,6}".prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(".{0,2}", inner, 0..5).prop_map(Value::Object),
        ]
    })
}

/// A value with names that begin alike, and with texts that are longer than what is looked at in one.
fn long_value() -> impl Strategy<Value = Value> {
    let text = || "(name-)?(of-)?[a-c]{0,3}\u{e9}?[\\\\\"\n]?[a-c]{0,12}";
    let leaf = prop_oneof![
        "-?(0|[1-9][0-9]{0,30})".prop_map(Value::Number),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 200, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::Array),
            prop::collection::btree_map(text(), inner, 0..12).prop_map(Value::Object),
        ]
    })
}

proptest! {
    /// Records that exist were made under this form: another one would make them incomparable.
    #[test]
    fn the_canonical_form_is_what_the_model_says(
        value in prop_oneof![value(), long_value()], seed in any::<u64>(),
    ) {
        prop_assert_eq!(form(&value.text(seed)), Some(model(&value)));
    }

    #[test]
    fn however_a_value_is_written_its_canonical_form_is_the_same(
        value in value(), one in any::<u64>(), two in any::<u64>(),
    ) {
        let first = form(&value.text(one));
        prop_assert!(first.is_some());
        prop_assert_eq!(first, form(&value.text(two)));
    }

    #[test]
    fn different_values_have_different_canonical_forms(
        one in value(), two in value(), seed in any::<u64>(),
    ) {
        prop_assert_eq!(one == two, form(&one.text(seed)) == form(&two.text(seed)));
    }

    #[test]
    fn a_change_at_any_depth_changes_the_canonical_form(
        wrapped in value(), path in prop::collection::vec(any::<bool>(), 0..20), seed in any::<u64>(),
    ) {
        let bury = |leaf: Value| path.iter().fold(leaf, |inner, in_array| match in_array {
            true => Value::Array(vec![wrapped.clone(), inner]),
            false => Value::Object([("k".to_owned(), inner), ("j".to_owned(), wrapped.clone())].into()),
        });
        let (one, two) = (Value::Number("1".to_owned()), Value::Number("1.0".to_owned()));
        let (one, two) = (bury(one).text(seed), bury(two).text(seed));
        prop_assert!(form(&one).is_some());
        prop_assert_ne!(form(&one), form(&two));
    }

    #[test]
    fn a_duplicate_name_at_any_depth_leaves_no_canonical_form(
        value in value(), depth in 0_usize..20,
    ) {
        let body = format!("{{\"k\":{0},\"x\":0,\"\\u006b\":{0}}}", value.text(1));
        let body = (0..depth).fold(body, |inner, at| match at % 2 {
            0 => format!("[0,{inner}]"),
            _ => format!("{{\"a\":{inner},\"b\":1}}"),
        });
        prop_assert_eq!(form(&body), None);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        drop(excluding(&bytes, &["/a", "/0/b"]));
    }

    #[test]
    fn nothing_that_looks_like_json_makes_the_reader_panic(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\u a-f]{0,60}") {
        drop(form(&text));
    }
}
