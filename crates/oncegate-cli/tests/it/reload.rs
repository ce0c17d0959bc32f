//! SIGHUP: another configuration, while requests are under way.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::tls::{Acceptor, Authority, Goodbye, client, connect};
use crate::harness::{Act, Gate, Proxy, Setup, Stage, pay, post, try_send, within};
use crate::tls::over_tls;

/// A route is another one from the next request on. What flags say, a reload does not change.
#[tokio::test]
async fn a_route_is_another_one_after_a_reload_and_flags_stay_in_force() {
    let stage = Stage::new().await;
    let (setup, file) = with_file(&stage, "");
    let proxy = setup.set("key=optional").start().await;
    let unkeyed = post("/payments", "{}");
    assert_eq!(proxy.send(&unkeyed).await.code(), 201);
    rewrite(
        &file,
        "[defaults]\nkey = 'required'\n[[route]]\nmatch = '/payments'\nkey = 'required'\n",
    );
    assert!(proxy.reload().await, "{}", proxy.logged());
    let refused = proxy.send(&unkeyed).await;
    refused.must_be_problem(400, "key-missing", "no", "fix-request");
    assert_eq!(proxy.send(&post("/elsewhere", "{}")).await.code(), 201);
    rewrite(&file, "");
    assert!(proxy.reload().await, "{}", proxy.logged());
    assert_eq!(proxy.send(&unkeyed).await.code(), 201);
    assert_eq!(stage.origin.book().len(), 3);
}

/// An execution ends under the policy that it began with.
#[tokio::test]
async fn an_execution_under_way_ends_under_its_old_policy() {
    let stage = Stage::new().await;
    let (setup, file) = with_file(&stage, "");
    let proxy = setup.start().await;
    let gate = Gate::default();
    stage.origin.plan("old", [Act::CreateBehind(gate.clone())]);
    let request = pay("old");
    let (first, ()) = tokio::join!(proxy.send(&request), async {
        stage.origin.executed("old").await;
        rewrite(&file, "[defaults]\ntransient_statuses = [201]\n");
        assert!(proxy.reload().await, "{}", proxy.logged());
        gate.open();
    });
    first.must_be_executed();
    assert_eq!(proxy.send(&pay("new")).await.became(), "released");
    proxy.send(&request).await.must_replay(&first);
    assert_eq!(stage.origin.executions("old"), 1);
}

/// What is wrong is told as at the start, and changes nothing.
#[tokio::test]
async fn a_wrong_file_leaves_the_old_configuration_in_force() {
    let stage = Stage::new().await;
    let (setup, file) = with_file(&stage, "[[route]]\nmatch = '/payments'\nkey = 'required'\n");
    let proxy = setup.start().await;
    let still_required = async |proxy: &Proxy| {
        let refused = proxy.send(&post("/payments", "{}")).await;
        refused.must_be_problem(400, "key-missing", "no", "fix-request");
    };
    rewrite(&file, "[defaults]\nretenton = '1h'\n");
    assert!(!proxy.reload().await);
    for said in [
        &*format!("{}:2", file.display()),
        "unknown setting `retenton`",
        "did you mean `retention`?",
        "the old configuration stays in force",
    ] {
        proxy.must_log(said).await;
    }
    still_required(&proxy).await;
    std::fs::remove_file(&file).unwrap();
    assert!(!proxy.reload().await);
    proxy.must_log("No such file").await;
    still_required(&proxy).await;
    assert_eq!(stage.origin.book().len(), 0);
}

/// Half a change is none: what cannot be followed is named, and what could be is not taken over either.
#[tokio::test]
async fn what_needs_a_restart_is_named_and_nothing_is_taken_over() {
    let stage = Stage::new().await;
    let secret = stage.write("secret", "0123456789abcdef0123456789abcdef");
    let (setup, file) = with_file(&stage, "");
    let setup = setup.flag("--secret-file", secret.to_str().unwrap());
    let proxy = setup.start().await;
    rewrite(
        &file,
        "cors_origins = ['https://shop.example']\n[defaults]\nkey = 'required'\ndrain_timeout = '1s'\n",
    );
    std::fs::write(&secret, "fedcba9876543210fedcba9876543210").unwrap();
    assert!(!proxy.reload().await);
    let said = "a restart is needed for cors_origins, drain_timeout, secret_file\"";
    proxy.must_log(said).await;
    assert_eq!(proxy.send(&post("/payments", "{}")).await.code(), 201);

    let (cert, key) = Authority::new().issue().write(&stage, "tls");
    let files = format!(
        "tls_cert_file = '{}'\ntls_key_file = '{}'\n",
        cert.display(),
        key.display()
    );
    rewrite(&file, &files);
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    assert!(!proxy.reload().await);
    let said = "a restart is needed for tls_cert_file\"";
    proxy.must_log(said).await;
}

