//! The transport half of the reverse proxy: bytes in, bytes out, and the truth about what was sent.
//!
//! ```text
//!   client -> serve -> (the layer, elsewhere) -> Forward -> Pool -> upstream
//! ```
//!
//! * [`serve`] takes connections, keeps the limits on them and drains them at shutdown.
//! * [`Forward`] is the service that the layer wraps. A request with [`Keyed`](oncegate_tower::Keyed) among its
//!   extensions runs under a claim. An answer with a [`Failure`](oncegate_tower::Failure) among its extensions is a
//!   placeholder for no answer, and the failure is only ever `NotSent` if that is proven.
//! * [`Upstream`] is the address, parsed.
//!
//! Deliberately not here: keys, records, problem answers, balancing, retries after a byte was sent.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use oncegate_cli::proxy::{Forward, ForwardSettings, ServerSettings, serve};
//!
//! let forward = Forward::new("http://127.0.0.1:3000".parse()?, ForwardSettings::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let stop = async { drop(tokio::signal::ctrl_c().await) };
//! let settings = ServerSettings::default();
//! let drained = serve(listener, forward.clone(), settings.clone(), stop).await;
//! let cut = forward.tunnels().drain(settings.drain_timeout).await;
//! println!("{drained:?}, {cut} tunnels cut");
//! # Ok(())
//! # }
//! ```

mod activity;
mod answer;
mod body;
mod forward;
mod headers;
mod http1;
mod http2;
mod pool;
mod recast;
mod server;
mod server_body;
mod shape;
mod tls;
mod transport;
mod tunnel;
mod upstream;

pub use answer::BoxError;
pub use body::{ForwardBody, ForwardBodyError};
pub use forward::{Forward, ForwardFuture, ForwardSettings};
pub(crate) use headers::remove_hop_by_hop;
pub use headers::{Forwarded, PeerAddr};
pub use pool::PoolSettings;
pub use server::{Drained, ServerSettings, serve};
pub use server_body::{ServerBody, ServerBodyError};
pub use tls::{
    Identity, InvalidIdentity, InvalidPem, ServerTls, Trust, UpstreamTls, certificates, private_key,
};
pub use tunnel::Tunnels;
pub use upstream::{InvalidUpstream, Protocol, Scheme, Upstream};
