//! Taking off a message what must not travel on it.

use http::{HeaderMap, HeaderName};

/// Removes the headers that are `unwanted`. Nearly always none of them is there, and to see that in one walk over the
/// names is cheaper than to look each one up.
pub fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name)).cloned() {
        headers.remove(name);
    }
}
