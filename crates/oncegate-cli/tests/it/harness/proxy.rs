//! `oncegate serve` as a process: started, killed, stopped, and started again on the same store file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::answer::Answer;
use super::client::{Request, get, send, try_send};
use super::program::{BINARY, Ended, oncegate, program, run};
use super::{poll_until, within};

/// How a proxy is started. Ports are free ones, other ones each time.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    folder: PathBuf,
    flags: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
    log: &'static str,
    environment: BTreeMap<String, OsString>,
    wrapper: Vec<String>,
}

/// A proxy that runs.
pub(crate) struct Proxy {
    child: Child,
    setup: Setup,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: Arc<Mutex<String>>,
    listening_to_log: Arc<Semaphore>,
    capturing: JoinHandle<()>,
}

impl Setup {
    pub(super) fn new(folder: &Path, upstream: &str) -> Self {
        let store = format!("file:{}", folder.join("oncegate.db").display());
        let setup = Self {
            folder: folder.to_path_buf(),
            flags: BTreeMap::new(),
            settings: BTreeMap::new(),
            log: "info",
            environment: BTreeMap::new(),
            wrapper: Vec::new(),
        };
        let setup = setup.flag("--upstream", upstream).flag("--store", &store);
        let setup = setup
            .flag("--listen", "127.0.0.1:0")
            .flag("--admin", "127.0.0.1:0");
        // A step of the store may take long where tests share two cores and a disk. That it gives up after half a
        // second is not what these tests are about.
        setup.set("store_timeout=20s").set("complete_timeout=20s")
    }

    /// A flag, in place of the same one.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.insert(name.to_owned(), value.to_owned());
        self
    }

    /// `NAME=VALUE`, in place of another value.
    pub(crate) fn set(mut self, setting: &str) -> Self {
        let (name, _) = setting.split_once('=').unwrap();
        self.settings.insert(name.to_owned(), setting.to_owned());
        self
    }

    pub(crate) const fn log(mut self, directives: &'static str) -> Self {
        self.log = directives;
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Started by another program, which is given the command as its last arguments and must become it.
    pub(crate) fn wrapped(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    fn command(&self) -> Command {
        let mut command = match self.wrapper.as_slice() {
            [] => program(BINARY),
            [first, rest @ ..] => {
                let mut command = program(first);
                command.args(rest).arg(BINARY);
                command
            }
        };
        command.arg("serve").current_dir(&self.folder);
        command.envs(&self.environment);
        for (name, value) in &self.flags {
            command.args([name, value]);
        }
        for setting in self.settings.values() {
            command.args(["--set", setting]);
        }
        command
    }

    /// Starts it, and waits until it says that it is ready.
    pub(crate) async fn start(&self) -> Proxy {
        self.try_start()
            .await
            .unwrap_or_else(|log| panic!("the proxy did not start: {log}"))
    }

    /// The same where it may refuse to start: then this is what it logged.
    pub(crate) async fn try_start(&self) -> Result<Proxy, String> {
        let mut command = self.command();
        command
            .env("ONCEGATE_LOG", self.log)
            .env("TMPDIR", &self.folder);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let ready = watch::Sender::new(None);
        let mut announced = ready.subscribe();
        let lines = child.stderr.take().unwrap();
        let listening_to_log = Arc::new(Semaphore::new(1));
        let listening = Arc::clone(&listening_to_log);
        let capturing = tokio::spawn(capture(lines, Arc::clone(&log), listening, ready));
        let waited = within("the start of a proxy", announced.wait_for(Option::is_some)).await;
        let Ok(addresses) = waited else {
            return Err(log.lock().clone());
        };
        let (listen, admin) = addresses.unwrap();
        drop(addresses);
        Ok(Proxy {
            child,
            setup: self.clone(),
            listen,
            admin,
            log,
            listening_to_log,
            capturing,
        })
    }

    /// Starts it, and kills it with SIGKILL after `life`, wherever it is by then.
    pub(crate) async fn die_young(&self, life: Duration) {
        let mut command = self.command();
        let mut child = command.spawn().unwrap();
        sleep(life).await;
        within("a killed process", child.kill()).await.unwrap();
    }

    /// Starts it where it is expected to fail.
    pub(crate) async fn fail(&self) -> Ended {
        run(self.command()).await
    }
}

/// Keeps what is logged; its end is the end of the process.
async fn capture(
    lines: ChildStderr,
    log: Arc<Mutex<String>>,
    listening: Arc<Semaphore>,
    ready: watch::Sender<Option<(SocketAddr, SocketAddr)>>,
) {
    let mut lines = BufReader::new(lines).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let _listening = listening.acquire().await;
        if let Some(addresses) = announcement(&line) {
            ready.send_replace(Some(addresses));
        }
        let mut log = log.lock();
        log.push_str(&line);
        log.push('\n');
    }
}

