//! One connection: a request out, an answer in, never two at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::answer::{self, Mark};
use super::request::Request;

pub struct Connection {
    stream: TcpStream,
    request: Request,
    sent: usize,
    inbox: Vec<u8>,
    received: usize,
    /// Since when the answer is owed, if one is.
    due_since: Option<Instant>,
}

impl Connection {
    pub fn open(
        host: SocketAddr,
        request: Request,
        registry: &Registry,
        token: Token,
    ) -> Result<Self> {
        let stream = std::net::TcpStream::connect(host).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            request,
            sent: 0,
            inbox: vec![0; INBOX_BYTES],
            received: 0,
            due_since: None,
        })
    }

    /// Sends the request under the key of this number, if it has one. `due_since` is when it should have gone out.
    pub fn send(&mut self, key: Option<u64>, due_since: Instant) -> Result<()> {
        if let Some(key) = key {
            self.request.set_key(key);
        }
        self.sent = 0;
        self.received = 0;
        self.due_since = Some(due_since);
        self.write()
    }

    /// Goes on after the socket reported something. Says since when the answer that is whole now was owed.
    pub fn advance(&mut self, mark: Mark) -> Result<Option<Instant>> {
        if self.due_since.is_none() {
            return self.still_open().map(|()| None);
        }
        self.write()?;
        loop {
            match self.stream.read(&mut self.inbox[self.received..]) {
                Ok(0) => bail!("the connection was closed before the answer"),
                Ok(read) => self.received += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error).context("cannot read an answer"),
            }
            if answer::read(&self.inbox[..self.received], mark)?.is_some() {
                return Ok(self.due_since.take());
            }
        }
    }

    fn write(&mut self) -> Result<()> {
        while self.sent < self.request.bytes().len() {
            match self.stream.write(&self.request.bytes()[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("cannot write a request"),
            }
        }
        Ok(())
    }

    /// Nothing is owed: the only news there can be is that the connection was closed.
    fn still_open(&mut self) -> Result<()> {
        match self.stream.read(&mut self.inbox) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error).context("an idle connection broke"),
            Ok(0) => bail!("an idle connection was closed"),
            Ok(_) => bail!("an answer that nobody asked for"),
        }
    }
}

/// Answers are small; one that does not fit shows as a closed connection.
const INBOX_BYTES: usize = 8 * 1024;
