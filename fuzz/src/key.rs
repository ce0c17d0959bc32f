//! The idempotency key: what is accepted has one identity, and every spelling of it reads as that.

use http::{HeaderMap, HeaderName, HeaderValue};
use oncegate::key::{IdempotencyKey, KeyError, KeyFormat, KeyRules, KeySyntax, SentKey};

/// The first byte chooses the rules, the rest is the field value.
pub(crate) fn run(input: &[u8]) {
    let Some((choice, value)) = input.split_first() else {
        return;
    };
    let rules = rules(*choice);
    let read = IdempotencyKey::parse(value, &rules);
    match &read {
        Ok(key) => accepted(key.as_str(), value, &rules),
        Err(KeyError::Several) => panic!("one value is not several lines"),
        Err(KeyError::TooLong { max }) => assert_eq!(*max, rules.length_max),
        Err(KeyError::WrongFormat { format }) => assert_eq!(*format, rules.format),
        Err(KeyError::Malformed | KeyError::Empty) => {}
    }
    as_a_header(value, &rules, read);
}

fn rules(choice: u8) -> KeyRules {
    const FORMATS: [KeyFormat; 5] = [
        KeyFormat::Any,
        KeyFormat::Uuid,
        KeyFormat::Uuid4,
        KeyFormat::Uuid7,
        KeyFormat::Ulid,
    ];
    KeyRules {
        syntax: if choice & 1 == 0 {
            KeySyntax::Lenient
        } else {
            KeySyntax::Strict
        },
        format: FORMATS[usize::from(choice >> 1 & 7) % FORMATS.len()],
        length_max: if choice & 0x80 == 0 { 255 } else { 7 },
    }
}

fn accepted(identity: &str, value: &[u8], rules: &KeyRules) {
    assert!(identity.len() <= rules.length_max, "the length holds");
    assert!(identity.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    assert!(!identity.trim().is_empty(), "an identity is not empty");
    let trimmed = value.trim_ascii();
    if trimmed.starts_with(b"\"") {
        assert_eq!(unescaped(&trimmed[1..]).as_deref(), Some(identity));
    } else {
        assert_eq!(rules.syntax, KeySyntax::Lenient, "a bare value is lenient");
        assert_eq!(trimmed, identity.as_bytes());
        assert!(!identity.contains([' ', '"', ',', ';', '\\']));
    }
    // Its quoted form is the same identity under every rule.
    let quoted = quote(identity);
    for syntax in [KeySyntax::Lenient, KeySyntax::Strict] {
        let again = IdempotencyKey::parse(quoted.as_bytes(), &KeyRules { syntax, ..*rules });
        assert_eq!(again.as_ref().map(IdempotencyKey::as_str), Ok(identity));
    }
}

/// A field that holds the value is judged as the value is, and two such fields are refused.
fn as_a_header(value: &[u8], rules: &KeyRules, read: Result<IdempotencyKey, KeyError>) {
    let Ok(line) = HeaderValue::from_bytes(value) else {
        return;
    };
    let names = [
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("x-request-key"),
    ];
    let mut headers = HeaderMap::new();
    headers.insert(&names[0], line.clone());
    let found = SentKey::find(&headers, &names, rules);
    let key = found.map(|sent| sent.expect("it was sent").key().clone());
    assert_eq!(key, read);
    headers.insert(&names[1], line);
    assert_eq!(
        SentKey::find(&headers, &names, rules),
        Err(KeyError::Several)
    );
}

/// The string up to its closing quote, read letter by letter.
fn unescaped(text: &[u8]) -> Option<String> {
    let mut string = String::new();
    let mut bytes = text.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some(string),
            b'\\' => string.push(char::from(
                *bytes.next().filter(|byte| b"\"\\".contains(byte))?,
            )),
            byte => string.push(char::from(*byte)),
        }
    }
}

fn quote(identity: &str) -> String {
    let escaped = identity.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}
