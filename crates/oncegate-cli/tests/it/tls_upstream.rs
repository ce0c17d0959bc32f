//! TLS between the proxy and the upstream.
//!
//! The origin ends TLS itself, or stands behind something that does; either way it keeps its own book.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use oncegate_cli::proxy::{Forward, ForwardSettings, Trust, UpstreamTls, certificates};
use rustls::ServerConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};
use tower_service::Service;

use crate::harness::tls::{Acceptor, Authority, Certificate, Goodbye};
use crate::harness::{Act, Origin, Setup, Stage, Wire, get, pay, within};

/// M-10, M-11: HTTP/1.1, agreed on by ALPN, or because there is none.
#[tokio::test]
async fn an_upstream_over_tls_may_speak_http1() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    for alpn in [&["http/1.1"][..], &[]] {
        let config = authority.issue().server(alpn);
        let front = before(&stage.origin, config, Goodbye::Said).await;
        let proxy = trusting(&stage, &front, &authority).start().await;
        let key = format!("http1-{}", alpn.len());
        let first = proxy.send(&pay(&key)).await;
        first.must_be_executed();
        proxy.send(&pay(&key)).await.must_replay(&first);
        assert_eq!(stage.origin.executions(&key), 1);
        proxy.stop().await;
    }
    for execution in stage.origin.book() {
        let request = execution.request;
        assert_eq!(request.header("host"), Some("shop.example"), "{request:?}");
        assert_eq!(request.body, br#"{"amount":100}"#);
    }
}

/// M-10, M-11: HTTP/2, on one connection, though the first request was made before that was known.
#[tokio::test]
async fn an_upstream_over_tls_may_speak_http2() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let origin = Http2Origin::start(&authority.issue()).await;
    let proxy = trusting(&stage, &origin.acceptor, &authority).start().await;
    let requests: Vec<_> = (0..20)
        .map(|number| pay(&format!("http2-{number}")))
        .collect();
    let firsts = futures_util::future::join_all(requests.iter().map(|it| proxy.send(it))).await;
    for (request, first) in requests.iter().zip(&firsts) {
        first.must_be_executed();
        proxy.send(request).await.must_replay(first);
    }
    let book = origin.book();
    assert_eq!(book.len(), 20, "{book:?}");
    for (key, entries) in &book {
        let uri = "https://shop.example/payments".to_owned();
        let body = br#"{"amount":100}"#.to_vec();
        assert_eq!(entries, &[(uri, body)], "{key}");
    }
    assert_eq!(origin.connections.load(Ordering::Relaxed), 1);
}

/// M-08: what is to be upgraded is sent over HTTP/1.1, though the upstream would rather speak HTTP/2.
#[tokio::test]
async fn an_upgrade_goes_over_tls_to_an_upstream_that_prefers_http2() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let config = authority.issue().server(&["h2", "http/1.1"]);
    let front = before(&stage.origin, config, Goodbye::Said).await;
    let proxy = trusting(&stage, &front, &authority).start().await;
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    let upgrade = get("/echo")
        .header("Connection", "upgrade")
        .header("Upgrade", "x-echo");
    wire.write(upgrade.bytes()).await.unwrap();
    let answer = within("an upgrade", wire.read_answer()).await.unwrap();
    assert_eq!(answer.code(), 101, "{answer:?}");
    wire.write("over and back").await.unwrap();
    assert_eq!(
        within("an echo", wire.read_exact(13)).await.unwrap(),
        b"over and back"
    );
}

/// M-28: whoever cannot prove that it is the upstream gets not one byte of a request; the key is free, and the retry
/// executes once the right one stands there.
#[tokio::test]
async fn an_upstream_that_is_not_trusted_gets_nothing_and_the_key_is_free() {
    let stage = Stage::new().await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let config = |certificate: Certificate| certificate.server(&["h2", "http/1.1"]);
    for (why, config) in [
        ("UnknownIssuer", config(stranger.issue())),
        ("expired", config(authority.issue_expired())),
        ("not valid for name", config(authority.issue_for_another())),
        (
            "NoApplicationProtocol",
            authority.issue().server(&["x-other"]),
        ),
    ] {
        let front = before(&stage.origin, config, Goodbye::Said).await;
        let proxy = trusting(&stage, &front, &authority).start().await;
        let answer = proxy.send(&pay("secret")).await;
        answer.must_be_problem(502, "upstream-unreachable", "no", "same-key");
        assert_eq!(proxy.keys(&["list"]).await.stdout, "no keys\n");
        proxy.must_log(why).await;
        proxy.stop().await;
    }
    // It speaks no TLS at all.
    let proxy = trusting_at(&stage, &stage.origin.address().to_string(), &authority)
        .start()
        .await;
    let answer = proxy.send(&pay("secret")).await;
    answer.must_be_problem(502, "upstream-unreachable", "no", "same-key");
    assert_eq!(proxy.keys(&["list"]).await.stdout, "no keys\n");
    proxy.stop().await;
    assert_eq!(stage.origin.book().len(), 0);

    let front = before(&stage.origin, authority.issue().server(&[]), Goodbye::Said).await;
    let proxy = trusting(&stage, &front, &authority).start().await;
    proxy.send(&pay("secret")).await.must_be_executed();
    assert_eq!(stage.origin.executions("secret"), 1);
}

