//! Why a value cannot be used, and which word was probably meant.
//!
//! A refusal does not know where the value stood: whoever reads the setting adds that.

/// Why one value is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    why: String,
    hints: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// Nobody can use it: the help says what can be.
    Wrong,
    /// It is planned: an example of something else would miss the point.
    NotYet,
}

impl Refusal {
    /// The value is wrong.
    pub(super) fn new(why: &str) -> Self {
        Self {
            why: why.to_owned(),
            hints: Vec::new(),
            kind: Kind::Wrong,
        }
    }

    /// The value is right, and this version cannot serve it.
    pub(super) fn not_yet(what: &str) -> Self {
        let why = format!("{what} is not supported yet");
        Self {
            why,
            hints: Vec::new(),
            kind: Kind::NotYet,
        }
    }

    /// Adds what would help, if it is anything.
    pub(super) fn hint(mut self, hint: &str) -> Self {
        if !hint.is_empty() {
            self.hints.push(hint.to_owned());
        }
        self
    }

    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    pub(super) fn hints(&self) -> impl Iterator<Item = &str> {
        self.hints.iter().map(String::as_str)
    }

    /// Whether it helps to say what the setting takes.
    pub(super) fn wants_example(&self) -> bool {
        self.kind == Kind::Wrong
    }
}

/// "did you mean ...?", or nothing if no known word is near.
pub(crate) fn did_you_mean<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> String {
    nearest(word, known)
        .map(|name| format!("did you mean `{name}`?"))
        .unwrap_or_default()
}

/// The known word that a person most probably meant.
pub(super) fn nearest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Upper and lower case, `-` and `_` are not what people mean by another name.
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let distance = |name: &str| strsim::damerau_levenshtein(&word, &plain(name));
    known
        .map(|name| (distance(name), name))
        .filter(|(distance, _)| *distance <= 1 + word.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name_and_another_word_finds_none() {
        let known = || {
            [
                "retention",
                "lease",
                "key",
                "key_header",
                "unknown_retention",
            ]
            .into_iter()
        };
        let table = [
            ("retentoin", Some("retention")),
            ("leese", Some("lease")),
            ("Key-Header", Some("key_header")),
            ("keys", Some("key")),
            ("ttl", None),
            ("timeout", None),
        ];
        for (word, expected) in table {
            assert_eq!(nearest(word, known()), expected, "{word}");
        }
    }
}
