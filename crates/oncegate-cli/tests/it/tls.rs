//! TLS between clients and the proxy.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use oncegate_cli::proxy::{
    Identity, ServerBody, ServerSettings, ServerTls, certificates, private_key, serve,
};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::crowd::raise_own_limit;
use crate::harness::tls::{Acceptor, Authority, Certificate, client, connect};
use crate::harness::{
    Act, Gate, Http2, Proxy, Setup, Stage, Wire, get, pay, program, run, send, within,
};

/// M-10: curl, over both versions of HTTP and of TLS; what one was told, the other is told again.
#[tokio::test]
async fn curl_over_http1_and_http2_shares_its_keys_over_tls() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let proxy = over_tls(&stage, &authority.issue()).start().await;
    let ca = stage.write("ca.pem", &authority.pem);
    let curl = async |key: &str, how: &[&str]| {
        let mut command = program("curl");
        command
            .args(["--silent", "--show-error", "--cacert"])
            .arg(&ca);
        command.args(["-H", &format!("Idempotency-Key: {key}"), "-d", "{}"]);
        command.args(["-w", "\n%{http_version} %header{idempotency-status}"]);
        command
            .args(how)
            .arg(format!("https://{}/payments", proxy.listen));
        let ended = run(command).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let (body, said) = ended.stdout.rsplit_once('\n').unwrap();
        let said = said.split(';').next().unwrap();
        (body.to_owned(), said.to_owned())
    };
    for (key, first, second) in [
        ("one", "--http1.1", "--http2"),
        ("two", "--http2", "--http1.1"),
    ] {
        let version = |how: &str| if how == "--http2" { "2" } else { "1.1" };
        let (body, said) = curl(key, &[first]).await;
        assert_eq!(said, format!("{} executed", version(first)));
        let older = [second, "--tlsv1.2", "--tls-max", "1.2"];
        for how in [&older[..1], &older] {
            let (again, said) = curl(key, how).await;
            assert_eq!(said, format!("{} replayed", version(second)));
            assert_eq!(again, body);
        }
        assert_eq!(stage.origin.executions(key), 1);
    }
    for execution in stage.origin.book() {
        assert_eq!(execution.request.header("x-forwarded-proto"), Some("https"));
        let forwarded = execution.request.header("forwarded").unwrap();
        assert!(forwarded.starts_with("for=127.0.0.1;"), "{forwarded}");
        assert!(forwarded.ends_with(";proto=https"), "{forwarded}");
    }
}