/// M-28, M-30: as without TLS, what breaks after the request was read may have run, goodbye or not.
#[tokio::test]
async fn an_exchange_over_tls_that_breaks_after_the_request_was_read_is_unknown() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let broken = [
        ("cut", Act::Cut),
        (
            "half-a-head",
            Act::bytes("HTTP/1.1 201 Created\r\nContent-Le"),
        ),
        (
            "short",
            Act::bytes("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nonly this"),
        ),
        (
            "chunks",
            Act::bytes("HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"),
        ),
    ];
    for goodbye in [Goodbye::Said, Goodbye::Unsaid] {
        let front = before(&stage.origin, authority.issue().server(&[]), goodbye).await;
        let proxy = trusting(&stage, &front, &authority).start().await;
        for (key, act) in &broken {
            let key = format!("{key}-{goodbye:?}");
            stage.origin.plan(&key, [act.clone()]);
            let answer = proxy.send(&pay(&key)).await;
            answer.must_be_problem(502, "upstream-outcome-unknown", "maybe", "same-key");
            let retry = proxy.send(&pay(&key)).await;
            retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
            assert_eq!(stage.origin.executions(&key), 1, "{key}");
        }
        proxy.stop().await;
    }
}

/// The same on a connection that others share: all that was under way on it is unknown, and nothing is sent again.
#[tokio::test]
async fn exchanges_on_a_shared_connection_over_tls_that_dies_are_unknown() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let origin = Http2Origin::start(&authority.issue()).await;
    let proxy = trusting(&stage, &origin.acceptor, &authority).start().await;
    proxy.send(&pay("before")).await.must_be_executed();
    let (held, killer) = (pay("held"), pay("kills"));
    let (first, second) = tokio::join!(proxy.send(&held), async {
        let mut entered = origin.book.subscribe();
        let there = entered.wait_for(|book| book.contains_key("held"));
        drop(within("an execution", there).await.unwrap());
        proxy.send(&killer).await
    });
    for (request, answer) in [(&held, first), (&killer, second)] {
        answer.must_be_problem(502, "upstream-outcome-unknown", "maybe", "same-key");
        let retry = proxy.send(request).await;
        retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
    }
    proxy.send(&pay("after")).await.must_be_executed();
    let book = origin.book();
    assert_eq!(book.len(), 4, "{book:?}");
    assert!(book.values().all(|entries| entries.len() == 1), "{book:?}");
    assert_eq!(origin.connections.load(Ordering::Relaxed), 2);
}

/// M-28: whoever takes the connection and says nothing has been sent nothing: the key is free, and in time.
#[tokio::test]
async fn an_upstream_that_never_shakes_hands_leaves_the_key_free() {
    let stage = Stage::new().await;
    let silent = Acceptor::start(|stream| async move {
        let held = stream;
        std::future::pending::<()>().await;
        drop(held);
        Ok(())
    });
    let (silent, authority) = (silent.await, Authority::new());
    // Half of it is for connecting.
    let setup = trusting(&stage, &silent, &authority).set("upstream_timeout=4s");
    let proxy = setup.start().await;
    let answer = proxy.send(&pay("patient")).await;
    answer.must_be_problem(502, "upstream-unreachable", "no", "same-key");
    assert_eq!(proxy.keys(&["list"]).await.stdout, "no keys\n");
}

