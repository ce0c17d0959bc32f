//! HTTP/1.1 as it stands on the wire. A client library would join two header lines, refuse a control byte and finish
//! a request whose caller wants to leave; a tester has to send just these.
//!
//! One connection for each request, closed after it: no case can be led astray by what another left in a connection.

mod chunks;
mod exchange;
mod peer;
mod request;
mod response;
mod tls;

pub use exchange::{Connection, Exchange, Leave, Outcome, exchange};
pub use peer::{Peer, PeerError};
pub use request::{Framing, Request};
pub use response::Response;
pub use tls::{InvalidTrust, Trust};

/// The value of the first line of that name, in any case.
fn first_field<'a>(fields: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
}