/// M-10: many at once, over two versions, of one key.
#[tokio::test]
async fn simultaneous_firsts_over_tls_execute_once() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let setup = over_tls(&stage, &authority.issue()).set("in_flight=wait");
    let proxy = setup.start().await;
    let http1 = Acceptor::beginning_tls(proxy.listen, &[&authority], "http/1.1").await;
    let http2 = Acceptor::beginning_tls(proxy.listen, &[&authority], "h2").await;
    let http2 = Http2::connect(http2.address).await;
    let request = pay("crowd");
    let firsts = (0..10).map(|_| send(http1.address, &request));
    let seconds =
        (0..10).map(|_| async { http2.pay("crowd", r#"{"amount":100}"#).await.answer().await });
    let (mut answers, more) = tokio::join!(
        futures_util::future::join_all(firsts),
        futures_util::future::join_all(seconds)
    );
    answers.extend(more);
    assert!(
        answers.iter().all(|answer| answer.code() == 201),
        "{answers:?}"
    );
    let executed = answers
        .iter()
        .filter(|answer| answer.became() == "executed");
    assert_eq!(executed.count(), 1, "{answers:?}");
    assert_eq!(stage.origin.executions("crowd"), 1);
}

/// What speaks no TLS is answered in none, and holds up nobody.
#[tokio::test]
async fn plain_http_on_a_port_with_tls_is_refused_and_runs_nothing() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let proxy = over_tls(&stage, &authority.issue()).start().await;
    for bytes in [
        pay("plain").bytes(),
        b"\x16\x03\x01\xff\xffgarbage".to_vec(),
        b"\0".repeat(70_000),
    ] {
        let mut wire = Wire::connect(proxy.listen).await.unwrap();
        // It may be refused while we still write.
        let _written_or_not = wire.write(&bytes).await;
        let said = within("the refusal", wire.read_to_end())
            .await
            .unwrap_or_default();
        assert!(!said.starts_with(b"HTTP"), "{said:?}");
    }
    assert_eq!(stage.origin.book().len(), 0);
    send_over_tls(&proxy, &authority, "spoken").await;
}

/// A place that nobody comes forward for is another one's, also where there is but one.
#[tokio::test]
async fn a_client_that_never_shakes_hands_gives_its_place_up() {
    let authority = Authority::new();
    let certificate = authority.issue();
    let chain = certificates(certificate.cert.as_bytes()).unwrap();
    let identity = Identity::new(chain, private_key(certificate.key.as_bytes()).unwrap()).unwrap();
    let settings = ServerSettings {
        connections_max: 1,
        tls: Some(ServerTls::new(&identity, Duration::from_millis(200))),
        ..ServerSettings::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Answering;
    let serving = tokio::spawn(serve(listener, service, settings, std::future::pending()));
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut halting = TcpStream::connect(address).await.unwrap();
    halting
        .write_all(b"\x16\x03\x01\x02\x00\x01")
        .await
        .unwrap();
    let tunnel = Acceptor::beginning_tls(address, &[&authority], "http/1.1").await;
    assert_eq!(send(tunnel.address, &get("/")).await.code(), 200);
    for stream in [&mut silent, &mut halting] {
        // An end or a reset: the place is gone either way.
        let ended = within("the end", stream.read_to_end(&mut Vec::new())).await;
        drop(ended);
    }
    serving.abort();
}

/// Whatever they said before they fell silent: half a record, or all that a client says at first. There was a limit of
/// 1,024 handshakes once, and they used it up for everybody.
#[tokio::test]
async fn clients_that_halt_in_mid_handshake_hold_up_nobody() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let setup = over_tls(&stage, &authority.issue());
    let proxy = setup.set("tls_handshake_timeout=1m").start().await;
    raise_own_limit();
    send_over_tls(&proxy, &authority, "before").await;
    let mut whole = Vec::new();
    let name = ServerName::from(proxy.listen.ip());
    let mut hello = ClientConnection::new(client(&[&authority], ""), name).unwrap();
    hello.write_tls(&mut whole).unwrap();
    for (key, said) in [("half", &whole[..1]), ("whole", &whole)] {
        let before = proxy.resident_bytes();
        let mut halting = Vec::with_capacity(HALTING);
        for _ in 0..HALTING {
            let mut wire = Wire::connect(proxy.listen).await.unwrap();
            wire.write(said).await.unwrap();
            halting.push(wire);
        }
        send_over_tls(&proxy, &authority, key).await;
        // And nobody had to go for that.
        assert!(halting.iter().all(is_open), "{key}");
        let each = proxy.resident_bytes().saturating_sub(before) / HALTING as u64;
        assert!(each < HALTING_BYTES_MAX, "{each} bytes for each, {key}");
    }
}

/// M-32: who has not shaken hands yet has asked for nothing.
#[tokio::test]
async fn a_handshake_does_not_hold_up_the_end() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let setup = over_tls(&stage, &authority.issue());
    let setup = setup
        .set("tls_handshake_timeout=1m")
        .set("drain_timeout=1h");
    let mut proxy = setup.start().await;
    let mut silent = Wire::connect(proxy.listen).await.unwrap();
    // Served after it, so it was accepted.
    let gate = Gate::default();
    stage.origin.plan("last", [Act::CreateBehind(gate.clone())]);
    let tunnel = Acceptor::beginning_tls(proxy.listen, &[&authority], "http/1.1").await;
    let request = pay("last");
    let (answer, ()) = tokio::join!(send(tunnel.address, &request), async {
        stage.origin.executed("last").await;
        proxy.terminate().await;
        within("the end of a handshake", silent.read_to_end())
            .await
            .ok();
        gate.open();
    });
    answer.must_be_executed();
    assert_eq!(proxy.ended().await.code(), Some(0), "{}", proxy.logged());
}

