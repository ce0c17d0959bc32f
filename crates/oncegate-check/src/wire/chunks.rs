//! Reads from a connection: lines, so many bytes, chunks. Every read is bounded.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A connection with what was read of it and not yet used.
#[derive(Debug)]
pub(super) struct Reader<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// What was read and not yet used.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Uses up so many of the buffered bytes.
    pub(super) fn consume(&mut self, count: usize) {
        drop(self.buffer.drain(..count));
    }

    /// Reads more; `false` at the end of the stream.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        Ok(read > 0)
    }

    /// A line without its end.
    pub(super) async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.buffer[..end])
                    .trim_end()
                    .to_owned();
                self.consume(end + 1);
                return Ok(line);
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(io::Error::other("a line of the answer is too long"));
            }
            self.more().await?;
        }
    }

    /// Just so many bytes, added to `body`.
    pub(super) async fn exactly(&mut self, count: usize, body: &mut Vec<u8>) -> io::Result<()> {
        bounded(body.len().saturating_add(count))?;
        let mut left = count;
        while left > 0 {
            if self.buffer.is_empty() {
                self.more().await?;
            }
            let part = left.min(self.buffer.len());
            body.extend(self.buffer.drain(..part));
            left -= part;
        }
        Ok(())
    }

    /// All that comes until the other side closes.
    pub(super) async fn until_end(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            body.append(&mut self.buffer);
            bounded(body.len())?;
            if !self.fill().await? {
                return Ok(());
            }
        }
    }

    /// A chunked body, without its trailers.
    pub(super) async fn chunked(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16)
                .map_err(|_| io::Error::other(format!("{digits:?} is no chunk size")))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.exactly(size, body).await?;
            if !self.line().await?.is_empty() {
                return Err(io::Error::other("a chunk is longer than it says"));
            }
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.fill().await? {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the answer ended early",
            ))
        }
    }
}

fn bounded(bytes: usize) -> io::Result<()> {
    if bytes > BODY_BYTES_MAX {
        return Err(io::Error::other(format!(
            "the answer has more than {BODY_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// Longest line of an answer's framing.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Longest answer that is read.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
