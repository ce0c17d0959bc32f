//! A client with a journal: writes, sends, writes. Nothing is sent that could not be written.

use futures_util::{StreamExt as _, stream};

use super::error::{JournalError, NotSent};
use super::handle::Journal;
use super::ledger::{Begun, End, Sending, Wanted};
use super::listing::Entry;
use super::name::OperationName;
use super::row::{Happened, Id, State};
use crate::answer::Answer;
use crate::client::Client;
use crate::course::Course;
use crate::operation::Operation;
use crate::outcome::{Last, Outcome};

/// Sends operations that are in its journal. Cloning shares the journal, connections and the rate budget.
#[derive(Clone, Debug)]
pub struct JournaledClient {
    client: Client,
    journal: Journal,
}

/// How an operation ended, and whether the journal knows it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Concluded {
    /// How it ended. This is true, written or not.
    pub outcome: Outcome,
    /// Why it could not be written, if it could not. The operation stays open in the journal: it is asked for again,
    /// under the same key.
    pub unrecorded: Option<JournalError>,
}

/// What became of an operation that was open.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resumed {
    /// What it is, as it stood before; unless that cannot be read.
    pub entry: Option<Entry>,
    /// How it ended, or why it was not sent.
    pub concluded: Result<Concluded, NotSent>,
}

impl Client {
    /// The same client with a journal.
    #[must_use]
    pub const fn journaled(self, journal: Journal) -> JournaledClient {
        JournaledClient {
            client: self,
            journal,
        }
    }
}

impl JournaledClient {
    /// Sends `operation` until its outcome is known, or the policy ends. It is found again by its key and where it
    /// goes: executing it again goes on with it, or answers from the journal.
    ///
    /// # Errors
    /// If this call sent nothing.
    ///
    /// # Cancel safety
    /// A dropped future leaves the operation open in the journal, if it came there. Executing it again, or
    /// [`resume`](Self::resume), goes on with it.
    pub async fn execute(&self, operation: &Operation) -> Result<Concluded, NotSent> {
        self.begin_and_send(None, operation).await
    }

    /// The same for an operation that the caller names. While its outcome is not known the name is sent under one key
    /// alone, whatever key `operation` has; once it happened, the recorded answer is given back and nothing is sent.
    ///
    /// # Errors
    /// If this call sent nothing: among others because the name stands for another request.
    ///
    /// # Cancel safety
    /// As that of [`execute`](Self::execute).
    pub async fn execute_named(
        &self,
        name: &OperationName,
        operation: &Operation,
    ) -> Result<Concluded, NotSent> {
        self.begin_and_send(Some(name.clone()), operation).await
    }

    /// Finishes what is open and nobody else is sending: the same keys, the same bytes. Answers what became of each.
    /// What stays unknown stays open.
    ///
    /// # Errors
    /// If the journal cannot be read at all.
    ///
    /// # Cancel safety
    /// What was not concluded stays open.
    pub async fn resume(&self) -> Result<Vec<Resumed>, JournalError> {
        let open = self.journal.open_rows().await?;
        let resumed = stream::iter(open)
            .map(|id| self.resume_one(id))
            .buffer_unordered(RESUMED_AT_ONCE);
        Ok(resumed.filter_map(std::future::ready).collect().await)
    }

    /// The journal.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    async fn begin_and_send(
        &self,
        name: Option<OperationName>,
        operation: &Operation,
    ) -> Result<Concluded, NotSent> {
        let begun = self.journal.begin(Wanted {
            name,
            operation: operation.clone(),
            dialect: self.client.dialect(),
            retention: self.client.retention(),
            refresh_in_doubt: self.client.policy().refresh_in_doubt,
        });
        // Dropped here it may be in the journal, unsent and open.
        Ok(self.finish(begun.await?).await)
    }

    async fn resume_one(&self, id: Id) -> Option<Resumed> {
        let taken = match self.journal.take_over(id).await {
            Ok(taken) => taken?,
            Err(error) => {
                return Some(Resumed {
                    entry: None,
                    concluded: Err(error.into()),
                });
            }
        };
        let concluded = match taken.begun {
            Ok(begun) => Ok(self.finish(begun).await),
            Err(error) => Err(error),
        };
        Some(Resumed {
            entry: taken.entry,
            concluded,
        })
    }

    async fn finish(&self, begun: Begun) -> Concluded {
        match begun {
            Begun::Known(outcome) => Concluded {
                outcome,
                unrecorded: None,
            },
            Begun::Send(sending) => self.send(*sending).await,
        }
    }

    async fn send(&self, sending: Sending) -> Concluded {
        let policy = self.client.policy().clone();
        let course = match sending.age {
            Some(age) => Course::resumed(policy, age),
            None => Course::new(policy),
        };
        let client = self.client.speaking(sending.dialect, sending.retention);
        // Dropped here it stays open, and may have been sent.
        let outcome = client.run(&sending.operation, course).await;
        // Dropped here it is written all the same, once it is queued.
        let written = self.journal.conclude(sending.hold, end(&outcome)).await;
        let unrecorded = written.err();
        if let Some(error) = &unrecorded {
            tracing::error!(%error, "an outcome could not be written into the journal");
        }
        Concluded {
            outcome,
            unrecorded,
        }
    }
}

/// An outcome as it is written. An unknown one leaves the operation open.
fn end(outcome: &Outcome) -> End {
    let (state, answer) = match outcome {
        Outcome::Yes(yes) => {
            let happened = Happened {
                lost: yes.lost,
                maybe_twice: yes.maybe_twice,
                protection: yes.protection,
            };
            (State::Yes(happened), yes.answer.as_ref())
        }
        Outcome::No(no) => (State::No { advice: no.advice }, answer(&no.last)),
        Outcome::Unknown(unknown) => (State::Open, answer(&unknown.last)),
    };
    End {
        state,
        attempts: outcome.attempts(),
        answer: answer.cloned(),
    }
}

fn answer(last: &Last) -> Option<&Answer> {
    match last {
        Last::Answer(answer) => Some(answer),
        Last::Failure(failure) => failure.head.as_deref(),
    }
}

/// Operations that are resumed at a time.
pub const RESUMED_AT_ONCE: usize = 8;