/// M-31: HTTP/1.0 ends a body by closing. Over TLS a goodbye says that this was all; a broken body gets none.
#[tokio::test]
async fn a_body_that_broke_gets_no_goodbye() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let proxy = over_tls(&stage, &authority.issue()).start().await;
    let ask = async || {
        let mut tls = connect(proxy.listen, client(&[&authority], ""))
            .await
            .unwrap();
        tls.write_all(b"GET /list HTTP/1.0\r\nHost: h\r\n\r\n")
            .await
            .unwrap();
        let mut said = Vec::new();
        let ended = within("the end of a body", tls.read_to_end(&mut said)).await;
        (ended.is_ok(), String::from_utf8(said).unwrap())
    };
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n";
    stage.origin.plan("", [Act::bytes(head)]);
    let (whole, said) = ask().await;
    assert!(!whole, "{said}");
    stage
        .origin
        .plan("", [Act::bytes(format!("{head}0\r\n\r\n"))]);
    let (whole, said) = ask().await;
    assert!(whole && said.ends_with("\r\n\r\npart"), "{said}");
}

/// Before any port is bound: with the setting, the file and the way out.
#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named_before_any_port_is_bound() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let (cert, key) = authority.issue().write(&stage, "own");
    let (other_cert, other_key) = authority.issue().write(&stage, "other");
    let chain = [
        authority.pem.as_str(),
        &std::fs::read_to_string(&other_cert).unwrap(),
    ]
    .concat();
    let reversed = stage.write("reversed.crt", &chain);
    let damaged = stage.write(
        "damaged.crt",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let cut_off = stage.write("cut.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let locked = stage.write("locked.key", locked);
    let missing = stage.folder().join("missing.pem");
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let table = [
        (&missing, &key, "tls_cert_file", "No such file"),
        (&key, &key, "tls_cert_file", "there is no certificate in it"),
        (&cut_off, &key, "tls_cert_file", "it is no PEM"),
        (
            &damaged,
            &key,
            "tls_cert_file",
            "the first certificate cannot be used",
        ),
        (&cert, &missing, "tls_key_file", "No such file"),
        (
            &cert,
            &cert,
            "tls_key_file",
            "there is no private key in it",
        ),
        (&cert, &locked, "tls_key_file", "openssl pkey"),
        (
            &cert,
            &other_key,
            "tls_key_file",
            "the key does not belong to the first certificate",
        ),
        (
            &reversed,
            &other_key,
            "tls_key_file",
            "own certificate comes first in its file",
        ),
    ];
    for (cert, key, setting, said) in table {
        let setup = stage.proxy();
        let setup = setup.set(&format!("tls_cert_file={}", text(cert)));
        let setup = setup.set(&format!("tls_key_file={}", text(key)));
        let file = if setting == "tls_cert_file" {
            cert
        } else {
            key
        };
        let failed = setup.fail().await;
        failed.must_fail(
            64,
            &[&format!("cannot use `{setting} = "), &text(file), said],
        );
    }
    let half = stage.proxy().set(&format!("tls_cert_file={}", text(&cert)));
    half.fail()
        .await
        .must_fail(64, &["`tls_cert_file` needs `tls_key_file`"]);
    let unused = stage
        .proxy()
        .set(&format!("upstream_ca_file={}", text(&cert)));
    unused.fail().await.must_fail(
        64,
        &["`upstream_ca_file` has no effect without TLS to the upstream"],
    );
    assert!(!stage.store_file().exists());
}

/// A proxy that shows this certificate.
pub(crate) fn over_tls(stage: &Stage, certificate: &Certificate) -> Setup {
    let (cert, key) = certificate.write(stage, "tls");
    let setup = stage.proxy();
    let setup = setup.set(&format!("tls_cert_file={}", cert.display()));
    setup.set(&format!("tls_key_file={}", key.display()))
}

async fn send_over_tls(proxy: &Proxy, authority: &Authority, key: &str) {
    let tunnel = Acceptor::beginning_tls(proxy.listen, &[authority], "http/1.1").await;
    send(tunnel.address, &pay(key)).await.must_be_executed();
}

/// Reads what there is to read: at an end there would be nothing, again and again.
fn is_open(wire: &Wire) -> bool {
    let mut dropped = [0; 8 * 1024];
    loop {
        match wire.stream.try_read(&mut dropped) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Answers everything with an empty 200.
#[derive(Clone)]
struct Answering;

impl tower_service::Service<Request<ServerBody>> for Answering {
    type Response = Response<Full<bytes::Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ServerBody>) -> Self::Future {
        std::future::ready(Ok(Response::default()))
    }
}

const HALTING: usize = 1_100;
/// What a client in mid-handshake may cost, in a build without optimisation.
const HALTING_BYTES_MAX: u64 = 128 * 1024;
