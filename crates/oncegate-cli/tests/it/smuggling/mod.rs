//! Requests that two parsers could read in two ways: each is refused, or reaches the origin once, in one framing.
//!
//! Clients are raw sockets. The origin writes down every byte that reaches it and reads it as strictly as can be: a
//! head that frames its body twice, or by anything but one plain length or one `chunked`, is a fault of ours. What a
//! test counts is the origin's list of whole requests, and a request of its own at the end is the barrier behind
//! which nothing can be outstanding.

mod http1;
mod http2;
mod lasting;
mod recorder;