/// What an operator says is kept as long as the new routes have it.
#[tokio::test]
async fn an_operators_word_is_kept_as_long_as_the_new_routes_say() {
    let stage = Stage::new().await;
    let (setup, file) = with_file(&stage, "");
    let proxy = setup.start().await;
    stage.origin.plan("asked", [Act::Cut]);
    proxy.send(&pay("asked")).await;
    rewrite(&file, "[defaults]\nretention = '100d'\n");
    assert!(proxy.reload().await, "{}", proxy.logged());
    let id = proxy.only_key().await["id"].as_str().unwrap().to_owned();
    let resolved = proxy.keys(&["resolve", &id, "--status", "201"]).await;
    assert_eq!(resolved.code, Some(0), "{resolved:?}");
    let seconds = proxy.only_key().await["expires_in_seconds"]
        .as_u64()
        .unwrap();
    assert!(seconds > 99 * 24 * 60 * 60, "{seconds}");
}

/// No request fails while certificates are exchanged under it, and an open connection goes on.
#[tokio::test]
async fn a_certificate_is_exchanged_under_load_without_a_failed_request() {
    let stage = Stage::new().await;
    let (old, new) = (Authority::new(), Authority::new());
    let (old_certificate, new_certificate) = (old.issue(), new.issue());
    let proxy = over_tls(&stage, &old_certificate).start().await;
    assert_eq!(shown(&proxy, [&old, &new]).await, old_certificate.der());
    let mut open = connect(proxy.listen, client(&[&old], "")).await.unwrap();

    let tunnel = Acceptor::beginning_tls(proxy.listen, &[&old, &new], "http/1.1").await;
    let over = AtomicBool::new(false);
    let load = |worker: usize| {
        let (over, address) = (&over, tunnel.address);
        async move {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                let key = format!("load-{worker}-{sent}");
                let answer = within("a request", try_send(address, &pay(&key)))
                    .await
                    .unwrap();
                answer.must_be_executed();
                sent += 1;
            }
            sent
        }
    };
    let exchange = async {
        for certificate in [&new_certificate, &old_certificate, &new_certificate] {
            certificate.write(&stage, "tls");
            assert!(proxy.reload().await, "{}", proxy.logged());
            assert_eq!(shown(&proxy, [&old, &new]).await, certificate.der());
        }
        over.store(true, Ordering::Relaxed);
    };
    let (sent, ()) = tokio::join!(futures_util::future::join_all((0..4).map(load)), exchange);
    assert_eq!(stage.origin.book().len(), sent.iter().sum::<usize>());

    open.write_all(&pay("open").bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    within("an answer", open.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(answer, b"HTTP/1.1 201");
}

/// A certificate that lies there half exchanged is not taken: the old one is shown until both files are right.
#[tokio::test]
async fn a_certificate_without_its_key_leaves_the_old_one_in_force() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let (old, new) = (authority.issue(), authority.issue());
    let proxy = over_tls(&stage, &old).start().await;
    stage.write("tls.crt", &new.cert);
    assert!(!proxy.reload().await);
    let said = "the key does not belong to the first certificate";
    proxy.must_log(said).await;
    assert_eq!(shown(&proxy, [&authority, &authority]).await, old.der());
    stage.write("tls.key", &new.key);
    assert!(proxy.reload().await, "{}", proxy.logged());
    assert_eq!(shown(&proxy, [&authority, &authority]).await, new.der());
}

/// Whom we trust is exchanged as well, and who is trusted no more gets nothing on a connection from before.
#[tokio::test]
async fn an_upstream_is_trusted_or_not_by_what_the_last_reload_said() {
    let stage = Stage::new().await;
    let (wrong, right) = (Authority::new(), Authority::new());
    let config = right.issue().server(&[]);
    // Its connections stay open.
    let front = Acceptor::ending_tls(config, stage.origin.address(), Goodbye::Said).await;
    let ca = stage.write("ca.pem", &wrong.pem);
    let setup = stage.proxy_before(&format!("https://{}", front.address));
    let setup = setup.set(&format!("upstream_ca_file={}", ca.display()));
    let proxy = setup.start().await;
    assert_eq!(
        proxy.send(&pay("trust")).await.slug(),
        "upstream-unreachable"
    );
    stage.write("ca.pem", &right.pem);
    assert!(proxy.reload().await, "{}", proxy.logged());
    proxy.send(&pay("trust")).await.must_be_executed();
    assert_eq!(stage.origin.executions("trust"), 1);

    stage.write("ca.pem", &wrong.pem);
    assert!(proxy.reload().await, "{}", proxy.logged());
    let answer = proxy.send(&pay("no-more")).await;
    answer.must_be_problem(502, "upstream-unreachable", "no", "same-key");
    assert_eq!(stage.origin.executions("no-more"), 0);
}

/// The certificate that a new connection is shown.
async fn shown(
    proxy: &Proxy,
    trusted: [&Authority; 2],
) -> rustls::pki_types::CertificateDer<'static> {
    let tls = connect(proxy.listen, client(&trusted, "")).await.unwrap();
    let chain = tls.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

fn with_file(stage: &Stage, text: &str) -> (Setup, PathBuf) {
    let file = stage.write("oncegate.toml", text);
    (stage.proxy().flag("--config", file.to_str().unwrap()), file)
}

fn rewrite(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}
