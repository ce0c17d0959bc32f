//! Origins, clients and requests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use oncegate_cli::proxy::{
    BoxError, Drained, Forward, ForwardBody, ForwardBodyError, ForwardSettings, ServerSettings,
    serve,
};
use oncegate_tower::{Failure, Keyed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower_service::Service;

/// Turns a hang into a failure; nothing is expected to take this long.
const GUARD: Duration = Duration::from_secs(20);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(GUARD, future).await.expect("hangs")
}

/// A listener that speaks whatever the test says.
pub(crate) struct Origin {
    listener: TcpListener,
}

/// One side of a connection, in bytes.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Origin {
    pub(crate) async fn bind() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn forward(&self) -> Forward {
        self.forward_with(ForwardSettings::default())
    }

    pub(crate) fn forward_with(&self, settings: ForwardSettings) -> Forward {
        forward(&format!("http://{}", self.address()), settings)
    }

    pub(crate) async fn accept(&self) -> Wire {
        Wire::new(within(self.listener.accept()).await.unwrap().0)
    }
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(within(TcpStream::connect(address)).await.unwrap())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Up to and with the empty line.
    pub(crate) async fn read_head(&mut self) -> String {
        self.read_until("\r\n\r\n").await
    }

    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            text.push(char::from(within(self.0.read_u8()).await.unwrap()));
        }
        text
    }

    pub(crate) async fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        within(self.0.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Everything until the other side closes; an error if it resets.
    pub(crate) async fn read_to_end(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        within(self.0.read_to_string(&mut text)).await.map(|_| text)
    }

    /// Closes with a reset instead of an end.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }
}

pub(crate) fn forward(url: &str, settings: ForwardSettings) -> Forward {
    Forward::new(url.parse().unwrap(), settings)
}

pub(crate) fn post(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("host", "shop.example");
    request
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

pub(crate) fn keyed(idle_max: Duration) -> Request<Full<Bytes>> {
    let mut request = post("/keyed", "abc");
    request.extensions_mut().insert(Keyed::new(idle_max));
    request
}

type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

/// A body of unknown length that the test feeds; dropping the sender ends it.
pub(crate) fn fed_body() -> (
    Frames,
    impl Body<Data = Bytes, Error = BoxError> + Send + 'static,
) {
    let (frames, mut receiver) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (frames, StreamBody::new(stream))
}

/// The answer, while the test goes on.
pub(crate) fn send<B>(forward: &Forward, request: Request<B>) -> JoinHandle<Response<ForwardBody>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut forward = forward.clone();
    tokio::spawn(async move {
        let answer: Result<_, Infallible> = forward.call(request).await;
        let Ok(response) = answer;
        response
    })
}

pub(crate) async fn response(answer: JoinHandle<Response<ForwardBody>>) -> Response<ForwardBody> {
    within(answer).await.unwrap()
}

pub(crate) async fn failure(answer: JoinHandle<Response<ForwardBody>>) -> Option<Failure> {
    let response = response(answer).await;
    let failure = response.extensions().get::<Failure>().copied();
    assert_eq!(
        failure.is_some(),
        response.status().as_u16() >= 502,
        "{response:?}"
    );
    failure
}

pub(crate) async fn collect(
    response: Response<ForwardBody>,
) -> Result<Collected<Bytes>, ForwardBodyError> {
    within(response.into_body().collect()).await
}

pub(crate) async fn text(answer: JoinHandle<Response<ForwardBody>>) -> String {
    let body = collect(response(answer).await).await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// A server in front of a [`Forward`], until it is told to stop.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) forward: Forward,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

impl Proxy {
    pub(crate) async fn start(origin: &Origin, settings: ServerSettings) -> Self {
        Self::start_with(origin.forward(), settings).await
    }

    pub(crate) async fn start_with(forward: Forward, settings: ServerSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or(()) };
        let ended = tokio::spawn(serve(listener, forward.clone(), settings, shutdown));
        Self {
            address,
            forward,
            stop,
            ended,
        }
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// Asks the server to stop; its end can then be awaited.
    pub(crate) fn stop(self) -> JoinHandle<Drained> {
        self.stop.send(()).unwrap();
        self.ended
    }
}
