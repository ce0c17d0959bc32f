//! The client: sends an operation until its outcome is known, or may not be asked for any longer.
//!
//! Cancel safety: a dropped `execute` ends the exchange that is under way and nothing else. The operation is still the
//! caller's, and executing it again sends the same key and bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use oncegate::key::KeyError;
use reqwest::Url;
use tokio::time::Instant;

use crate::answer::{Answer, Failure, FailureKind};
use crate::budget::{Bucket, RetryBudget};
use crate::classify::{Advice, Reading, advertised_retention, read, read_failure};
use crate::course::{Course, Ending, Moment, Step};
use crate::dialect::Dialect;
use crate::operation::{Operation, OperationBuilder, OperationError};
use crate::outcome::{Last, No, Outcome, Unknown, Yes};
use crate::policy::RetryPolicy;
use crate::transport::{Attempt, BoxFuture, HttpTransport, Transport};

/// Sends operations. Cloning shares connections and the rate budget.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<dyn Transport>,
    dialect: Dialect,
    policy: RetryPolicy,
    credentials: Option<Arc<dyn Credentials>>,
    observer: Option<Arc<dyn Observer>>,
    bucket: Arc<Mutex<Bucket>>,
    started: Instant,
    /// The shortest retention that a server said.
    advertised: Arc<Mutex<Option<Duration>>>,
}

/// Gives fresh credentials when the server refuses the old ones.
pub trait Credentials: std::fmt::Debug + Send + Sync + 'static {
    /// The header to send from here on, or `None` if there is none to be had.
    fn refresh(&self) -> BoxFuture<'_, Option<(HeaderName, HeaderValue)>>;
}

/// Is told of every attempt, as it happens.
pub trait Observer: std::fmt::Debug + Send + Sync + 'static {
    /// An attempt begins.
    fn sending(&self, operation: &Operation, attempt: u32);
    /// An attempt ended, and this follows.
    fn judged(&self, operation: &Operation, attempt: u32, last: &Last, step: Step);
}

/// A client that is not whole yet.
#[derive(Debug, Default)]
pub struct ClientBuilder {
    transport: Option<Arc<dyn Transport>>,
    dialect: Dialect,
    policy: RetryPolicy,
    budget: RetryBudget,
    credentials: Option<Arc<dyn Credentials>>,
    observer: Option<Arc<dyn Observer>>,
}

