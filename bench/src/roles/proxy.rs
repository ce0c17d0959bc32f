//! The bare hyper proxy: hyper's server and client with a small pool between them, bodies streaming, and nothing else.
//!
//! No idempotency, no limits, no timeouts: what two hops over hyper cost, so that what Oncegate adds can be told from
//! what HTTP costs. It runs on the same runtime as Oncegate does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Serves until it is killed.
pub fn run(listen: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(listen, Upstream::new(upstream)))
}

async fn serve(listen: SocketAddr, upstream: Upstream) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let upstream = Arc::new(upstream);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move {
            let service = service_fn(|request| upstream.forward(request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A connection that breaks shows in the driver's own count.
            let _ended = connection.await;
        });
    }
}

/// The origin, and the connections to it that nobody uses.
struct Upstream {
    address: SocketAddr,
    idle: Mutex<Vec<SendRequest<Incoming>>>,
}

impl Upstream {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Mutex::default(),
        }
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
        let host = self.address.to_string().parse()?;
        request.headers_mut().insert(HOST, host);
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let response = connection.send_request(request).await?;
        // Its body may still be on the way: whoever takes the connection asks whether it is ready.
        self.idle().push(connection);
        Ok(response)
    }

    /// The connection used last that is ready for a request.
    fn take(&self) -> Option<SendRequest<Incoming>> {
        let mut idle = self.idle();
        let ready = idle.iter().rposition(SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    async fn connect(&self) -> Result<SendRequest<Incoming>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // A connection that breaks fails the request that is on it.
            let _ended = connection.await;
        });
        Ok(sender)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Incoming>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
