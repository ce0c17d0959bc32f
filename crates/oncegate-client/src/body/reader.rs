//! Reads a file for one attempt, and holds its last part back until the digest of the whole is the expected one.
//!
//! A reader that finds another file ends in an error, with bytes missing: no server can take what it got for whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

use super::{BodyError, FileBody, PART_BYTES};

/// One reading of a file.
pub(crate) struct FileReader {
    file: File,
    body: FileBody,
    hasher: blake3::Hasher,
    /// Bytes read, those held back among them.
    read: u64,
    held: Bytes,
    ended: bool,
}

impl FileReader {
    pub(super) fn new(file: File, body: FileBody) -> Self {
        let ended = body.length() == 0;
        Self {
            file,
            body,
            hasher: blake3::Hasher::new(),
            read: 0,
            held: Bytes::new(),
            ended,
        }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, BodyError>> {
        let mut part = BytesMut::zeroed(PART_BYTES);
        let mut buffer = ReadBuf::new(&mut part);
        let read = ready!(Pin::new(&mut self.file).poll_read(cx, &mut buffer));
        read.map_err(|source| BodyError::Unreadable {
            path: self.body.path().to_owned(),
            source,
        })?;
        let length = buffer.filled().len();
        part.truncate(length);
        self.hasher.update(&part);
        self.read += length as u64;
        Poll::Ready(Ok(part.freeze()))
    }

    /// Whether all bytes were the expected ones. A file that grew meanwhile has other bytes.
    fn is_same(&self) -> bool {
        self.read == self.body.length() && *self.hasher.finalize().as_bytes() == *self.body.digest()
    }
}

impl http_body::Body for FileReader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        while !this.ended {
            let part = ready!(this.poll_part(cx))?;
            this.ended = part.is_empty();
            let more_than_known = this.read > this.body.length();
            if more_than_known || (this.ended && !this.is_same()) {
                this.ended = true;
                this.held = Bytes::new();
                return Poll::Ready(Some(Err(this.body.changed())));
            }
            if this.ended {
                break;
            }
            let before = std::mem::replace(&mut this.held, part);
            if !before.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(before))));
            }
        }
        let last = std::mem::take(&mut this.held);
        Poll::Ready((!last.is_empty()).then(|| Ok(Frame::data(last))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.held.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.length())
    }
}
