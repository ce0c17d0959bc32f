//! One request through the egress: which upstream, with a key or without, and a task that outlives its caller.
//!
//! Promises: once its body is here, an operation goes on whether or not its caller waits; there are never more than
//! `operations_max` at a time, and a body is never held beyond `body_bytes_max`. Methods that are safe pass as they
//! are, streaming, without a key. What web pages send goes nowhere.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Either, Full, LengthLimitError, Limited};
use oncegate::{Problem, ProblemKind};
use oncegate_client::journal::JournaledClient;
use oncegate_tower::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::answer::{self, PLAIN, Whole};
use super::arguments::{Arguments, Named};
use super::guard;
use super::operation::{self, Asked};
use crate::proxy::{Forward, ForwardBody, ForwardSettings, ServerBody, Trust, UpstreamTls};

/// The service behind the port. A clone shares everything.
#[derive(Clone)]
pub(super) struct Egress(Arc<Shared>);

struct Shared {
    routes: Vec<Route>,
    client: JournaledClient,
    places: Arc<Semaphore>,
    body_bytes_max: usize,
    tasks: TaskTracker,
}

/// An upstream, and what passes requests to it that need no key.
struct Route {
    named: Named,
    forward: Forward,
}

type Sent = Response<Either<ForwardBody, Full<Bytes>>>;

impl Egress {
    pub(super) fn new(arguments: &Arguments, client: JournaledClient) -> Self {
        let trust = Trust::of_system();
        let route = |named: &Named| Route {
            forward: Forward::new(
                named.upstream.clone(),
                ForwardSettings {
                    tls: tls(named, trust.as_ref()),
                    ..ForwardSettings::default()
                },
            ),
            named: named.clone(),
        };
        Self(Arc::new(Shared {
            routes: arguments.upstreams.iter().map(route).collect(),
            client,
            places: Arc::new(Semaphore::new(usize::from(arguments.operations_max))),
            body_bytes_max: arguments.body_bytes_max,
            tasks: TaskTracker::new(),
        }))
    }

    /// A task that the drain waits for.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.tasks.spawn(task));
    }

    /// Waits for what is under way; answers how many did not come to their end.
    pub(super) async fn drain(&self, most: Duration) -> usize {
        self.0.tasks.close();
        let _ended_or_not = tokio::time::timeout(most, self.0.tasks.wait()).await;
        for route in &self.0.routes {
            route.forward.tunnels().drain(Duration::ZERO).await;
        }
        self.0.tasks.len()
    }
}

impl Service<Request<ServerBody>> for Egress {
    type Response = Sent;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Sent, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ServerBody>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(shared.answer(request).await) })
    }
}

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<ServerBody>) -> Sent {
        if let Some(why) = guard::refusal(&request) {
            return answer::text(StatusCode::FORBIDDEN, PLAIN, why).map(Either::Right);
        }
        let Some((index, target)) = self.route(request.uri()) else {
            return answer::of_ours(request.uri().path()).map(Either::Right);
        };
        if is_safe(request.method()) {
            return self.pass(index, target, request).await;
        }
        let answered = self.once(index, &target, request).await;
        answered
            .unwrap_or_else(|problem| answer::problem(&problem))
            .map(Either::Right)
    }

    /// `/NAME/PATH`: which upstream, and `/PATH` with its query.
    fn route(&self, uri: &Uri) -> Option<(usize, PathAndQuery)> {
        let whole = uri.path_and_query()?.as_str().strip_prefix('/')?;
        let end = whole.find(['/', '?']).unwrap_or(whole.len());
        let (name, rest) = whole.split_at(end);
        let index = self.routes.iter().position(|it| it.named.name == name)?;
        let rest = if rest.starts_with('/') {
            rest.to_owned()
        } else {
            format!("/{rest}")
        };
        Some((index, rest.parse().ok()?))
    }

    /// Nothing is changed by it: it needs no key.
    async fn pass(
        &self,
        index: usize,
        target: PathAndQuery,
        mut request: Request<ServerBody>,
    ) -> Sent {
        *request.uri_mut() = Uri::from(target);
        let Ok(response) = self.routes[index].forward.clone().call(request).await;
        let Some(failure) = response.extensions().get::<Failure>() else {
            return response.map(Either::Left);
        };
        let problem = match failure {
            Failure::NotSent => Problem::new(ProblemKind::UpstreamUnreachable),
            Failure::TimedOut => Problem::new(ProblemKind::UpstreamOutcomeUnknown)
                .with_status(StatusCode::GATEWAY_TIMEOUT),
            Failure::Broken | _ => Problem::new(ProblemKind::UpstreamOutcomeUnknown),
        };
        answer::problem(&problem).map(Either::Right)
    }

    /// Takes the body in, and hands the operation to a task of its own.
    async fn once(
        self: Arc<Self>,
        index: usize,
        target: &PathAndQuery,
        request: Request<ServerBody>,
    ) -> Result<Whole, Problem> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_full| Problem::new(ProblemKind::Overloaded))?;
        let (head, body) = request.into_parts();
        // Dropped here nothing was sent, and nothing is known of it.
        let body = Limited::new(body, self.body_bytes_max).collect().await;
        let body = body.map_err(|error| {
            let too_large = error.is::<LengthLimitError>();
            Problem::new(if too_large {
                ProblemKind::RequestTooLarge
            } else {
                ProblemKind::RequestIncomplete
            })
        })?;
        let asked = operation::read(
            &self.routes[index].named,
            target.as_str(),
            head,
            body.to_bytes(),
        )?;
        let tasks = self.tasks.clone();
        // Dropped here it goes on.
        let ended = tasks.spawn(self.execute(asked, place)).await;
        // A task that panicked says nothing of what was sent.
        ended.map_err(|_panicked| Problem::new(ProblemKind::UpstreamOutcomeUnknown))
    }

    /// One operation, to its end.
    async fn execute(self: Arc<Self>, asked: Asked, place: OwnedSemaphorePermit) -> Whole {
        let Asked { operation, name } = asked;
        let concluded = match &name {
            Some(name) => self.client.execute_named(name, &operation).await,
            None => self.client.execute(&operation).await,
        };
        drop(place);
        answer::concluded(concluded)
    }
}

fn tls(named: &Named, trust: Option<&Trust>) -> Option<UpstreamTls> {
    let name = named.upstream.server_name()?.clone();
    Some(UpstreamTls::new(name, trust?))
}

const fn is_safe(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    )
}
