//! What a case is: data that says what is sent, what must follow, and why anybody should care.

/// One promise that an idempotent API keeps, and how it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name in reports and on command lines.
    pub id: &'static str,
    /// What must hold, as a sentence.
    pub title: &'static str,
    /// The rules of Oncegate's contract that it looks at.
    pub rules: &'static [&'static str],
    /// What it costs when it does not hold.
    pub severity: Severity,
    /// What has to be known of the operation to try it.
    pub needs: &'static [Need],
    /// What is done, in order.
    pub steps: &'static [Step],
    /// What must hold then, all of it.
    pub expect: &'static [Expect],
    /// Why it matters to the API's users.
    pub why: &'static str,
    /// What the API's team should do about it.
    pub fix: &'static str,
}

/// What a broken promise costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something runs twice, or not at all, or somebody gets another's answer.
    Money,
    /// A client that follows the documented contract goes wrong.
    Contract,
    /// It works, and could be told better.
    Advice,
}

/// What a case needs to know beside the plain operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The credentials of a second principal.
    SecondPrincipal,
    /// Header lines that say who the principal is.
    Credential,
    /// A body that can be changed and stays valid.
    Body,
    /// A JSON object as the body.
    JsonObject,
    /// A form of the operation.
    Variant(Variant),
    /// A command that restarts the server.
    Chaos,
    /// The operation refuses requests without a key.
    KeyRequired,
    /// The operation takes requests without a key.
    KeyOptional,
    /// The dialect says something about it.
    Promise(Promise),
    /// The API's own documents say something about it.
    Documented(Documented),
}

/// What one dialect promises and another leaves open. Money has no dialect: these are about how it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Keys are structured-field strings: quotes and parameters are no part of them.
    StructuredKeys,
    /// Keys up to a length are taken.
    KeyLength,
    /// A refusal for this reason has a status of its own.
    Status(Refusal),
    /// Refusals are RFC 9457 problem documents.
    Problems,
    /// Each answer says in `Idempotency-Status` what became of the request, and refusals say `executed` and `next`.
    Advice,
    /// Answers repeat the key.
    Echo,
    /// JSON documents are compared by what they mean.
    JsonByValue,
    /// Whether the key of such a failure is kept.
    Fate(Failure),
}

/// What the documents of an API may say about its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Documented {
    /// That requests without a key are taken.
    KeyOptional,
    /// How long a key may be.
    KeyLength,
    /// The status of a mismatch.
    Mismatch,
    /// The status of a duplicate in flight.
    InFlight,
    /// Whether a server error is kept.
    ServerError,
}

/// A way in which the operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// The credentials are none: 401 or 403.
    Unauthorized,
    /// The request is refused for what it says: any other 4xx but 429.
    Client,
    /// There were too many: 429.
    RateLimited,
    /// The server failed: 5xx.
    Server,
}

/// Another form of the operation under test, which its owner has to tell us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// The operation itself.
    Plain,
    /// It takes long enough for a duplicate to arrive: half a second or more.
    Slow,
    /// It is refused for what it says, by a 4xx.
    ClientError,
    /// It fails by a 5xx.
    ServerError,
    /// It is refused by a 429.
    RateLimited,
    /// It sets a cookie.
    Cookie,
    /// Its answer is not text.
    Binary,
    /// Its answer has no body.
    Empty,
    /// Its answer comes in chunks.
    Chunked,
    /// Its answer is large.
    Large,
}

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request, whose answer is awaited (or not: see [`Send::leave`]).
    Send(Send),
    /// The same request many times at once.
    Burst(Send),
    /// A request that goes on beside the next steps; they begin when it should be under way.
    Start(Send),
    /// The end of what was started is awaited.
    Join,
    /// The request again and again, until its answer is not that the first is still in flight; the last answer counts.
    Settle(Send),
    /// So long that a clock that counts in seconds has moved on.
    Pause,
    /// So long that nothing whose caller left is still running.
    Quiet,
    /// The server is killed and started again.
    Chaos,
}

