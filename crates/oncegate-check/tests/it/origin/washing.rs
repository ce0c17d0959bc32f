//! A listener whose connections have control bytes replaced before HTTP is read. The server below refuses such bytes
//! by itself; many servers that are tested do not.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The listener; it washes only if it was told to.
pub(super) struct Washing {
    pub(super) listener: TcpListener,
    pub(super) washes: bool,
}

/// A connection of it.
pub(super) struct Washed {
    stream: TcpStream,
    washes: bool,
}

impl Listener for Washing {
    type Io = Washed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let washes = self.washes;
        (Washed { stream, washes }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Washed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.washes {
            let read = &mut buffer.filled_mut()[before..];
            read.iter_mut()
                .filter(|byte| **byte == 1)
                .for_each(|byte| *byte = b'"');
        }
        polled
    }
}

impl AsyncWrite for Washed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
