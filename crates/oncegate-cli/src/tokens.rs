//! Who verifies the tokens of requests, by the configuration that is in force.
//!
//! It can be exchanged while requests are served: a request is judged by the keys that are there when it comes.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::request::Parts;
use oncegate::claims::VerifiedClaims;
use oncegate_tower::{JwtVerifier, TokenError, TokenVerifier};

use crate::config::Config;

/// The verifier in force; none if no scope is a claim.
#[derive(Debug)]
pub struct Tokens(ArcSwapOption<JwtVerifier>);

impl Tokens {
    /// Those of this configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self(ArcSwapOption::new(verifier(config)))
    }

    /// From now on those of this configuration. Before the routes are exchanged: a route that begins to look for a
    /// claim must find its keys.
    pub fn exchange(&self, config: &Config) {
        self.0.store(verifier(config));
    }
}

impl TokenVerifier for Tokens {
    fn verify(&self, request: &Parts) -> Result<Option<VerifiedClaims>, TokenError> {
        match &*self.0.load() {
            Some(verifier) => verifier.verify(request),
            // Then no claims are handed over, and a scope that looks for one refuses the request.
            None => Ok(None),
        }
    }
}

fn verifier(config: &Config) -> Option<Arc<JwtVerifier>> {
    let keys = config.jwt_keys.clone()?;
    let verifier = JwtVerifier::new(keys)
        .issuers(config.jwt_issuer.clone())
        .audiences(config.jwt_audience.clone())
        .leeway(config.jwt_leeway);
    Some(Arc::new(verifier))
}
