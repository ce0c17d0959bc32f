//! An origin that is a process of its own, which can be killed and comes back: this test binary, told to serve.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use oncegate_check::case::{Case, Need};
use oncegate_check::dialect::ONCEGATE;
use oncegate_check::operation::Operation;
use oncegate_check::report::Verdict;
use oncegate_check::wire::{Framing, Leave, Outcome, Peer, Request, exchange};
use oncegate_check::{cases, run};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::origin::journal::Journal;
use crate::origin::{Defect, serve};
use crate::verdicts::{limits, operation};

/// The broken origin of each case that needs a restart, and a part of what the finding has to say.
pub(crate) const BROKEN: &[(&str, Defect, &str)] = &[
    ("restart-keeps-keys", Defect::ForgetsAtRestart, "ran again"),
    (
        "crash-runs-once",
        Defect::RunsAgainAfterCrash,
        "it ran 2 times, where 1 may be",
    ),
    (
        "crash-is-told",
        Defect::WaitsForTheDead,
        "still told that the first is in flight",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_comes_back_passes_what_needs_a_restart() {
    let origin = Restartable::start("None").await;
    let cases: Vec<_> = cases::all().filter(needs_restart).collect();
    for (id, verdict, because) in origin.check(&cases).await {
        assert_eq!(verdict, Verdict::Pass, "{id}: {because}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_case_that_needs_a_restart_fails_on_the_origin_that_is_broken_there() {
    for (id, defect, says) in BROKEN {
        let origin = Restartable::start(&format!("{defect:?}")).await;
        let case = cases::named(id).expect("a case of that name");
        for (id, verdict, because) in origin.check(&[case]).await {
            assert_eq!(verdict, Verdict::Fail, "{id} on {defect:?}: {because}");
            assert!(because.contains(says), "{id} on {defect:?}: {because}");
        }
    }
}

/// In the process that a test starts, this is the origin; otherwise it holds the harness to what the others build on.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_origin_is_another_process_that_knows_what_the_first_wrote() {
    if let Ok(told) = std::env::var(TOLD) {
        return be_the_origin(&told).await;
    }
    let origin = Restartable::start("None").await;
    let first = (origin.process(), origin.send("POST").await);
    origin.run_script().await;
    let second = (origin.process(), origin.send("POST").await);
    assert_ne!(first.0, second.0, "the process");
    assert_ne!(first.1, second.1, "the payment");
    let list: serde_json::Value = serde_json::from_slice(&origin.send("GET").await).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
}

fn needs_restart(case: &&'static Case) -> bool {
    case.needs.contains(&Need::Chaos)
}

struct Restartable {
    folder: TempDir,
    address: SocketAddr,
    script: String,
}

impl Restartable {
    /// Starts the origin by the script that also restarts it.
    async fn start(defect: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(PROCESS), "").unwrap();
        let address = free_address();
        let path = folder.path().display();
        let program = std::env::current_exe().unwrap();
        let program = program.display();
        let script = format!(
            "cd '{path}'; last=$(cat process); [ -z \"$last\" ] || kill -9 $last; \
             {TOLD}='{defect} {address} {path}' '{program}' --exact {ORIGIN} >log 2>&1 & \
             while [ \"$(cat process)\" = \"$last\" ]; do sleep 0.01; done",
        );
        let origin = Self {
            folder,
            address,
            script,
        };
        origin.run_script().await;
        origin
    }

    /// The body of the answer.
    async fn send(&self, method: &str) -> Vec<u8> {
        let (peer, target) = Peer::of(&format!("http://{}/payments", self.address)).unwrap();
        let request = Request {
            method: method.to_owned(),
            target,
            fields: vec![
                ("Host".to_owned(), b"localhost".to_vec()),
                ("Authorization".to_owned(), b"Bearer first".to_vec()),
            ],
            body: br#"{"amount":1}"#.to_vec(),
            framing: Framing::Length,
        };
        match exchange(&peer, &request, Leave::Never, UP_MAX).await {
            Outcome::Answered(response) => response.body,
            other @ (Outcome::Left | Outcome::Broken(_) | Outcome::Unreachable(_)) => {
                panic!("{other:?}")
            }
        }
    }

    /// Ends when another process has the address.
    async fn run_script(&self) {
        let mut script = Command::new("sh");
        script.args(["-c", &self.script]).kill_on_drop(true);
        let status = timeout(UP_MAX, script.status()).await;
        assert!(status.expect("the origin comes up").unwrap().success());
    }

    async fn check(&self, cases: &[&'static Case]) -> Vec<(&'static str, Verdict, String)> {
        let operation = Operation {
            chaos: Some(["sh", "-c", &self.script].map(str::to_owned).to_vec()),
            ..operation(&format!("http://{}/payments", self.address))
        };
        let report = run(&operation, &ONCEGATE, cases, &limits(), |_| {}).await;
        let findings = report.unwrap().findings.into_iter();
        findings
            .map(|finding| (finding.case.id, finding.verdict, finding.because))
            .collect()
    }

    fn process(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(PROCESS)).unwrap()
    }
}

impl Drop for Restartable {
    fn drop(&mut self) {
        let killed = std::process::Command::new("kill")
            .args(["-9", &self.process()])
            .status();
        drop(killed);
    }
}

/// Serves under the address and from the folder that it was told.
async fn be_the_origin(told: &str) {
    let [defect, address, folder] = told.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("{told:?} is no order");
    };
    let named = |known: &&Defect| format!("{known:?}") == defect;
    let defect = *DEFECTS.iter().find(named).unwrap();
    let folder = PathBuf::from(folder);
    let serving = async {
        let listener = bind(address).await;
        say_which_process(&folder);
        serve(listener, defect, Some(Journal::at(folder.join("journal")))).await;
    };
    // Whatever becomes of the test, its origin ends.
    let _ended = timeout(LIFE_MAX, serving).await;
}

/// In one step: whoever reads it reads the whole number, and knows that the address is ours.
fn say_which_process(folder: &Path) {
    let written = folder.join("process.new");
    std::fs::write(&written, std::process::id().to_string()).unwrap();
    std::fs::rename(written, folder.join(PROCESS)).unwrap();
}

/// The address may still be held by the process that was killed.
async fn bind(address: &str) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Outside of the range from which connections take their ports: it is to be free again after a restart.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let number = std::process::id() * 16 + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from(number % 10_000).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The file with the number of the process that is the origin.
const PROCESS: &str = "process";
/// What tells a process of this program to be the origin.
const TOLD: &str = "ONCEGATE_CHECK_ORIGIN";
/// The test that is the origin then.
const ORIGIN: &str =
    "restartable::a_killed_origin_is_another_process_that_knows_what_the_first_wrote";
/// What the origin can be told to be.
const DEFECTS: &[Defect] = &[
    Defect::None,
    Defect::ForgetsAtRestart,
    Defect::RunsAgainAfterCrash,
    Defect::WaitsForTheDead,
];
const LIFE_MAX: Duration = Duration::from_mins(2);
const UP_MAX: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);
