//! What nobody may find in a log or in a stolen store file.

use std::path::Path;

use crate::harness::{Act, Http2, Request, Stage, Wire, get, pay};

/// M-37: with everything logged that can be, and every kind of answer given, the raw key, the credential and the
/// bodies are in no log, no metric and no list; keys and credentials are in no file either.
#[tokio::test]
async fn no_key_credential_or_body_is_in_logs_metrics_or_files() {
    let stage = Stage::new().await;
    let proxy = stage
        .proxy()
        .set("answer_timeout=10s")
        .log("debug")
        .start()
        .await;
    let first = proxy.send(&secret(KEY)).await;
    first.must_be_executed();
    proxy.send(&secret(KEY)).await.must_replay(&first);
    proxy
        .send(&secret(KEY).body(format!("{BODY} and more")))
        .await;
    proxy.send(&secret(&format!("\"{KEY}"))).await;
    proxy
        .send(&secret(KEY).header("Idempotency-Key", KEY))
        .await;
    proxy.send(&secret(KEY).header("Cookie", COOKIE)).await;
    proxy.send(&pay(KEY).header("X-Api-Key", CREDENTIAL)).await;
    for (number, act) in [Act::Cut, Act::status("500 Oops"), Act::bytes(BODY)]
        .into_iter()
        .enumerate()
    {
        let key = format!("{KEY}-{number}");
        stage.origin.plan(&key, [act]);
        proxy.send(&secret(&key)).await;
        proxy.send(&secret(&key)).await;
    }
    let mut half = Wire::connect(proxy.listen).await.unwrap();
    half.write(secret(KEY).head("Content-Length: 1000\r\n") + BODY)
        .await
        .unwrap();
    half.reset();
    let http2 = Http2::connect(proxy.listen).await;
    http2.pay(KEY, BODY).await.answer().await.must_be_executed();
    proxy
        .send(&get("/payments").header("Authorization", CREDENTIAL))
        .await;

    let told = [
        proxy.ask("/metrics").await.text(),
        proxy.keys(&["list", "--json"]).await.stdout,
        proxy.keys(&["list"]).await.stdout,
    ];
    for secret in SECRETS {
        assert!(told.iter().all(|text| !text.contains(secret)), "{secret}");
    }
    // A kill leaves the log of the store as it is; an orderly end may tidy it up.
    let folder = stage.folder();
    let files = [stage.store_file(), folder.join("oncegate.db-wal")];
    let logged = proxy.logged();
    let setup = proxy.kill().await;
    assert!(files.iter().all(|file| file.exists()), "{files:?}");
    assert!(logged.contains("\"level\":\"DEBUG\""), "{logged}");
    for secret in SECRETS {
        assert!(
            !logged.contains(secret),
            "{secret} is in the log: {}",
            line_with(&logged, secret)
        );
        assert!(
            files.iter().all(|file| !is_in(file, secret)),
            "{secret} is in the store"
        );
    }
    // The stored answer is there, and so it is these files that the secrets are not in.
    let execution = &stage.origin.book()[0];
    let answer = String::from_utf8_lossy(&execution.answer).into_owned();
    assert!(files.iter().any(|file| is_in(file, &answer[..40])));
    let proxy = setup.start().await.stop().await.start().await;
    proxy.send(&secret(KEY)).await.must_replay(&first);
    assert!(SECRETS.iter().all(|secret| !is_in(&files[0], secret)));
}

/// The store file holds answers: nobody but its owner may read it.
#[tokio::test]
async fn the_store_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    proxy.send(&pay("mode")).await.must_be_executed();
    for name in ["oncegate.db", "oncegate.db-wal"] {
        let mode = std::fs::metadata(stage.folder().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

fn secret(key: &str) -> Request {
    pay(key).header("Authorization", CREDENTIAL).body(BODY)
}

fn is_in(file: &Path, text: &str) -> bool {
    let bytes = std::fs::read(file).unwrap();
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn line_with<'a>(text: &'a str, part: &str) -> &'a str {
    text.lines()
        .find(|line| line.contains(part))
        .unwrap_or_default()
}

const KEY: &str = "key-7f3a-never-written-down";
const CREDENTIAL: &str = "Bearer token-91zz-never-written-down";
const COOKIE: &str = "session=cookie-55qq-never-written-down";
const BODY: &str = "{\"card\":\"4242-never-written-down\"}";
/// What is looked for: the parts that tell.
const SECRETS: [&str; 4] = ["key-7f3a", "token-91zz", "cookie-55qq", "4242-never"];