/// M-31: a body that ends with its connection is whole if TLS says that this is the end. Anybody on the way can make
/// the bytes stop; only the upstream can say goodbye.
#[tokio::test]
async fn a_body_without_length_is_whole_only_if_tls_says_goodbye() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let answer =
        || Act::bytes("HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\n\r\nall or half?");
    for (key, goodbye) in [("said", Goodbye::Said), ("unsaid", Goodbye::Unsaid)] {
        let front = before(&stage.origin, authority.issue().server(&[]), goodbye).await;
        let proxy = trusting(&stage, &front, &authority).start().await;
        stage.origin.plan(key, [answer()]);
        let first = proxy.send(&pay(key)).await;
        let retry = proxy.send(&pay(key)).await;
        match goodbye {
            Goodbye::Said => {
                first.must_be_executed();
                assert_eq!(first.body(), b"all or half?");
                retry.must_replay(&first);
            }
            Goodbye::Unsaid => {
                first.must_be_problem(502, "upstream-outcome-unknown", "maybe", "same-key");
                retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
            }
        }
        assert_eq!(stage.origin.executions(key), 1, "{key}");
        proxy.stop().await;
    }
}

/// An upstream that asks who we are is told.
#[tokio::test]
async fn an_upstream_that_asks_for_our_certificate_is_shown_it() {
    let stage = Stage::new().await;
    let (authority, clients) = (Authority::new(), Authority::new());
    let config = authority.issue().server_for(&clients, &[]);
    let front = before(&stage.origin, config, Goodbye::Said).await;
    let setup = trusting(&stage, &front, &authority);
    let proxy = setup.start().await;
    let refused = proxy.send(&pay("nobody")).await;
    assert_eq!(refused.code(), 502, "{refused:?}");
    assert_eq!(stage.origin.book().len(), 0);
    proxy.stop().await;

    let (cert, key) = clients.issue().write(&stage, "client");
    let setup = setup.set(&format!("upstream_client_cert_file={}", cert.display()));
    let setup = setup.set(&format!("upstream_client_key_file={}", key.display()));
    let proxy = setup.start().await;
    proxy.send(&pay("somebody")).await.must_be_executed();
    assert_eq!(stage.origin.executions("somebody"), 1);
}

/// Trust is taken away while a handshake is under way: that one still succeeds, and not one byte is sent over it. The
/// request is sent over a connection to somebody who is trusted now.
#[tokio::test]
async fn a_connection_that_was_begun_under_an_older_trust_carries_no_request() {
    for alpn in ["h2", "http/1.1"] {
        let (older, newer) = (Authority::new(), Authority::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = UpstreamTls::new(ServerName::from(address.ip()), &trust(&older));
        let settings = ForwardSettings {
            tls: Some(tls.clone()),
            ..ForwardSettings::default()
        };
        let mut forward = Forward::new(format!("https://{address}").parse().unwrap(), settings);
        let request = http::Request::post("/payments").body(Full::new(Bytes::from("abc")));
        let sending = tokio::spawn(forward.call(request.unwrap()));

        // Its first words say that it has begun under the older trust.
        let (stream, _) = within("a dial", listener.accept()).await.unwrap();
        let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let begun = within("a handshake", begun).await.unwrap();
        tls.exchange(&trust(&newer));
        forward.forget_connections();
        let shown = Arc::new(older.issue().server(&[alpn]));
        let shaken = within("a handshake", begun.into_stream(shown)).await;
        let mut bytes = [0; 1];
        let sent = match shaken {
            Ok(mut stream) => within("an end", stream.read(&mut bytes)).await,
            Err(error) => Err(error),
        };
        assert_eq!(sent.unwrap_or(0), 0, "{alpn}");

        let (stream, _) = within("a second dial", listener.accept()).await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(newer.issue().server(&[alpn])));
        let mut stream = within("a handshake", acceptor.accept(stream))
            .await
            .unwrap();
        let sent = within("a request", stream.read(&mut bytes)).await.unwrap();
        assert_eq!(sent, 1, "{alpn}");
        drop(stream);
        let Ok(answer) = within("an answer", sending).await.unwrap();
        assert_eq!(answer.status(), 502);
    }
}

/// HTTP/1.1 allows an empty `Host`, HTTP/2 has no place for it; what the upstream speaks shows only when it is dialled.
#[tokio::test]
async fn an_empty_host_becomes_the_upstreams_own_name_over_http2() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let origin = Http2Origin::start(&authority.issue()).await;
    let proxy = trusting(&stage, &origin.acceptor, &authority).start().await;
    // The first is made for HTTP/1.1, the second one not.
    for key in ["first", "second"] {
        let answer = proxy.send(&pay(key).header("Host", "")).await;
        answer.must_be_executed();
        let own = format!(
            "https://localhost:{}/payments",
            origin.acceptor.address.port()
        );
        let entry = (own, br#"{"amount":100}"#.to_vec());
        assert_eq!(origin.book()[key], [entry]);
    }
}

