//! The programs of docs/clients.md, run as they stand there: through wires that are cut, and against answers that
//! leave a doubt. What ran is what the origin's own book says.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::harness::{Act, Cut, Python, Relay, Stage, program, run};

/// A program of the page.
enum ByHand {
    Python(Python, String),
    Node(PathBuf),
}

/// What a program printed: how it ended, the status of the last answer, and its text.
#[derive(Debug)]
struct Told {
    ended: String,
    text: String,
}

/// M-44 to M-47: no loss makes two of one, and the answer is the one that the origin gave.
#[tokio::test]
async fn the_programs_of_the_page_pay_once_through_a_cut_wire() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let relay = Relay::before(proxy.listen).await;
    let runs: [&[Cut]; 4] = [
        &[],
        &[Cut::BeforeAnswer],
        &[Cut::BeforeEnd(10)],
        &[Cut::BeforeAnswer, Cut::BeforeEnd(1), Cut::BeforeAnswer],
    ];
    for by_hand in ByHand::all(&stage).await {
        for cuts in runs {
            let before = stage.origin.book().len();
            relay.cut(cuts.iter().copied());
            let told = by_hand.pay(relay.address()).await;
            assert_eq!(relay.left(), 0, "every cut was made");
            assert_eq!(told.ended, "yes 201", "{told:?}");
            let book = stage.origin.book();
            assert_eq!(book.len(), before + 1, "{cuts:?}: it ran once");
            assert_eq!(told.text.as_bytes(), book[before].answer, "{cuts:?}");
            assert_eq!(book[before].request.body, by_hand.body(), "{cuts:?}");
            assert!(book[before].key.is_some(), "{cuts:?}: it had a key");
        }
    }
}

/// The upstream breaks off after the execution: no answer will tell, and no attempt runs it again.
#[tokio::test]
async fn the_programs_of_the_page_end_unknown_where_nobody_knows() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    for by_hand in ByHand::all(&stage).await {
        let before = stage.origin.book().len();
        stage.origin.plan_next(Act::Cut);
        let told = by_hand.pay(proxy.listen).await;
        assert_eq!(told.ended, "unknown 409", "{told:?}");
        assert_eq!(stage.origin.book().len(), before + 1, "it ran once");
    }
}

/// 402 is the key's outcome: the lost answer is asked for again, and is a definite no in spite of the doubt.
#[tokio::test]
async fn the_programs_of_the_page_believe_a_kept_no_even_after_a_doubt() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let relay = Relay::before(proxy.listen).await;
    for by_hand in ByHand::all(&stage).await {
        let before = stage.origin.book().len();
        stage.origin.plan_next(Act::status("402 Payment Required"));
        relay.cut([Cut::BeforeAnswer]);
        let told = by_hand.pay(relay.address()).await;
        assert_eq!(relay.left(), 0, "the cut was made");
        assert_eq!(told.ended, "no 402", "{told:?}");
        assert_eq!(stage.origin.book().len(), before + 1, "it ran once");
    }
}

/// A server without keys: the first answer is lost, and a 403 does not say what became of the first attempt.
#[tokio::test]
async fn the_programs_of_the_page_take_no_bare_refusal_for_a_no_after_a_doubt() {
    let stage = Stage::new().await;
    let relay = Relay::before(stage.origin.address()).await;
    for by_hand in ByHand::all(&stage).await {
        stage.origin.plan_next(Act::Create);
        stage.origin.plan_next(Act::status("403 Forbidden"));
        relay.cut([Cut::BeforeAnswer]);
        assert_eq!(by_hand.pay(relay.address()).await.ended, "unknown 403");
        // The same refusal without a doubt before it.
        stage.origin.plan_next(Act::status("403 Forbidden"));
        assert_eq!(by_hand.pay(relay.address()).await.ended, "no 403");
    }
}

/// A wait that is asked for in seconds, one as a date that is past, and one that is too long to wait for.
#[tokio::test]
async fn the_programs_of_the_page_heed_retry_after() {
    let stage = Stage::new().await;
    let origin = &stage.origin;
    for by_hand in ByHand::all(&stage).await {
        let before = origin.book().len();
        origin.plan_next(wait("1"));
        origin.plan_next(wait("Wed, 21 Oct 2015 07:28:00 GMT"));
        origin.plan_next(Act::Create);
        assert_eq!(by_hand.pay(origin.address()).await.ended, "yes 201");
        let book = origin.book();
        let attempts = &book[before..];
        assert_eq!(attempts.len(), 3);
        for attempt in attempts {
            assert!(attempt.key.is_some(), "{attempt:?}");
            assert_eq!(attempt.key, attempts[0].key, "one key for all attempts");
            assert_eq!(attempt.request.body, by_hand.body(), "the same bytes");
        }
        origin.plan_next(wait("3600"));
        assert_eq!(by_hand.pay(origin.address()).await.ended, "no 429");
        assert_eq!(origin.book().len(), before + 4, "it did not ask again");
    }
}

/// Nobody listens: nothing was sent, and that is known.
#[tokio::test]
async fn the_programs_of_the_page_say_no_where_nothing_was_sent() {
    let stage = Stage::new().await;
    // The port is held and not listened on, so that nobody else takes it.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = socket.local_addr().unwrap();
    for by_hand in ByHand::all(&stage).await {
        assert_eq!(by_hand.pay(nobody).await.ended, "no -");
    }
}

impl ByHand {
    async fn all(stage: &Stage) -> [Self; 2] {
        let python = Self::Python(Python::ready().await, block("python"));
        let node = Self::Node(stage.write("pay.mjs", &block("javascript")));
        [python, node]
    }

    /// What it sends: Python's `json` puts a space behind the colon.
    const fn body(&self) -> &'static [u8] {
        match self {
            Self::Python(..) => br#"{"amount": 1200}"#,
            Self::Node(_) => br#"{"amount":1200}"#,
        }
    }

    /// One payment, to its end.
    async fn pay(&self, at: SocketAddr) -> Told {
        let url = format!("http://{at}/payments");
        let printed = match self {
            Self::Python(python, script) => python.script(script, &url).await,
            Self::Node(script) => {
                let mut node = program("node");
                node.arg(script).arg(&url);
                let ended = run(node).await;
                assert_eq!(ended.code, Some(0), "{ended:?}");
                ended.stdout
            }
        };
        let (ended, text) = printed.split_once('\n').unwrap();
        Told {
            ended: ended.to_owned(),
            text: text.trim_end().to_owned(),
        }
    }
}

/// The one program of this language on the page.
fn block(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/clients.md");
    let page = std::fs::read_to_string(page).unwrap();
    let fence = format!("```{language}\n");
    let blocks: Vec<_> = page.split(&fence).skip(1).collect();
    assert_eq!(blocks.len(), 1, "one program in {language}");
    blocks[0].split("\n```").next().unwrap().to_owned()
}

fn wait(retry_after: &str) -> Act {
    Act::Bytes(
        format!(
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        )
        .into_bytes(),
    )
}
