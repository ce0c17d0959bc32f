//! The contract in plain words, for those who write clients of the API.
//!
//! The template escapes all that is put into it. The page runs nothing and asks for nothing: a policy in its header and
//! in itself forbids both. What is put into a command line is of characters that mean nothing to a shell.

use std::fmt::Write as _;

use askama::Template;
use oncegate::contract::show_range;
use oncegate::key::{KeyFormat, KeySyntax};
use oncegate::policy::KeyUse;
use oncegate::scope::Anonymous;

use super::document::{Document, Keyed, Published, Refusal};

/// Stands in the page for the server as the reader sees it.
const SERVER: &str = "{server}";

/// The page, but for the server's own name.
#[derive(Clone, Debug)]
pub(super) struct Page(String);

#[derive(Template)]
#[template(path = "discovery.html")]
struct Markup<'a> {
    document: &'a Document,
}

impl Page {
    /// The page that says what `document` says.
    pub(super) fn of(document: &Document) -> Self {
        let markup = Markup { document }.render();
        Self(markup.expect("a string takes all that is written to it"))
    }

    /// The page as it is read at `server`: scheme and authority, if the authority is one.
    pub(super) fn at(&self, scheme: &str, authority: &str) -> String {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        let server = if authority.is_empty() || !authority.bytes().all(is_plain) {
            "https://api.example".to_owned()
        } else {
            format!("{scheme}://{authority}")
        };
        self.0.replace(SERVER, &server)
    }
}

impl Markup<'_> {
    /// Where a link within the page leads.
    fn anchor(index: &usize) -> String {
        format!("route-{index}")
    }

    fn title(&self, refusal: &Refusal) -> &'static str {
        self.document.problems[refusal.problem].title
    }

    fn detail(&self, refusal: &Refusal) -> &'static str {
        self.document.problems[refusal.problem].detail
    }

    /// Whether there is more to say of `Retry-After` than the advice has said already.
    fn says_when(&self, refusal: &Refusal) -> bool {
        refusal.retry_after && !self.detail(refusal).contains("Retry-After")
    }

    fn link(&self, refusal: &Refusal) -> &str {
        &self.document.problems[refusal.problem].link
    }
}

impl Published {
    fn is_required(&self) -> bool {
        self.key == KeyUse::Required
    }

    /// The route of everything that no other route is for.
    fn is_the_rest(&self) -> bool {
        self.parts().1 == "/{*rest}"
    }

    /// Two commands for a shell: one makes a key, the other sends a request with it.
    fn try_it(&self, keyed: &Keyed) -> String {
        let (methods, path) = self.parts();
        let method = methods.split(',').next().unwrap_or_default();
        let mut command = format!("KEY={}\n", keyed.new_key());
        let header = keyed.key_header.first().map_or("", String::as_str);
        let key = match keyed.key_syntax {
            KeySyntax::Lenient => "$KEY",
            KeySyntax::Strict => "\\\"$KEY\\\"",
        };
        let path = url_path(path);
        let mut line = |text: &str| write!(command, "{text}").expect("a string takes all");
        line(&format!("curl -i -X {method} '{SERVER}{path}' \\\n"));
        if let Some(credential) = keyed.credential() {
            line(&format!("  {credential} \\\n"));
        }
        line(&format!("  -H \"{header}: {key}\""));
        if method != "DELETE" {
            line(" \\\n  -H 'Content-Type: application/json' -d '{}'");
        }
        command
    }
}

impl Keyed {
    fn other_headers(&self) -> &[String] {
        self.key_header.get(1..).unwrap_or_default()
    }

    /// What makes a key of the wanted format, as a shell runs it.
    fn new_key(&self) -> String {
        let bare = self.key_example.trim_matches('"');
        match self.key_format {
            KeyFormat::Any if self.key_length_max < 36 => bare.to_owned(),
            KeyFormat::Any | KeyFormat::Uuid | KeyFormat::Uuid4 => "$(uuidgen)".to_owned(),
            // There is no command for these everywhere.
            KeyFormat::Uuid7 | KeyFormat::Ulid | _ => format!("{bare}  # make one of your own"),
        }
    }

    fn format_in_words(&self) -> &'static str {
        match self.key_format {
            KeyFormat::Any => "any text",
            KeyFormat::Uuid => "a UUID",
            KeyFormat::Uuid4 => "a random UUID (version 4)",
            KeyFormat::Uuid7 => "a time-ordered UUID (version 7)",
            KeyFormat::Ulid => "a ULID",
            _ => "a text of the format that the document names",
        }
    }

    fn is_strict(&self) -> bool {
        self.key_syntax == KeySyntax::Strict
    }

    fn needs_credential(&self) -> bool {
        self.anonymous == Anonymous::Refuse
    }

    fn leaves_tombstones(&self) -> bool {
        self.tombstones != "0s"
    }

    /// The first header or cookie that says whose key it is, for `curl`.
    fn credential(&self) -> Option<String> {
        let (kind, name) = self.scope.first()?.split_once(':')?;
        Some(match kind {
            "cookie" => format!("-H 'Cookie: {name}=YOURS'"),
            "jwt" => "-H 'Authorization: Bearer YOUR_TOKEN'".to_owned(),
            _ if name.eq_ignore_ascii_case("authorization") => {
                "-H 'Authorization: Bearer YOURS'".to_owned()
            }
            _ => format!("-H '{name}: YOURS'"),
        })
    }

    /// Whom a key belongs to.
    fn owners(&self) -> String {
        let owner = |source: &String| match source.split_once(':') {
            Some(("cookie", name)) => format!("the cookie {name}"),
            Some(("jwt", claim)) => format!("the claim {claim} of the token in Authorization"),
            Some((_, name)) => format!("the header {name}"),
            None => source.clone(),
        };
        let owners: Vec<String> = self.scope.iter().map(owner).collect();
        owners.join(" and ")
    }

    fn kept(&self) -> String {
        listed(&self.outcomes.kept)
    }

    fn released(&self) -> String {
        listed(&self.outcomes.released)
    }

    fn unknown(&self) -> String {
        listed(&self.outcomes.unknown)
    }
}

fn listed(ranges: &[std::ops::RangeInclusive<u16>]) -> String {
    let shown: Vec<String> = ranges.iter().map(show_range).collect();
    shown.join(", ")
}

/// The pattern as a path: names in capitals where a value belongs, all else as it goes into a URL.
fn url_path(pattern: &str) -> String {
    let segment = |segment: &str| {
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let text = name.map_or_else(
            || segment.to_owned(),
            |name| name.trim_start_matches('*').to_ascii_uppercase(),
        );
        text.bytes().fold(String::new(), |mut url, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                url.push(char::from(byte));
            } else {
                write!(url, "%{byte:02X}").expect("a string takes all");
            }
            url
        })
    };
    let segments: Vec<String> = pattern.split('/').map(segment).collect();
    segments.join("/")
}