/// The authorities of a file or of the system have to be there before a port is.
#[tokio::test]
async fn an_upstream_that_nobody_could_vouch_for_is_refused_at_the_start() {
    let stage = Stage::new().await;
    let setup = stage.proxy_before("https://localhost:1");
    let empty = stage.write("empty.pem", "");
    let nobody = setup.set(&format!("upstream_ca_file={}", empty.display()));
    let failed = nobody.fail().await;
    failed.must_fail(
        64,
        &[
            "cannot use `upstream_ca_file = ",
            "there is no certificate in it",
        ],
    );
    assert!(!stage.store_file().exists());
}

/// The proxy before an upstream that this authority vouches for.
fn trusting(stage: &Stage, front: &Acceptor, authority: &Authority) -> Setup {
    trusting_at(
        stage,
        &format!("localhost:{}", front.address.port()),
        authority,
    )
}

fn trusting_at(stage: &Stage, upstream: &str, authority: &Authority) -> Setup {
    let ca = stage.write("upstream-ca.pem", &authority.pem);
    let setup = stage.proxy_before(&format!("https://{upstream}"));
    setup.set(&format!("upstream_ca_file={}", Path::new(&ca).display()))
}

fn trust(authority: &Authority) -> Trust {
    Trust::of(certificates(authority.pem.as_bytes()).unwrap()).unwrap()
}

async fn before(origin: &Origin, config: ServerConfig, goodbye: Goodbye) -> Acceptor {
    Acceptor::ending_tls(config, origin.address(), goodbye).await
}

/// An origin that speaks HTTP/2 over TLS, and keeps a book: by key, the target and the body. It never answers `held`,
/// and `kills` ends the connection without a word.
struct Http2Origin {
    acceptor: Acceptor,
    book: watch::Sender<Book>,
    connections: Arc<AtomicUsize>,
}

type Book = HashMap<String, Vec<(String, Vec<u8>)>>;

impl Http2Origin {
    async fn start(certificate: &Certificate) -> Self {
        let tls = TlsAcceptor::from(Arc::new(certificate.server(&["h2", "http/1.1"])));
        let book = watch::Sender::new(Book::new());
        let connections = Arc::new(AtomicUsize::new(0));
        let (entered, counted) = (book.clone(), Arc::clone(&connections));
        let acceptor = Acceptor::start(move |stream| {
            counted.fetch_add(1, Ordering::Relaxed);
            serve(tls.clone(), stream, entered.clone())
        });
        Self {
            acceptor: acceptor.await,
            book,
            connections,
        }
    }

    fn book(&self) -> Book {
        self.book.borrow().clone()
    }
}

async fn serve(tls: TlsAcceptor, stream: TcpStream, book: watch::Sender<Book>) -> io::Result<()> {
    let stream = tls.accept(stream).await?;
    let mut connection = h2::server::handshake(stream)
        .await
        .map_err(io::Error::other)?;
    let mut exchanges = JoinSet::new();
    loop {
        tokio::select! {
            request = connection.accept() => {
                let Some(request) = request else {
                    return Ok(());
                };
                let (request, respond) = request.map_err(io::Error::other)?;
                exchanges.spawn(execute(request, respond, book.clone()));
            }
            Some(ended) = exchanges.join_next() => {
                if ended.unwrap() == Goodbye::Unsaid {
                    return Ok(());
                }
            }
        }
    }
}

async fn execute(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    book: watch::Sender<Book>,
) -> Goodbye {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        body.extend(chunk.unwrap());
    }
    let key = head.headers["idempotency-key"].to_str().unwrap().to_owned();
    let entry = (head.uri.to_string(), body);
    book.send_modify(|book| book.entry(key.clone()).or_default().push(entry));
    match key.as_str() {
        "held" => std::future::pending().await,
        "kills" => return Goodbye::Unsaid,
        _ => {}
    }
    let answer = format!("answer to {key}");
    let response = Response::builder().status(201).body(()).unwrap();
    let mut sending = respond.send_response(response, false).unwrap();
    sending.send_data(answer.into(), true).unwrap();
    Goodbye::Said
}
