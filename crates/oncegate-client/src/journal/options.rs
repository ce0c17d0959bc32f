//! What can be chosen about a journal.

use std::sync::Arc;
use std::time::Duration;

use oncegate::clock::Clock;

/// How a journal behaves. Start from the default and change what matters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JournalOptions {
    /// How long a decided operation is kept, and with it the promise that its name is not sent anew.
    pub decided_kept: Duration,
    /// Whether an open operation's credentials are kept with it. Without them, whoever resumes it has to bring them.
    pub credentials_kept: bool,
    /// Whether a name or key, asked for with other credentials, counts as another request: where several callers share a
    /// journal, none is given what another was answered. Credentials that were renewed are others, too. To be resumed
    /// such operations need `credentials_kept`.
    pub credentials_compared: bool,
    /// The largest body of an operation that is taken, unless it is in a file: that is named, and not copied.
    pub request_bytes_max: u64,
    /// The largest body of an answer that is kept. Of a larger one the outcome is kept, and not the body.
    pub answer_bytes_max: usize,
    /// How large the file may grow. Beyond it operations are refused; nothing undecided is ever thrown away.
    pub bytes_max: u64,
    /// How long to wait while another process writes.
    pub busy_timeout: Duration,
    /// Where the time comes from; `None`: the machine's clock, never below the highest time in the journal.
    pub clock: Option<Arc<dyn Clock>>,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            decided_kept: DAY * 90,
            credentials_kept: true,
            credentials_compared: false,
            request_bytes_max: 64 * 1024 * 1024,
            answer_bytes_max: 1024 * 1024,
            bytes_max: 1024 * 1024 * 1024,
            busy_timeout: Duration::from_secs(10),
            clock: None,
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
