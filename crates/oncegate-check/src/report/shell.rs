//! Bytes as a shell takes them: quoted, with variables where something is to be another one each time.

/// What takes the place of literals: keys, and what must not be written down.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    /// Literal and name, the longest literal first.
    pairs: Vec<(Vec<u8>, String)>,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Bytes(&'a [u8]),
    Variable(&'a str),
}

impl Variables {
    /// From now on this literal is that variable.
    pub(super) fn add(&mut self, literal: impl Into<Vec<u8>>, name: impl Into<String>) {
        let literal = literal.into();
        if !literal.is_empty() && !self.pairs.iter().any(|(known, _)| *known == literal) {
            self.pairs.push((literal, name.into()));
            self.pairs
                .sort_by_key(|(literal, _)| usize::MAX - literal.len());
        }
    }

    /// The text, taken apart where variables are.
    pub(super) fn pieces<'a>(&'a self, text: &'a [u8]) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let (mut begin, mut at) = (0, 0);
        while at < text.len() {
            let found = self
                .pairs
                .iter()
                .find(|(literal, _)| text[at..].starts_with(literal));
            match found {
                Some((literal, name)) => {
                    if begin < at {
                        pieces.push(Piece::Bytes(&text[begin..at]));
                    }
                    pieces.push(Piece::Variable(name));
                    at += literal.len();
                    begin = at;
                }
                None => at += 1,
            }
        }
        if begin < text.len() {
            pieces.push(Piece::Bytes(&text[begin..]));
        }
        pieces
    }
}

/// One word of a command line. It must hold no NUL, which no shell can pass.
pub(super) fn word(pieces: &[Piece<'_>]) -> String {
    if let [Piece::Bytes(bytes)] = pieces
        && let Ok(text) = std::str::from_utf8(bytes)
        && text.chars().all(needs_no_quotes)
    {
        return text.to_owned();
    }
    let mut word = String::new();
    let mut open = None;
    let doubly = pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Variable(_)));
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Variable(name) => {
                turn(&mut word, &mut open, Some(Quotes::Double));
                word.push_str(&if runs_on(pieces.get(at + 1)) {
                    format!("${{{name}}}")
                } else {
                    format!("${name}")
                });
            }
            Piece::Bytes(bytes) => literal(&mut word, &mut open, bytes, doubly),
        }
    }
    turn(&mut word, &mut open, None);
    if word.is_empty() {
        "''".to_owned()
    } else {
        word
    }
}

/// The arguments of `printf` that write just these bytes.
pub(super) fn printf(pieces: &[Piece<'_>]) -> String {
    let mut format = String::new();
    let mut arguments = String::new();
    for piece in pieces {
        match piece {
            Piece::Variable(name) => {
                format.push_str("%s");
                arguments.push_str(&format!(" \"${name}\""));
            }
            Piece::Bytes(bytes) => {
                for byte in *bytes {
                    match byte {
                        b'%' => format.push_str("%%"),
                        b'\\' => format.push_str("\\\\"),
                        b'\r' => format.push_str("\\r"),
                        b'\n' => format.push_str("\\n"),
                        b'\'' => format.push_str("\\047"),
                        b' '..=b'~' => format.push(char::from(*byte)),
                        byte => format.push_str(&format!("\\{byte:03o}")),
                    }
                }
            }
        }
    }
    format!("'{format}'{arguments}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    Single,
    Double,
    /// `$'..'`, which knows escapes.
    Escaping,
}

const fn needs_no_quotes(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '/' | ':' | '@' | '+')
}

fn literal(word: &mut String, open: &mut Option<Quotes>, bytes: &[u8], doubly: bool) {
    let plain = if doubly {
        Quotes::Double
    } else {
        Quotes::Single
    };
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() && letter != '\n' {
                turn(word, open, Some(Quotes::Escaping));
                let mut buffer = [0; 4];
                for byte in letter.encode_utf8(&mut buffer).bytes() {
                    word.push_str(&format!("\\{byte:03o}"));
                }
                continue;
            }
            turn(word, open, Some(plain));
            match letter {
                '\'' if !doubly => word.push_str("'\\''"),
                '"' | '$' | '`' | '\\' if doubly => {
                    word.push('\\');
                    word.push(letter);
                }
                letter => word.push(letter),
            }
        }
        for byte in chunk.invalid() {
            turn(word, open, Some(Quotes::Escaping));
            word.push_str(&format!("\\{byte:03o}"));
        }
    }
}

/// Closes one kind of quotes, and opens another.
fn turn(word: &mut String, open: &mut Option<Quotes>, wanted: Option<Quotes>) {
    if *open == wanted {
        return;
    }
    match open {
        Some(Quotes::Single | Quotes::Escaping) => word.push('\''),
        Some(Quotes::Double) => word.push('"'),
        None => {}
    }
    match wanted {
        Some(Quotes::Single) => word.push('\''),
        Some(Quotes::Double) => word.push('"'),
        Some(Quotes::Escaping) => word.push_str("$'"),
        None => {}
    }
    *open = wanted;
}

/// Whether a shell would take what follows for a part of the variable's name.
fn runs_on(next: Option<&Piece<'_>>) -> bool {
    match next {
        Some(Piece::Bytes([first, ..])) => {
            first.is_ascii_alphanumeric() || matches!(first, b'_' | b'[')
        }
        Some(Piece::Bytes([]) | Piece::Variable(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.add("k-1", "KEY");
        variables.add("k-12", "KEY_2");
        variables
    }

    const TEXTS: &[&[u8]] = &[
        b"plain",
        b"",
        b"it's \"so\" $HOME `id` \\ ! 100% ${KEY} \\${X}",
        br#"{"id":"k-1","other":"k-12","run":"k-1on_k-1_x"}"#,
        b"a\x01b\x7f\xff\xc3\xa9\t'",
        b"k-1\x01x",
        b"two\nlines\r\n of k-1",
        b"$(touch /tmp/never) k-1 $(id)",
        "\u{9b}k-1\u{9b}".as_bytes(),
    ];

    fn printed_by_bash(script: &str) -> Vec<u8> {
        let output = Command::new("bash")
            .args(["-c", script])
            .env("KEY", "k-1")
            .env("KEY_2", "k-12")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}");
        output.stdout
    }

    #[test]
    fn a_shell_reads_what_was_written() {
        let variables = variables();
        for text in TEXTS {
            let pieces = variables.pieces(text);
            let quoted = format!("printf %s {}", word(&pieces));
            assert_eq!(printed_by_bash(&quoted), *text, "{quoted}");
            let formatted = format!("printf {}", printf(&pieces));
            assert_eq!(printed_by_bash(&formatted), *text, "{formatted}");
        }
        let with_nul = b"a\0k-1\0";
        let formatted = format!("printf {}", printf(&variables.pieces(with_nul)));
        assert_eq!(printed_by_bash(&formatted), with_nul);
    }

    #[test]
    fn the_longest_literal_is_the_variable() {
        let variables = variables();
        assert_eq!(
            variables.pieces(b"k-12 k-1"),
            [
                Piece::Variable("KEY_2"),
                Piece::Bytes(b" "),
                Piece::Variable("KEY")
            ]
        );
    }

    #[test]
    fn words_are_quoted_as_a_person_would() {
        let variables = variables();
        for (text, expected) in [
            ("Key: k-1", r#""Key: $KEY""#),
            ("k-1s", r#""${KEY}s""#),
            (r#"{"a":1}"#, r#"'{"a":1}'"#),
        ] {
            assert_eq!(word(&variables.pieces(text.as_bytes())), expected);
        }
    }
}
