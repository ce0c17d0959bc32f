//! Answers of the proxy, and what a test may say of one.

use serde_json::Value;

use super::wire::Message;

/// An answer that came whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer(pub(crate) Message);

impl Answer {
    pub(crate) fn code(&self) -> u16 {
        self.0.code()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.0.body
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The token of `Idempotency-Status`, without its parameters; empty if there is none.
    pub(crate) fn became(&self) -> &str {
        let status = self.header("idempotency-status").unwrap_or_default();
        status.split(';').next().unwrap_or_default()
    }

    /// The slug of a problem; empty if this is none.
    pub(crate) fn slug(&self) -> String {
        if self.header("content-type") != Some("application/problem+json") {
            return String::new();
        }
        let kind = self.json()["type"].as_str().unwrap_or_default().to_owned();
        kind.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// It ran, just now, and is recorded.
    #[track_caller]
    pub(crate) fn must_be_executed(&self) {
        assert_eq!((self.code(), self.became()), (201, "executed"), "{self:?}");
        assert_eq!(self.header("idempotent-replayed"), None, "{self:?}");
    }

    /// The very same answer once more, byte for byte, and marked.
    #[track_caller]
    pub(crate) fn must_replay(&self, first: &Self) {
        assert_eq!(self.became(), "replayed", "{self:?}");
        assert_eq!(self.header("idempotent-replayed"), Some("true"), "{self:?}");
        assert_eq!(self.code(), first.code());
        assert_eq!(self.body(), first.body());
        for kept in ["content-type", "location", "etag", "x-execution"] {
            assert_eq!(self.header(kept), first.header(kept), "{kept}: {self:?}");
        }
        assert_eq!(self.header("set-cookie"), None, "{self:?}");
    }

    /// A problem of this status and slug, and what it says of the execution and of the next step.
    #[track_caller]
    pub(crate) fn must_be_problem(&self, code: u16, slug: &str, executed: &str, next: &str) {
        assert_eq!(
            (self.code(), self.slug().as_str()),
            (code, slug),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], code, "{self:?}");
        assert_eq!(problem["executed"], executed, "{self:?}");
        assert_eq!(problem["next"], next, "{self:?}");
        let link = self.header("link").unwrap_or_default();
        assert!(
            link.contains(slug) && link.contains("describedby"),
            "{self:?}"
        );
        assert_eq!(self.header("idempotent-replayed"), None, "{self:?}");
    }
}
