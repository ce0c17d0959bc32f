//! The rules of keys, one table or property each.

use proptest::prelude::*;

use super::*;

const LENIENT: KeyRules = KeyRules {
    syntax: KeySyntax::Lenient,
    format: KeyFormat::Any,
    length_max: 255,
};
const STRICT: KeyRules = KeyRules {
    syntax: KeySyntax::Strict,
    ..LENIENT
};

fn identity(value: &str, rules: &KeyRules) -> Result<String, KeyError> {
    IdempotencyKey::parse(value.as_bytes(), rules).map(|key| key.as_str().to_owned())
}

fn names() -> [HeaderName; 2] {
    [
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("x-request-key"),
    ]
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let lines = lines.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    lines.collect()
}

fn escape(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn a_key_is_what_stands_inside_the_quotes_unescaped_and_without_parameters() {
    let table = [
        (r#""abc""#, "abc"),
        (r#""a b""#, "a b"),
        (r#"" a ""#, " a "),
        (r#""a\"b""#, r#"a"b"#),
        (r#""a\\b""#, r"a\b"),
        (r#""a,b;c""#, "a,b;c"),
        (r#""abc";v=1;w"#, "abc"),
        (r#""abc"; v="x\"y""#, "abc"),
        ("  \"abc\"\t", "abc"),
    ];
    for (value, expected) in table {
        assert_eq!(
            identity(value, &LENIENT).as_deref(),
            Ok(expected),
            "{value}"
        );
        assert_eq!(identity(value, &STRICT).as_deref(), Ok(expected), "{value}");
    }
}

#[test]
fn a_bare_key_is_the_same_identity_as_its_quoted_form() {
    let table = [
        "abc",
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
        "12",
        "?1",
        ":YWJj:",
        "a=b/c",
        "'",
    ];
    for value in table {
        assert_eq!(identity(value, &LENIENT).as_deref(), Ok(value));
        assert_eq!(
            identity(value, &LENIENT),
            identity(&escape(value), &LENIENT)
        );
        assert_eq!(
            identity(value, &STRICT),
            Err(KeyError::Malformed),
            "{value}"
        );
    }
}

#[test]
fn a_malformed_key_is_an_error_in_either_syntax() {
    let table = [
        r#"""#,
        r#""abc"#,
        r#"abc""#,
        r#""abc"def"#,
        r#""a" "b""#,
        r#""a","b""#,
        r#""a";"#,
        r#""a\b""#,
        r#""a\"#,
        "a,b",
        "a;v=1",
        "a b",
        r"a\b",
        "(\"a\")",
        "\"a\tb\"",
        "a\tb",
        "\"caf\u{e9}\"",
        "caf\u{e9}",
        "\"a\u{7f}\"",
        "a\u{7f}",
        "a\0b",
        "\"a\nb\"",
        "a\n",
    ];
    for value in table {
        assert_eq!(
            identity(value, &LENIENT),
            Err(KeyError::Malformed),
            "{value:?}"
        );
        assert_eq!(
            identity(value, &STRICT),
            Err(KeyError::Malformed),
            "{value:?}"
        );
    }
}

#[test]
fn a_key_of_nothing_or_of_spaces_is_empty() {
    for value in ["", " ", " \t ", "\"\"", "\"\";v=1", "\"   \""] {
        assert_eq!(identity(value, &LENIENT), Err(KeyError::Empty), "{value:?}");
        assert_eq!(identity(value, &STRICT), Err(KeyError::Empty), "{value:?}");
    }
}

#[test]
fn the_length_is_counted_in_unescaped_bytes() {
    let rules = KeyRules {
        length_max: 4,
        ..LENIENT
    };
    for value in ["abcd", "\"abcd\"", r#""\"\"\"\"""#, "\"abcd\";parameter=17"] {
        assert!(identity(value, &rules).is_ok(), "{value}");
    }
    for value in ["abcde", "\"abcde\"", r#""\"\"\"\"\"""#] {
        assert_eq!(
            identity(value, &rules),
            Err(KeyError::TooLong { max: 4 }),
            "{value}"
        );
    }
}

#[test]
fn a_format_checks_shape_version_and_variant() {
    const V4: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";
    const V7: &str = "019A2F3C-7B1E-7F00-8ABC-0123456789AB";
    const NIL: &str = "00000000-0000-0000-0000-000000000000";
    const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    use KeyFormat::{Any, Ulid, Uuid, Uuid4, Uuid7};
    let table: [(&str, &[KeyFormat]); 11] = [
        (V4, &[Any, Uuid, Uuid4]),
        ("8E03978E-40D5-43DD-BC93-6894A57F9324", &[Any, Uuid, Uuid4]),
        ("8e03978e-40d5-43dd-cc93-6894a57f9324", &[Any, Uuid]), // variant of another family
        (V7, &[Any, Uuid, Uuid7]),
        (NIL, &[Any, Uuid]),
        ("8e03978e40d543ddbc936894a57f9324", &[Any]),
        ("8e03978e-40d5-43dd-bc93-6894a57f932", &[Any]),
        ("8e03978e-40d5-43dd-bc93-6894a57f932g", &[Any]),
        (ULID, &[Any, Ulid]),
        ("81ARZ3NDEKTSV4RRFFQ69G5FAV", &[Any]),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAU", &[Any]),
    ];
    for (value, fits) in table {
        for format in [Any, Uuid, Uuid4, Uuid7, Ulid] {
            let expected = match fits.contains(&format) {
                true => Ok(value.to_owned()),
                false => Err(KeyError::WrongFormat { format }),
            };
            assert_eq!(
                identity(value, &KeyRules { format, ..LENIENT }),
                expected,
                "{format}"
            );
        }
    }
}

#[test]
fn a_key_is_found_under_any_name_and_keeps_the_line_it_came_in() {
    let headers = headers(&[("x-request-key", "\"abc\";v=1")]);
    let sent = SentKey::find(&headers, &names(), &LENIENT)
        .unwrap()
        .unwrap();
    assert_eq!(sent.key().as_str(), "abc");
    assert_eq!(sent.name(), "x-request-key");
    assert_eq!(sent.value(), "\"abc\";v=1");
}

#[test]
fn no_line_is_no_key_but_an_empty_line_is_an_error() {
    let find = |lines: &[_]| SentKey::find(&headers(lines), &names(), &LENIENT);
    assert_eq!(find(&[("accept", "abc")]), Ok(None));
    assert_eq!(find(&[("idempotency-key", "")]), Err(KeyError::Empty));
}

#[test]
fn two_lines_are_an_error_even_where_they_agree_or_would_join() {
    let table = [
        [("idempotency-key", "abc"), ("idempotency-key", "abc")],
        [("idempotency-key", "abc"), ("x-request-key", "abc")],
        [("x-request-key", "\"a"), ("x-request-key", "b\"")],
        [("idempotency-key", "abc"), ("x-request-key", "")],
    ];
    for lines in table {
        let found = SentKey::find(&headers(&lines), &names(), &LENIENT);
        assert_eq!(found, Err(KeyError::Several), "{lines:?}");
    }
}

#[test]
fn a_name_that_is_listed_twice_does_not_make_one_line_two() {
    let [name, _] = names();
    let headers = headers(&[("idempotency-key", "abc")]);
    assert!(
        SentKey::find(&headers, &[name.clone(), name], &LENIENT)
            .unwrap()
            .is_some()
    );
}

#[test]
fn debug_output_shows_the_digest_and_never_the_key() {
    let sent = SentKey::find(&headers(&[("idempotency-key", "abc")]), &names(), &LENIENT);
    let sent = sent.unwrap().unwrap();
    let digest = sent.key().digest();
    let shown = format!("{sent:?}");
    assert!(!shown.contains("abc"), "{shown}");
    assert!(shown.contains(&digest.to_string()), "{shown}");
    assert_eq!(digest.to_string().parse(), Ok(digest));
    assert_eq!(digest.to_string().len(), 16);
}

proptest! {
    #[test]
    fn any_printable_text_survives_quoting(text in "[ -~]{1,80}", parameters in "(;[a-z]{1,3}){0,3}") {
        let parsed = identity(&format!("{}{parameters}", escape(&text)), &STRICT);
        match text.trim_start_matches(' ') {
            "" => prop_assert_eq!(parsed, Err(KeyError::Empty)),
            _ => prop_assert_eq!(parsed, Ok(text)),
        }
    }

    #[test]
    fn any_bare_text_means_what_its_quoted_form_means(text in "[!#-+\\--:<-\\[\\]-~]{1,80}") {
        prop_assert_eq!(identity(&text, &LENIENT), Ok(text.clone()));
        prop_assert_eq!(identity(&escape(&text), &LENIENT), Ok(text));
    }

    #[test]
    fn no_bytes_make_the_parser_panic_or_accept_what_it_should_not(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        quote in any::<bool>(),
    ) {
        let bytes = if quote { [b"\"", &*bytes, b"\""].concat() } else { bytes };
        for syntax in [KeySyntax::Lenient, KeySyntax::Strict] {
            if let Ok(key) = IdempotencyKey::parse(&bytes, &KeyRules { syntax, ..LENIENT }) {
                prop_assert!(key.as_str().bytes().all(|byte| (0x20..0x7f).contains(&byte)));
                prop_assert!(!key.as_str().trim().is_empty());
            }
        }
    }
}

#[test]
fn the_time_in_a_key_is_read_where_its_format_has_one() {
    // The examples of RFC 9562, A.6, and of the ULID specification.
    let uuid7 = "017F22E2-79B0-7cc3-98c4-dc0c0c07398f";
    let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let table = [
        (uuid7, KeyFormat::Uuid7, Some(1_645_557_742_000)),
        (ulid, KeyFormat::Ulid, Some(1_469_922_850_259)),
        (
            "7ZZZZZZZZZTSV4RRFFQ69G5FAV",
            KeyFormat::Ulid,
            Some((1 << 48) - 1),
        ),
        (
            "00000000-0000-7000-8000-000000000000",
            KeyFormat::Uuid7,
            Some(0),
        ),
        (uuid7, KeyFormat::Uuid, None),
        (uuid7, KeyFormat::Any, None),
        (ulid, KeyFormat::Any, None),
    ];
    for (text, format, millis) in table {
        let rules = KeyRules {
            format,
            ..KeyRules::default()
        };
        let key = IdempotencyKey::parse(text.as_bytes(), &rules).unwrap();
        let expected = millis.map(|millis: u64| Timestamp::from_micros(millis * 1_000));
        assert_eq!(key.made_at(format), expected, "{text} {format}");
    }
}