/// A request of a case: the plain operation, but for what is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// The name under which expectations speak of it.
    pub label: &'static str,
    /// The key, and how it is written.
    pub key: Key,
    /// Who sends it.
    pub who: Who,
    /// Which form of the operation.
    pub variant: Variant,
    /// What differs from that form.
    pub change: Change,
    /// Where the caller goes away.
    pub leave: crate::wire::Leave,
}

/// The key of a request. All requests of a case mean the same key, but for [`Key::Another`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// As the dialect writes it.
    Plain,
    /// A structured-field string: in quotes.
    Quoted,
    /// Without quotes.
    Bare,
    /// In quotes, with a parameter behind it.
    WithParameter,
    /// Small letters that are no UUID.
    Letters,
    /// The same letters as capitals: another key.
    Capitals,
    /// Another key.
    Another,
    /// None at all.
    Absent,
    /// Only in the trailers of a chunked body.
    InTrailer,
    /// A line without a value.
    Empty,
    /// On two lines, both times the same.
    OnTwoLines,
    /// Two keys on one line.
    List,
    /// A quote that is never closed.
    Unbalanced,
    /// With a control byte in it.
    Control,
    /// With a byte that is not ASCII.
    NotAscii,
    /// Just as long as is permitted.
    Longest,
    /// Of that length; the end differs for each variant of the second number.
    OfLength(u8, u8),
    /// Longer than is permitted; the end differs for each variant of the number.
    TooLong(u8),
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The principal of the operation.
    First,
    /// Another one.
    Second,
    /// Nobody: without the lines that say who it is.
    Nobody,
}

/// What differs from the operation as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// Another body, as valid.
    Body,
    /// Two mebibytes of blanks before the body.
    Padded,
    /// Two mebibytes of blanks before another body.
    PaddedBody,
    /// The same JSON, members in another order, blanks between them.
    Reordered,
    /// The same body in chunks.
    Chunked,
    /// Another query.
    Query,
    /// Another path below it.
    Path,
    /// The same path in another spelling.
    Spelling,
    /// Another method.
    Method(&'static str),
    /// A `GET` of the document that publishes the policy.
    Discovery,
}

