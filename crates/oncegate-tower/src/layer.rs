//! The layer, and where it finds the policy of a request.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use oncegate::Policy;
use tower_layer::Layer;

use crate::gate::Gate;
use crate::service::OncegateService;

/// Finds the policy for a request; `None` lets it pass untouched.
pub trait Policies: fmt::Debug + Send + Sync + 'static {
    /// The policy for this request. An execution keeps what it was given.
    fn find(&self, request: &Parts) -> Option<Arc<Policy>>;
}

/// One policy for all.
impl Policies for Arc<Policy> {
    fn find(&self, _request: &Parts) -> Option<Arc<Policy>> {
        Some(Self::clone(self))
    }
}

/// Gives the services that it wraps idempotency keys. Made by [`Oncegate::layer`](crate::Oncegate::layer).
#[derive(Clone, Debug)]
pub struct OncegateLayer {
    gate: Gate,
    policies: Arc<dyn Policies>,
}

impl OncegateLayer {
    pub(crate) fn new(gate: Gate, policies: Arc<dyn Policies>) -> Self {
        Self { gate, policies }
    }
}

impl<S> Layer<S> for OncegateLayer {
    type Service = OncegateService<S>;

    fn layer(&self, inner: S) -> OncegateService<S> {
        OncegateService::new(inner, self.gate.clone(), Arc::clone(&self.policies))
    }
}
