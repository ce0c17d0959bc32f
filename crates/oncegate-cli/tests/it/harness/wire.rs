//! HTTP/1.1 as bytes: one side of a connection, and the messages that are read off it.
//!
//! A message is whole or it is an error; nothing in between is ever taken for an answer.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One side of a connection.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

/// A message that came whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::new(TcpStream::connect(address).await?))
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// A whole request, or nothing if the other side closed instead.
    pub(crate) async fn read_request(&mut self) -> io::Result<Option<Message>> {
        if self.unread.is_empty() && !self.read_more().await? {
            return Ok(None);
        }
        let mut message = self.read_head().await?;
        let length = if message.is_chunked() {
            Length::Chunked
        } else {
            Length::Known(message.content_length().unwrap_or(0))
        };
        message.body = self.read_body(length).await?;
        Ok(Some(message))
    }

    /// A whole answer; 1xx are passed over, but for 101.
    pub(crate) async fn read_answer(&mut self) -> io::Result<Message> {
        let mut message = self.read_head().await?;
        while matches!(message.code(), 100 | 102 | 103) {
            message = self.read_head().await?;
        }
        let length = if matches!(message.code(), 101 | 204 | 304) {
            Length::Known(0)
        } else if message.is_chunked() {
            Length::Chunked
        } else {
            message
                .content_length()
                .map_or(Length::UntilClose, Length::Known)
        };
        message.body = self.read_body(length).await?;
        Ok(message)
    }

    pub(crate) async fn read_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.must_read_more().await?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Everything until the other side closes.
    pub(crate) async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.read_more().await? {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// Closes with a reset instead of an end.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    async fn read_head(&mut self) -> io::Result<Message> {
        let mut lines = Vec::new();
        loop {
            let line = self.read_line().await?;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut lines = lines.into_iter();
        let start = lines.next().ok_or(io::ErrorKind::InvalidData)?;
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
                Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<io::Result<_>>()?;
        Ok(Message {
            start,
            headers,
            body: Vec::new(),
        })
    }

    async fn read_body(&mut self, length: Length) -> io::Result<Vec<u8>> {
        match length {
            Length::Known(length) => self.read_exact(length).await,
            Length::UntilClose => self.read_to_end().await,
            Length::Chunked => {
                let mut body = Vec::new();
                loop {
                    let line = self.read_line().await?;
                    let size = usize::from_str_radix(&line, 16)
                        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                    if size == 0 {
                        break;
                    }
                    body.extend(self.read_exact(size).await?);
                    self.read_line().await?;
                }
                while !self.read_line().await?.is_empty() {}
                Ok(body)
            }
        }
    }

    async fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).take(end).collect();
                return String::from_utf8(line)
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
            }
            self.must_read_more().await?;
        }
    }

    async fn must_read_more(&mut self) -> io::Result<()> {
        if self.read_more().await? {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    async fn read_more(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }
}

impl Message {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The status of an answer; 0 if the line has none.
    pub(crate) fn code(&self) -> u16 {
        let code = self.start.split(' ').nth(1);
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    fn content_length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }
}
