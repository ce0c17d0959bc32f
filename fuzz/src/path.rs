//! The normal form of a path: every detour to a path is seen as one, and leads to the same place.

use oncegate_tower::path::normal_path;

use crate::choice::Choices;

/// The input is a raw path.
pub(crate) fn run(input: &[u8]) {
    let Ok(raw) = str::from_utf8(input) else {
        return;
    };
    let normal = normal_path(raw);
    if !raw.starts_with('/') {
        assert_eq!((&*normal.path, normal.changed), (raw, false));
        return;
    }
    is_normal(&normal.path);
    if !normal.changed {
        // Decoding is all that was done: what is encoded again is the same path.
        let again = normal_path(&encode(&normal.path)).path.into_owned();
        assert_eq!(again, normal.path);
    }
    // A detour through bytes that are no UTF-8 can make them some, so only sound paths are bent.
    if decoded_is_text(raw) {
        let mut choices = Choices::from_input(input);
        for _ in 0..4 {
            let bent = bend(raw, &mut choices);
            let read = normal_path(&bent);
            assert_eq!(read.path, normal.path, "{raw:?} {bent:?}");
            assert!(read.changed, "{bent:?} is a detour");
        }
    }
}

fn is_normal(path: &str) {
    let segments: Vec<&str> = path
        .strip_prefix('/')
        .expect("a slash")
        .split('/')
        .collect();
    let (last, inner) = segments.split_last().expect("there is always one");
    assert!(
        !inner.iter().any(|it| ["", ".", ".."].contains(it)),
        "{path}"
    );
    assert!(![".", ".."].contains(last), "{path}");
    assert!(!path.contains(['\\', ';']), "{path}");
}

/// The same path by another way, for any program that resolves dots, slashes and triplets.
fn bend(raw: &str, choices: &mut Choices) -> String {
    let slashes: Vec<usize> = raw.match_indices('/').map(|(at, _)| at).collect();
    let at = *choices.of(&slashes);
    let (before, after) = raw.split_at(at);
    // What replaces the first slash needs another one before it.
    let start = if at == 0 { "/." } else { "" };
    let detour = *choices.of(&[
        "/./",
        "/%2e/",
        "/a/../",
        "//",
        "/a;b/.%2E;c/",
        "\\",
        "%2f",
        "%5C",
    ]);
    format!("{start}{before}{detour}{}", &after[1..])
}

fn encode(path: &str) -> String {
    let triplet = |character: char| {
        let plain = character.is_ascii_alphanumeric() || "/-._~".contains(character);
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).bytes();
        if plain {
            character.to_string()
        } else {
            bytes.map(|byte| format!("%{byte:02X}")).collect()
        }
    };
    path.chars().map(triplet).collect()
}

fn decoded_is_text(raw: &str) -> bool {
    let mut bytes = raw.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let triplet = digit(ahead.next()).zip(digit(ahead.next()));
        match triplet.filter(|_| byte == b'%') {
            Some((high, low)) => {
                bytes = ahead;
                decoded.push(u8::try_from(high << 4 | low).expect("two digits are a byte"));
            }
            None => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).is_ok()
}