/// What must hold after the steps. Labels name requests.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// It did what was asked: 2xx. Without this nothing else of the case can be told.
    Succeeds(&'static str),
    /// If it is refused, nothing in the refusal tells that answer from others.
    RevealsNothingOf(&'static str, &'static str),
    /// Its answer is what that form promises. Without this nothing else of the case can be told.
    Kind(&'static str, Variant),
    /// It was sent while the other was running. If not, the case is tried again.
    During(&'static str, &'static str),
    /// Its caller heard no answer. If it did, the case is tried again.
    Unheard(&'static str),
    /// It was refused for this reason. If it was held instead, nothing else of the case can be told.
    WasRefused(&'static str, Refusal),
    /// It gets the outcome: a success, where the key's first request may have run before.
    Heard(&'static str),
    /// It gets the outcome, or is told that nobody knows it.
    Told(&'static str),
    /// All requests of the case together had just so many effects.
    Effects(u32),
    /// They had at most so many.
    EffectsAtMost(u32),
    /// The second answer is the first, in this part.
    Same(&'static str, &'static str, Part),
    /// All successes of a burst are one answer.
    AllSame(&'static str),
    /// Those that did not succeed were told that the first is in flight.
    OthersInFlight(&'static str),
    /// It is marked as a replay, in the dialect's way.
    Marked(&'static str),
    /// It is not.
    Unmarked(&'static str),
    /// It is refused for this reason, in the dialect's way.
    Refused(&'static str, Refusal),
    /// It was refused, or it is a replay of the other: it did not run by itself.
    RefusedOrSame(&'static str, &'static str),
    /// It got no answer that is the other's.
    NotTheAnswerOf(&'static str, &'static str),
    /// Its body is not the body of the other.
    Unlike(&'static str, &'static str),
    /// It was answered while the first request was still running, or waited for it and got its answer.
    InFlight(&'static str, &'static str),
    /// If it was refused as in flight, it says when to come back.
    RetryAfter(&'static str),
    /// If it was refused, the refusal is a problem document.
    Problem(&'static str),
    /// Its answer has no line of that name.
    Without(&'static str, &'static str),
    /// The second answer repeats no line that was for the connection of the first alone.
    NoHopByHop(&'static str, &'static str),
    /// The second answer, a second later or more, does not have the `Date` of the first.
    FreshDate(&'static str, &'static str),
    /// It was not answered with a server error.
    NoServerError(&'static str),
    /// It failed in this way. Without this nothing else of the case can be told.
    Fails(&'static str, Failure),
    /// It did what was asked, as it must.
    Accepted(&'static str),
    /// It is not told that the first is in flight.
    NotInFlight(&'static str),
    /// The key of the first, which failed so, is kept or free, as the dialect says: the other, under the same key,
    /// shows it.
    Fate(&'static str, &'static str, Failure),
    /// The same, as the API documents it.
    DocumentedFate(&'static str, &'static str),
    /// It is refused for this reason, with the status that the API documents.
    AsDocumented(&'static str, Refusal),
    /// Its answer repeats the key as it was sent.
    Echoed(&'static str),
    /// `Idempotency-Status` says so.
    Status(&'static str, &'static str),
    /// The refusal says whether something ran, and what to do next.
    Advice(&'static str, Advice),
    /// It is a valid document of the policy, and speaks of the operation; an answer under a key, and the answer to its
    /// retry, are what it says.
    Discovery(&'static str, &'static str, &'static str),
}

/// A part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The status code.
    Status,
    /// The body's bytes.
    Body,
    /// About as many bytes: a tenth more or less. For two executions, whose ids differ in length.
    Length,
    /// What describes the body: `Content-Type`, `ETag` and their like.
    Fields,
    /// `Location` alone.
    Location,
}

/// Why an API refuses a request with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The same key came with another request.
    Mismatch,
    /// The first request is still running.
    InFlight,
    /// A key is needed.
    Missing,
    /// The key is none.
    Malformed,
}

/// What a refusal tells a program: the members `executed` and `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Whether the operation ran.
    pub executed: &'static str,
    /// What to do now.
    pub next: &'static str,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 3] = [Self::Money, Self::Contract, Self::Advice];

    /// Its name in reports and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Contract => "contract",
            Self::Advice => "advice",
        }
    }

    /// What a broken promise of it does, in two words.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Money => "Loses money",
            Self::Contract => "Breaks the contract",
            Self::Advice => "Could be told better",
        }
    }
}

impl Send {
    /// The plain operation with the case's key, sent to its end.
    #[must_use]
    pub const fn new(label: &'static str) -> Self {
        Self {
            label,
            key: Key::Plain,
            who: Who::First,
            variant: Variant::Plain,
            change: Change::None,
            leave: crate::wire::Leave::Never,
        }
    }

    /// With this key.
    #[must_use]
    pub const fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// By nobody: without the lines that say who it is.
    #[must_use]
    pub const fn by_nobody(mut self) -> Self {
        self.who = Who::Nobody;
        self
    }

    /// In this form.
    #[must_use]
    pub const fn variant(mut self, variant: Variant) -> Self {
        self.variant = variant;
        self
    }

    /// With this difference.
    #[must_use]
    pub const fn change(mut self, change: Change) -> Self {
        self.change = change;
        self
    }

    /// By the second principal.
    #[must_use]
    pub const fn by_another(mut self) -> Self {
        self.who = Who::Second;
        self
    }

    /// The caller goes away there.
    #[must_use]
    pub const fn leave(mut self, leave: crate::wire::Leave) -> Self {
        self.leave = leave;
        self
    }
}