impl Client {
    /// A client with the defaults.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::builder().build()
    }

    /// Where every setting can be chosen.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// An operation with a key as this client's servers want keys.
    ///
    /// # Errors
    /// If the URL cannot be read, or is neither `http:` nor `https:`.
    pub fn operation(&self, method: Method, url: &str) -> Result<OperationBuilder, OperationError> {
        Operation::with(method, url)?.dialect(self.dialect)
    }

    /// How long the server is believed to know a key. An operation that was first sent longer ago is not sent again.
    #[must_use]
    pub fn retention(&self) -> Duration {
        let policy = self.policy.retention;
        let known = policy.unwrap_or_else(|| self.dialect.retention());
        self.advertised().map_or(known, |said| said.min(known))
    }

    /// Sends `operation` until its outcome is known, or the policy ends.
    pub async fn execute(&self, operation: &Operation) -> Outcome {
        self.run(operation, Course::new(self.policy.clone())).await
    }

    /// The same client, to a server of this dialect, which knows keys for so long unless our policy says otherwise.
    #[cfg(feature = "journal")]
    pub(crate) fn speaking(&self, dialect: Dialect, retention: Duration) -> Self {
        let mut client = self.clone();
        client.policy.retention.get_or_insert(retention);
        if dialect != self.dialect {
            // What another server said of its retention is not believed of this one.
            client.advertised = Arc::default();
            client.dialect = dialect;
        }
        client
    }

    /// Whose pattern the server follows.
    #[cfg(any(feature = "journal", feature = "middleware"))]
    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How it tries.
    #[cfg(any(feature = "journal", feature = "middleware"))]
    pub(crate) const fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Goes on with the course of an operation to its end.
    pub(crate) async fn run(&self, operation: &Operation, course: Course) -> Outcome {
        self.run_over(&*self.transport, operation, course).await
    }

    /// The same over another transport.
    pub(crate) async fn run_over(
        &self,
        transport: &dyn Transport,
        operation: &Operation,
        mut course: Course,
    ) -> Outcome {
        if let Err(unfit) = self.dialect.admit(operation.key()) {
            return refused(operation, unfit);
        }
        let begun = Instant::now();
        self.bucket().deposit(self.started.elapsed());
        let mut url = operation.url().clone();
        let mut headers = self.headers(operation);
        if !course.may_send(Duration::ZERO, self.retention()) {
            return forgotten(operation, &course);
        }
        loop {
            let number = course.attempts() + 1;
            self.tell(|observer| observer.sending(operation, number));
            let sent = transport.send(Attempt {
                number,
                method: operation.method().clone(),
                url: url.clone(),
                headers: headers.clone(),
                body: operation.body().clone(),
                timeout: course.attempt_timeout(begun.elapsed()),
            });
            let (last, reading) = self.read(operation, sent.await);
            let target = target(&url, &last);
            let moment = Moment {
                elapsed: begun.elapsed(),
                retention: self.retention(),
                random: fastrand::f64(),
                refreshable: self.credentials.is_some(),
                same_origin: target.is_some(),
            };
            let step = self.afford(course.judge(reading, &moment), &course);
            self.tell(|observer| observer.judged(operation, number, &last, step));
            match step {
                Step::Again { after } => tokio::time::sleep(after).await,
                Step::Refresh => {
                    let left = course.attempt_timeout(begun.elapsed());
                    if !self.refresh(&mut headers, left).await {
                        return ended(operation, course.given_up(), last, course.attempts());
                    }
                }
                Step::Follow => url = target.unwrap_or(url),
                Step::End(ending) => return ended(operation, ending, last, course.attempts()),
            }
        }
    }

    fn read(&self, operation: &Operation, sent: Result<Answer, Failure>) -> (Last, Reading) {
        let key = operation.key();
        match sent {
            Ok(answer) => {
                self.believe(&answer);
                let reading = read(self.dialect, key, &answer);
                (Last::Answer(answer), reading)
            }
            Err(failure) => {
                let reading = read_failure(self.dialect, key, &failure);
                (Last::Failure(failure), reading)
            }
        }
    }

    /// All headers of an attempt, the key among them.
    fn headers(&self, operation: &Operation) -> HeaderMap {
        let mut headers = operation.headers().clone();
        headers.insert(
            self.dialect.key_header(),
            self.dialect.spell(operation.key()),
        );
        headers
    }

    /// A retry that the budget does not have ends the operation.
    fn afford(&self, step: Step, course: &Course) -> Step {
        match step {
            Step::Again { .. } if !self.bucket().withdraw(self.started.elapsed()) => {
                Step::End(course.given_up())
            }
            Step::Again { .. } | Step::Refresh | Step::Follow | Step::End(_) => step,
        }
    }

    /// A server that says that it keeps outcomes for a shorter time than was thought is believed.
    fn believe(&self, answer: &Answer) {
        if let Some(said) = advertised_retention(answer) {
            let mut advertised = self.advertised();
            *advertised = Some(advertised.map_or(said, |before| before.min(said)));
        }
    }

    async fn refresh(&self, headers: &mut HeaderMap, left: Duration) -> bool {
        let Some(credentials) = &self.credentials else {
            return false;
        };
        let fresh = tokio::time::timeout(left, credentials.refresh()).await;
        if let Ok(Some((name, value))) = fresh {
            headers.insert(name, value);
            return true;
        }
        false
    }

    fn tell(&self, what: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = &self.observer {
            what(&**observer);
        }
    }

    fn advertised(&self) -> MutexGuard<'_, Option<Duration>> {
        self.advertised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientBuilder {
    /// Whose pattern the server follows.
    #[must_use]
    pub const fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// How often, how long and how hard to try.
    #[must_use]
    pub fn policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How many retries to add to the operations.
    #[must_use]
    pub const fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Where fresh credentials come from.
    #[must_use]
    pub fn credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Who is told of every attempt.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// What sends attempts, in place of HTTP by the defaults.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// A middleware that sends by the client it is put in. A transport that was set is not used.
    #[cfg(feature = "middleware")]
    #[must_use]
    pub fn build_middleware(self) -> crate::middleware::OneKey {
        let transport = Arc::new(crate::middleware::Elsewhere);
        crate::middleware::OneKey(self.assemble(transport))
    }

    /// The client.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn build(mut self) -> Result<Client, reqwest::Error> {
        let transport = match self.transport.take() {
            Some(transport) => transport,
            None => Arc::new(HttpTransport::new(&self.policy)?),
        };
        Ok(self.assemble(transport))
    }

    fn assemble(self, transport: Arc<dyn Transport>) -> Client {
        Client {
            transport,
            dialect: self.dialect,
            policy: self.policy,
            credentials: self.credentials,
            observer: self.observer,
            bucket: Arc::new(Mutex::new(Bucket::new(self.budget))),
            started: Instant::now(),
            advertised: Arc::default(),
        }
    }
}

/// Where a redirect leads, if it stays at the same origin. The key is never shown to another.
fn target(from: &Url, last: &Last) -> Option<Url> {
    let Last::Answer(answer) = last else {
        return None;
    };
    let location = answer.headers.get(LOCATION)?.to_str().ok()?;
    let target = from.join(location).ok()?;
    (target.origin() == from.origin()).then_some(target)
}

/// The server would not take the key: nothing is sent.
fn refused(operation: &Operation, unfit: KeyError) -> Outcome {
    let last = Last::Failure(Failure::new(FailureKind::KeyUnfit, Some(unfit)));
    let advice = Advice::Rotate;
    ended(operation, Ending::No { advice }, last, 0)
}

/// The server may have forgotten the key: nothing is sent.
fn forgotten(operation: &Operation, course: &Course) -> Outcome {
    let last = Last::Failure(Failure::new(FailureKind::KeyForgotten, None::<KeyError>));
    ended(operation, course.given_up(), last, 0)
}

fn ended(operation: &Operation, ending: Ending, last: Last, attempts: u32) -> Outcome {
    let key = operation.key().clone();
    match ending {
        Ending::Yes {
            replayed,
            lost,
            protection,
            maybe_twice,
        } => Outcome::Yes(Yes {
            key,
            answer: last.answer(),
            replayed,
            lost,
            protection,
            maybe_twice,
            attempts,
        }),
        Ending::No { advice } => Outcome::No(No {
            key,
            advice,
            last,
            attempts,
        }),
        Ending::Unknown => Outcome::Unknown(Unknown {
            key,
            last,
            attempts,
        }),
    }
}
