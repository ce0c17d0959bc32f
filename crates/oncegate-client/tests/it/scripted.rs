//! A transport that answers from a script and keeps what was sent. Time is paused: waits cost nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use oncegate_client::transport::{Attempt, BoxFuture};
use oncegate_client::{Answer, Failure, FailureKind, Transport};

/// What an attempt is to bring.
pub(crate) enum Line {
    /// An answer.
    Answer(Answer),
    /// A failure.
    Failure(FailureKind),
}

/// Answers from a script.
#[derive(Clone, Default)]
pub(crate) struct Script {
    lines: Arc<Mutex<VecDeque<Line>>>,
    sent: Arc<Mutex<Vec<Attempt>>>,
}

impl Script {
    pub(crate) fn of(lines: impl IntoIterator<Item = Line>) -> Self {
        let script = Self::default();
        script.follow(lines);
        script
    }

    /// Forgets what was not asked for, and answers from these lines.
    pub(crate) fn follow(&self, lines: impl IntoIterator<Item = Line>) {
        let mut left = self.lines.lock().expect("not poisoned");
        left.clear();
        left.extend(lines);
    }

    /// All attempts so far.
    pub(crate) fn sent(&self) -> Vec<Attempt> {
        self.sent.lock().expect("not poisoned").clone()
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Transport for Script {
    fn send(&self, attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        self.sent.lock().expect("not poisoned").push(attempt);
        let line = self.lines.lock().expect("not poisoned").pop_front();
        Box::pin(async move {
            match line.expect("the script has a line for every attempt") {
                Line::Answer(answer) => Ok(answer),
                Line::Failure(kind) => Err(Failure::new(kind, None::<std::io::Error>)),
            }
        })
    }
}

/// An answer with these headers.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Line {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        })
        .collect();
    let status = StatusCode::from_u16(status).expect("a status");
    Line::Answer(Answer::new(status, headers, Bytes::from(body.to_owned())))
}

/// A refusal as Oncegate makes it.
pub(crate) fn problem(status: u16, executed: &str, next: &str) -> Line {
    answer(
        status,
        &[
            ("content-type", "application/problem+json"),
            ("idempotency-status", "refused"),
        ],
        &format!(r#"{{"type":"x","status":{status},"executed":"{executed}","next":"{next}"}}"#),
    )
}
