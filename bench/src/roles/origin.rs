//! The bare origin: hyper, one thread, nothing behind it. It reads a payment whole, counts it and answers.
//!
//! It is what every proxy forwards to, and the floor that every figure stands on. Its count is the one thing that
//! tells a fast answer from a true one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{EXECUTIONS, RECEIPT};

/// Serves until it is killed.
pub fn run(listen: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(listen))
}

async fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let executions = Arc::new(AtomicU64::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let executions = Arc::clone(&executions);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &executions));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A connection that breaks shows in the driver's own count.
            let _ended = connection.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    executions: &AtomicU64,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == EXECUTIONS {
        let count = executions.load(Ordering::Relaxed);
        return Ok(Response::new(Full::from(count.to_string())));
    }
    if request.into_body().collect().await.is_err() {
        let mut refused = Response::new(Full::default());
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refused);
    }
    executions.fetch_add(1, Ordering::Relaxed);
    let receipt = Response::builder()
        .status(StatusCode::CREATED)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(RECEIPT));
    Ok(receipt.expect("the parts of this answer are constants"))
}
