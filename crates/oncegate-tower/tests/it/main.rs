//! The layer as its callers see it: one binary, one module for each topic, each test named after its rule.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod bypass;
#[cfg(test)]
mod concurrency;
mod contract;
#[cfg(test)]
mod costs;
#[cfg(test)]
mod disconnect;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod expiry;
#[cfg(test)]
mod failure;
#[cfg(test)]
mod handler;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod in_axum;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod lease;
#[cfg(test)]
mod load;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod problems;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod scope;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod taken_over;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod wait;
#[cfg(test)]
mod wire;
