//! Python programs from PyPI: installed once, into a folder of the build.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::program::{program, run, run_for};
use super::within;

/// A Python that has what is needed.
pub(crate) struct Python {
    folder: PathBuf,
}

/// A stateful stand-in for Stripe that runs.
pub(crate) struct LocalStripe {
    address: SocketAddr,
    _child: Child,
    /// Held open: it has more to say, and would die of a broken pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Python {
    /// Installs what is missing; another test that does so at this moment is waited for.
    pub(crate) async fn ready() -> Self {
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .unwrap()
            .join("test-tools");
        std::fs::create_dir_all(&tools).unwrap();
        let lock = File::create(tools.join("venv.lock")).unwrap();
        // This blocks the thread, which is this test's own.
        lock.lock().unwrap();
        let python = Self {
            folder: tools.join("venv"),
        };
        let mark = python.folder.join("installed");
        let wanted = PACKAGES.join(" ");
        if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
            return python;
        }
        let mut venv = program("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&python.folder);
        install(venv).await;
        let mut pip = python.program("pip");
        pip.args(["install", "--quiet", "--disable-pip-version-check"])
            .args(PACKAGES);
        install(pip).await;
        std::fs::write(mark, wanted).unwrap();
        python
    }

    /// One customer, created by a client of this library that retries by itself: what it got in the end.
    pub(crate) async fn client(&self, library: &str, to: SocketAddr, key: &str) -> Value {
        let mut command = self.program("python");
        command
            .arg("-c")
            .arg(CLIENT)
            .args([library, &to.to_string(), key]);
        let ended = run(command).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
    }

    /// Runs this program to its end: what it printed.
    pub(crate) async fn script(&self, script: &str, argument: &str) -> String {
        let mut command = self.program("python");
        command.arg("-c").arg(script).arg(argument);
        let ended = run(command).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }

    /// Starts it on a free port, without anything in it.
    pub(crate) async fn localstripe(&self) -> LocalStripe {
        let mut command = self.program("localstripe");
        command
            .args(["--from-scratch", "--port", "0"])
            .env("PYTHONUNBUFFERED", "1");
        // It logs each request, and nobody reads that: a full pipe would stop it.
        command.stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = within("the start of localstripe", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it runs");
                if let Some((_, rest)) = line.split_once("Running on http://[::]:") {
                    return rest.split(' ').next().unwrap().parse::<u16>().unwrap();
                }
            }
        })
        .await;
        LocalStripe {
            address: ([127, 0, 0, 1], port).into(),
            _child: child,
            _stdout: lines,
        }
    }

    fn program(&self, name: &str) -> Command {
        program(self.folder.join("bin").join(name))
    }
}

impl LocalStripe {
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn install(command: Command) {
    let ended = run_for(INSTALL_TIMEOUT, command).await;
    let said = &ended.stderr;
    assert_eq!(
        ended.code,
        Some(0),
        "{said}; run `make setup`, and see that PyPI can be reached"
    );
}

/// All that is not the standard library, as of the day on which it was seen to work.
const PACKAGES: [&str; 6] = [
    "localstripe==1.15.10",
    "aiohttp==3.14.5",
    "httpx==0.28.1",
    "requests==2.34.2",
    "stripe==16.1.0",
    "urllib3==2.8.0",
];
const INSTALL_TIMEOUT: Duration = Duration::from_secs(240);
const CLIENT: &str = include_str!("client.py");
