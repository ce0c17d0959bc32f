//! The limits on clients as settings of the real binary, and the memory and disk that bodies may take in all.

use crate::harness::{Answer, Proxy, Setup, Stage, Wire, get, pay, poll_until, within};

/// Each limit alone, with a client that passes it.
#[tokio::test]
async fn a_client_that_passes_a_limit_is_answered_or_dropped_and_runs_nothing() {
    let stage = Stage::new().await;
    let nothing = String::new();
    let whole = pay("limits").bytes();
    let whole = String::from_utf8(whole).unwrap();
    let many = format!("POST / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(9));
    let large = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
        "y".repeat(9_000)
    );
    let upgrade = get("/echo")
        .header("Connection", "upgrade")
        .header("Upgrade", "x-echo");
    let upgrade = String::from_utf8(upgrade.bytes()).unwrap();
    let stalled = pay("limits").head("Content-Length: 10\r\n") + "abc";
    let limits = [
        ("first_byte_timeout=50ms", &nothing, None),
        ("header_timeout=50ms", &whole[..20].to_owned(), None),
        ("body_idle_timeout=50ms", &stalled, Some(400)),
        ("headers_max=8", &many, Some(431)),
        ("header_bytes_max=8KiB", &large, Some(431)),
        ("tunnels_max=0", &upgrade, Some(502)),
    ];
    for (limit, bytes, code) in limits {
        let proxy = stage.proxy().set(limit).start().await;
        let mut wire = Wire::connect(proxy.listen).await.unwrap();
        wire.write(bytes).await.unwrap();
        let answer = within(limit, wire.read_answer()).await.ok();
        assert_eq!(answer.map(|answer| answer.code()), code, "{limit}");
        proxy.stop().await;
    }
    assert_eq!(stage.origin.book().len(), 0);
    // And what keeps the limits is served.
    let proxy = stage.proxy().set("idle_timeout=50ms").start().await;
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    wire.write(&whole).await.unwrap();
    Answer(wire.read_answer().await.unwrap()).must_be_executed();
    assert_eq!(within("the end", wire.read_to_end()).await.unwrap(), b"");
}

/// M-38: two uploads that do not go on take all the memory there is for requests.
#[tokio::test]
async fn memory_that_is_full_refuses_new_requests_until_uploads_end() {
    let stage = Stage::new().await;
    let setup = stage.proxy().set("buffer_bytes_total_max=1MiB");
    let setup = setup
        .set("buffer_bytes_max=512KiB")
        .set("response_bytes_max=1MiB");
    overload(&stage, setup, 390_000, true).await;
}

/// M-38: the same on disk.
#[tokio::test]
async fn a_spool_that_is_full_refuses_large_requests_until_uploads_end() {
    let stage = Stage::new().await;
    let setup = stage
        .proxy()
        .set("spool_bytes_max=1MiB")
        .set("buffer_bytes_max=1KiB");
    overload(&stage, setup, 520_000, false).await;
}

/// M-39: a client that writes to its end before it reads still gets to read its refusal. The connection was closed in
/// its face, and the reset took the answer with it.
#[tokio::test]
async fn a_refusal_in_mid_upload_reaches_a_client_that_writes_on() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("request_bytes_max=64KiB").start().await;
    for number in 0..20 {
        let mut wire = Wire::connect(proxy.listen).await.unwrap();
        let request = pay(&format!("writes-on-{number}"));
        wire.write(request.head("Transfer-Encoding: chunked\r\n"))
            .await
            .unwrap();
        // More than both kernels hold.
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
        for _ in 0..200 {
            wire.write(&chunk).await.unwrap();
        }
        let answer = Answer(within("a refusal", wire.read_answer()).await.unwrap());
        answer.must_be_problem(413, "request-too-large", "no", "fix-request");
    }
    assert_eq!(stage.origin.book().len(), 0);
}

/// Two uploads of this size stop in the middle. Until they go, there is no room for another one.
async fn overload(stage: &Stage, setup: Setup, upload_bytes: usize, small_too: bool) {
    let proxy = setup.start().await;
    let large = |key: &str| pay(key).body(vec![b'x'; 400_000]);
    let first = proxy.send(&large("done")).await;
    first.must_be_executed();
    let mut number = 0;
    // A request that comes before they are taken in finds room, or takes it from one of them: then all is done again.
    let (refused, uploads) = poll_until("no room", || {
        number += 1;
        let mut requests = vec![large(&format!("new-{number}"))];
        if small_too {
            requests.push(pay(&format!("small-{number}")).body("x".repeat(20_000)));
        }
        let proxy = &proxy;
        async move {
            let uploads = [
                upload(proxy, upload_bytes).await,
                upload(proxy, upload_bytes).await,
            ];
            let mut refused = Vec::new();
            for request in &requests {
                refused.push(proxy.send(request).await);
            }
            let all = refused.iter().all(|answer| answer.code() != 201);
            all.then_some((refused, uploads))
        }
    })
    .await;
    for refused in refused {
        refused.must_be_problem(503, "overloaded", "no", "same-key");
    }
    assert_eq!(stage.origin.executions(&format!("new-{number}")), 0);
    proxy.send(&large("done")).await.must_replay(&first);
    drop(uploads);
    poll_until("room again", || async {
        (proxy.send(&large("later")).await.code() == 201).then_some(())
    })
    .await;
    assert_eq!(stage.origin.executions("later"), 1);
}

async fn upload(proxy: &Proxy, bytes: usize) -> Wire {
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    let request = pay(&format!("upload-{bytes}"));
    wire.write(request.head("Content-Length: 600000\r\n"))
        .await
        .unwrap();
    wire.write(vec![b'x'; bytes]).await.unwrap();
    wire
}
