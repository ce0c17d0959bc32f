//! `oncegate-client` with its journal against the real `oncegate serve`, over connections that are cut and with
//! processes that are killed: what a client says is held against the origin's own book.

mod cuts;
mod http2;
mod ordeal;
mod payer;
#[cfg(target_os = "linux")]
mod send;
mod verdict;
