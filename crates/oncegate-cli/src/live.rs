//! The routes of the moment, which a reload exchanges.
//!
//! Promises: a request gets the policy that is in force when it is looked up, and whoever holds a policy keeps it:
//! an execution ends under the one that it began with.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::request::Parts;
use oncegate::Policy;
use oncegate_tower::Policies;

use crate::routes::Routes;

/// Routes that can be exchanged while they are used.
pub struct LiveRoutes(ArcSwap<Routes>);

impl LiveRoutes {
    /// Starts with these.
    #[must_use]
    pub fn new(routes: Arc<Routes>) -> Self {
        Self(ArcSwap::new(routes))
    }

    /// Those that are in force now.
    #[must_use]
    pub fn now(&self) -> Arc<Routes> {
        self.0.load_full()
    }

    /// These are in force from now on.
    pub fn exchange(&self, routes: Arc<Routes>) {
        self.0.store(routes);
    }
}

impl Policies for LiveRoutes {
    fn find(&self, request: &Parts) -> Option<Arc<Policy>> {
        self.0.load().find(request)
    }
}

impl fmt::Debug for LiveRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveRoutes").field(&self.now()).finish()
    }
}