fn announcement(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event.get("message")? != "oncegate is ready" {
        return None;
    }
    let address = |field| {
        let (_scheme, address) = event.get(field)?.as_str()?.split_once("://")?;
        address.parse().ok()
    };
    Some((address("listening")?, address("admin")?))
}

impl Proxy {
    pub(crate) async fn send(&self, request: &Request) -> Answer {
        send(self.listen, request).await
    }

    /// Asks the admin listener.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        send(self.admin, &get(path).header("Host", "localhost")).await
    }

    /// The same where it may be gone.
    pub(crate) async fn try_ask(&self, path: &str) -> std::io::Result<Answer> {
        try_send(self.admin, &get(path).header("Host", "localhost")).await
    }

    /// `oncegate keys` for this proxy.
    pub(crate) async fn keys(&self, arguments: &[&str]) -> Ended {
        let admin = self.admin.to_string();
        oncegate(&[&["keys", "--admin", &admin], arguments].concat()).await
    }

    /// The only record there is, as `oncegate keys list --json` has it.
    pub(crate) async fn only_key(&self) -> Value {
        let listed = self.keys(&["list", "--json"]).await;
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let keys: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys[0].clone()
    }

    /// The state of the only record there is.
    pub(crate) async fn only_state(&self) -> String {
        self.only_key().await["state"].as_str().unwrap().to_owned()
    }

    /// How much memory it holds.
    pub(crate) fn resident_bytes(&self) -> u64 {
        // `setpriv` becomes the program that it starts: it is the same process.
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line
            .and_then(|line| line.split_whitespace().nth(1))
            .unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }

    /// What it logged so far.
    pub(crate) fn logged(&self) -> String {
        self.log.lock().clone()
    }

    /// Waits until it has logged this: the log is written by a thread of its own, and may come after the deed.
    pub(crate) async fn must_log(&self, said: &str) {
        let heard = || async { self.log.lock().contains(said).then_some(()) };
        poll_until(&format!("{said:?} in the log"), heard).await;
    }

    /// Reads nothing more of what it logs: the pipe fills up.
    pub(crate) async fn ignore_log(&self) {
        self.listening_to_log.acquire().await.unwrap().forget();
    }

    /// Closes the pipe that it logs to.
    pub(crate) fn close_log(&self) {
        self.capturing.abort();
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends it a signal, by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let mut command = program("sh");
        command.args(["-c", "kill -s \"$2\" \"$1\"", "sh", &id, name]);
        assert_eq!(run(command).await.code, Some(0));
    }

    /// Waits for its end where nobody asked for it, and gives back how it can be started again.
    pub(crate) async fn died(mut self) -> (ExitStatus, Setup) {
        let ended = within("the end of a proxy", self.child.wait()).await;
        (ended.unwrap(), self.setup)
    }

    /// Kills it with SIGKILL, and gives back how it can be started again.
    pub(crate) async fn kill(mut self) -> Setup {
        within("a killed process", self.child.kill()).await.unwrap();
        self.setup
    }

    /// Asks it to stop.
    pub(crate) async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Asks it to read its configuration again, and waits until it has; says whether it was taken over.
    pub(crate) async fn reload(&self) -> bool {
        let before = self.reloads().await;
        self.signal("HUP").await;
        poll_until("a reload", || async {
            let (applied, refused) = self.reloads().await;
            (applied + refused > before.0 + before.1).then_some(applied > before.0)
        })
        .await
    }

    /// How many reloads were applied, and how many refused.
    async fn reloads(&self) -> (u64, u64) {
        let metrics = self.ask("/metrics").await.text();
        let count = |result: &str| {
            let name = format!("oncegate_reloads_total{{result=\"{result}\"}} ");
            let count = metrics.lines().find_map(|line| line.strip_prefix(&name));
            count.unwrap().parse().unwrap()
        };
        (count("applied"), count("refused"))
    }

    /// Waits for its end, and for the last line of its log.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        within("the end of a proxy", async {
            (&mut self.capturing).await.unwrap();
            self.child.wait().await.unwrap()
        })
        .await
    }

    /// Stops it in order.
    pub(crate) async fn stop(mut self) -> Setup {
        self.terminate().await;
        assert_eq!(self.ended().await.code(), Some(0), "{}", self.logged());
        self.setup
    }
}
