//! Taking off a message what must not travel on it.

use http::{HeaderMap, HeaderName};

/// Removes these headers. Nearly always none of them is there, and to see that in one walk over the names is cheaper
/// than to look each one up.
pub fn remove_any(headers: &mut HeaderMap, unwanted: &[HeaderName]) {
    while let Some(name) = headers.keys().find(|name| unwanted.contains(name)).cloned() {
        headers.remove(name);
    }
}
