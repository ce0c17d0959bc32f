//! What a run finds out about the operation before its first case: the policy that is published beside the API, and,
//! where no dialect is named, the header that carries the key.
//!
//! What the owner of the operation said wins over what was found.

use crate::case::{Key, Send};
use crate::compose::{Keys, compose, get};
use crate::dialect::{AUTO, Dialect};
use crate::operation::Operation;
use crate::policy::{DISCOVERY_PATH, Policy, discovered};
use crate::run::Limits;
use crate::wire::{Leave, Request, Response, exchange};
use crate::witness::{Witness, traits};

/// The operation with what was found out, and how many requests that took.
pub(crate) async fn learn(
    operation: &Operation,
    dialect: &Dialect,
    limits: &Limits,
) -> (Operation, usize) {
    let mut pupil = Pupil {
        operation: operation.clone(),
        dialect,
        limits,
        requests: 0,
    };
    if let Some(policy) = pupil.discovery().await {
        let documented = pupil.operation.documented.take().unwrap_or_default();
        pupil.operation.documented = Some(documented.or(policy));
    }
    let named = pupil.operation.documented.as_ref();
    let is_named = named.is_some_and(|policy| !policy.key_header.is_empty());
    if dialect.name == AUTO.name && !is_named {
        pupil.find_key_header().await;
    }
    (pupil.operation, pupil.requests)
}

struct Pupil<'a> {
    operation: Operation,
    dialect: &'a Dialect,
    limits: &'a Limits,
    requests: usize,
}

impl Pupil<'_> {
    /// What the discovery document says of the operation. One that is wrong is for its case to tell.
    async fn discovery(&mut self) -> Option<Policy> {
        let document = self.ask(&get(&self.operation, DISCOVERY_PATH)).await?;
        let plain = self.operation.plain();
        discovered(&document.body, &plain.method, &plain.target).ok()?
    }

    /// Tries the headers that APIs use, and keeps the first one that makes a retry a replay.
    async fn find_key_header(&mut self) {
        for header in KEY_HEADERS {
            self.take_header(header);
            if self.is_replayed().await {
                return;
            }
        }
        self.take_header(self.dialect.key_header);
    }

    fn take_header(&mut self, header: &str) {
        let documented = self.operation.documented.get_or_insert_default();
        documented.key_header = vec![header.to_owned()];
    }

    /// Two under one key and one under another: is the second the first, and the third not?
    async fn is_replayed(&mut self) -> bool {
        let (one, two) = (Keys::new(), Keys::new());
        let mut sent = Vec::with_capacity(3);
        for keys in [&one, &two, &one] {
            let send = Send::new("learn").key(Key::Plain);
            let Some(request) = compose(&self.operation, self.dialect, keys, &send) else {
                return false;
            };
            let Some(response) = self.ask(&request).await else {
                return false;
            };
            sent.push((request, response));
        }
        let [first, second, again] = sent.as_slice() else {
            return false;
        };
        let executions = [first, second].map(|(request, response)| (request, response));
        let witness = Witness {
            traits: traits(&executions),
            ..Witness::default()
        };
        let identities = [first, again].map(|(_, response)| witness.identity(response));
        matches!(identities, [Some(one), Some(two)] if one.is(&two) == Some(true))
    }

    /// The answer, if it is a success.
    async fn ask(&mut self, request: &Request) -> Option<Response> {
        self.requests += 1;
        let peer = &self.operation.peer;
        let limit = self.limits.answer_timeout;
        let outcome = exchange(peer, request, Leave::Never, limit).await;
        outcome.success()
    }
}

/// Headers that carry keys, the most usual first.
const KEY_HEADERS: &[&str] = &[
    "Idempotency-Key",
    "X-Idempotency-Key",
    "PayPal-Request-Id",
    "Idempotence-Key",
];
