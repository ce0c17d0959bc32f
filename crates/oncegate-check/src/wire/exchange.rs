//! One request and what came of it, and the ways in which a caller can leave.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::chunks::Reader;
use super::peer::Stream;
use super::{Peer, Request, Response};

/// A request and what came of it. What a report shows, and what judgements are made from.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The name that the case gave it.
    pub label: &'static str,
    /// What was sent.
    pub request: Request,
    /// What came.
    pub outcome: Outcome,
    /// When it was begun, since the case was.
    pub began: Duration,
    /// When it was over, since the case was begun.
    pub ended: Duration,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A whole answer.
    Answered(Response),
    /// The caller went away, as the case wanted it.
    Left,
    /// No whole answer: reset, cut short, too slow, no HTTP.
    Broken(String),
    /// No connection: nothing was sent.
    Unreachable(String),
}

/// Where a caller goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It stays until the answer is whole.
    Never,
    /// Half of the body is sent.
    InBody,
    /// The request is sent, and nothing of the answer is read.
    AfterRequest,
    /// The request is sent, and the answer is not there when the limit has passed.
    WhileRunning,
    /// The first bytes of the answer came.
    InAnswer,
}

impl Exchange {
    /// The answer, if there is one.
    #[must_use]
    pub const fn response(&self) -> Option<&Response> {
        match &self.outcome {
            Outcome::Answered(response) => Some(response),
            Outcome::Left | Outcome::Broken(_) | Outcome::Unreachable(_) => None,
        }
    }
}

/// A connection on which nothing was sent yet.
pub struct Connection(Box<dyn Stream>);

impl Connection {
    /// A connection to the server.
    ///
    /// # Errors
    /// There is none: [`Outcome::Unreachable`].
    pub async fn open(peer: &Peer) -> Result<Self, Outcome> {
        match timeout(CONNECT_TIMEOUT, peer.connect()).await {
            Ok(Ok(stream)) => Ok(Self(stream)),
            Ok(Err(error)) => Err(Outcome::Unreachable(error.to_string())),
            Err(_) => Err(Outcome::Unreachable("no connection in time".to_owned())),
        }
    }

    /// Sends one request, and says when it is sent. The limit is for the answer; a caller that leaves
    /// [`Leave::WhileRunning`] leaves then.
    pub async fn exchange(
        self,
        request: &Request,
        leave: Leave,
        limit: Duration,
        sent: impl FnOnce(),
    ) -> Outcome {
        let began = Instant::now();
        match timeout(limit, converse(self.0, request, leave, sent)).await {
            Ok(Ok(Some(response))) => Outcome::Answered(response),
            Ok(Ok(None)) => Outcome::Left,
            Ok(Err(error)) => Outcome::Broken(error.to_string()),
            Err(_) if leave == Leave::WhileRunning => Outcome::Left,
            Err(_) => Outcome::Broken(format!("no whole answer in {:?}", began.elapsed())),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connection")
    }
}

impl Outcome {
    /// The answer, if it says that the request did what it asked for.
    #[must_use]
    pub fn success(self) -> Option<Response> {
        match self {
            Self::Answered(response) if response.is_success() => Some(response),
            Self::Answered(_) | Self::Left | Self::Broken(_) | Self::Unreachable(_) => None,
        }
    }
}

/// Sends one request over a connection of its own.
pub async fn exchange(peer: &Peer, request: &Request, leave: Leave, limit: Duration) -> Outcome {
    match Connection::open(peer).await {
        Ok(connection) => connection.exchange(request, leave, limit, || ()).await,
        Err(unreachable) => unreachable,
    }
}

/// `None`: left, as was asked.
async fn converse<S>(
    mut stream: S,
    request: &Request,
    leave: Leave,
    sent: impl FnOnce(),
) -> io::Result<Option<Response>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = request.head();
    let body = request.framed_body();
    let part = if leave == Leave::InBody {
        body.len() / 2
    } else {
        body.len()
    };
    bytes.extend_from_slice(&body[..part]);
    let written = write(&mut stream, &bytes).await;
    sent();
    if matches!(leave, Leave::InBody | Leave::AfterRequest) {
        return written.map(|()| None);
    }
    let mut reader = Reader::new(stream);
    if leave == Leave::InAnswer {
        return reader.fill().await.map(|_| None);
    }
    // A server may answer and close before it has read all: its answer counts, not the failed write.
    match response(&mut reader, &request.method).await {
        Ok(response) => Ok(Some(response)),
        Err(error) => written.and(Err(error)),
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn response<S: AsyncRead + Unpin>(
    reader: &mut Reader<S>,
    method: &str,
) -> io::Result<Response> {
    loop {
        let (status, fields) = head(reader).await?;
        if status / 100 == 1 {
            continue;
        }
        let mut response = Response {
            status,
            fields,
            body: Vec::new(),
        };
        body(reader, method, &mut response).await?;
        return Ok(response);
    }
}

async fn head<S: AsyncRead + Unpin>(
    reader: &mut Reader<S>,
) -> io::Result<(u16, Vec<(String, Vec<u8>)>)> {
    loop {
        if let Some((used, status, fields)) = parse_head(reader.buffered())? {
            reader.consume(used);
            return Ok((status, fields));
        }
        if reader.buffered().len() > HEAD_BYTES_MAX {
            return Err(io::Error::other("the head of the answer is too long"));
        }
        if !reader.fill().await? {
            let what = if reader.buffered().is_empty() {
                "the connection was closed without an answer"
            } else {
                "the answer ended in its head"
            };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
    }
}

type Head = (usize, u16, Vec<(String, Vec<u8>)>);

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut lines = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut lines);
    let parsed = head
        .parse(bytes)
        .map_err(|error| io::Error::other(format!("this is no HTTP: {error}")))?;
    let httparse::Status::Complete(used) = parsed else {
        return Ok(None);
    };
    let fields = head
        .headers
        .iter()
        .map(|line| (line.name.to_owned(), line.value.to_vec()))
        .collect();
    Ok(Some((used, head.code.unwrap_or_default(), fields)))
}

async fn body<S: AsyncRead + Unpin>(
    reader: &mut Reader<S>,
    method: &str,
    response: &mut Response,
) -> io::Result<()> {
    if method == "HEAD" || matches!(response.status, 204 | 304) {
        return Ok(());
    }
    let chunked = response
        .text("transfer-encoding")
        .is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked"));
    let length = response.text("content-length");
    let body = &mut response.body;
    match (chunked, length) {
        (true, _) => reader.chunked(body).await,
        (false, Some(length)) => {
            let length = length
                .trim()
                .parse()
                .map_err(|_| io::Error::other(format!("{length:?} is no length")))?;
            reader.exactly(length, body).await
        }
        (false, None) => reader.until_end(body).await,
    }
}

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// Most header lines of an answer.
const FIELDS_MAX: usize = 128;
