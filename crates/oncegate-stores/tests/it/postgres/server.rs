//! A PostgreSQL server on a free loopback port, with a temporary folder of its own, that can be struck.
//!
//! The tests of `oncegate-cli` use the same file. It knows no store: whoever opens one has the URL.
//!
//! A server is many processes, so "killed" and "stopped" here mean all of them, as a power cut and a paused machine do.

use std::fs::{File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A server that is killed when the test is over.
pub(crate) struct PostgresServer {
    main: Child,
    address: SocketAddr,
    settings: Vec<String>,
    folder: TempDir,
    has_disk: bool,
    schemas: AtomicUsize,
}

impl PostgresServer {
    /// One for the whole test program, where nothing of it is struck. Each test has a schema of its own.
    ///
    /// It dies with the program: servers end with the thread that started them, and this one waits for ever.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(|| on_a_thread_that_stays(|| Self::start(&["max_connections=400"])))
    }

    /// One with these settings besides, for a test of its own.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_with(&[], settings)
    }

    /// One that finds these files beside its own: certificates, or who may connect.
    pub(crate) fn start_with(files: &[(&str, &str)], settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join(DATA);
        new_cluster(&data);
        for (name, text) in files {
            let file = data.join(name);
            std::fs::write(&file, text).unwrap();
            // Or else it takes no key from it.
            std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            give_away(&file);
        }
        Self::start_in(folder, settings, false)
    }

    /// One whose new tables go to a disk of a few megabytes, which it alone sees. What it needs for itself is elsewhere.
    pub(crate) fn start_on_a_small_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        new_cluster(&folder.path().join(DATA));
        std::fs::create_dir(folder.path().join(DISK)).unwrap();
        let server = Self::start_in(folder, &[], true);
        let disk = server.folder().join(DISK);
        server.sql(&format!(
            "CREATE TABLESPACE small LOCATION '{}'",
            disk.display()
        ));
        server.sql("ALTER SYSTEM SET default_tablespace = small");
        server.sql("SELECT pg_reload_conf()");
        server
    }

    fn start_in(folder: TempDir, settings: &[&str], has_disk: bool) -> Self {
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        // The port may be taken between here and there; then the server ends at once, and another one is tried.
        for _attempt in 0..ATTEMPTS {
            let address = free_address();
            let mut main = spawn(folder.path(), address, &settings, has_disk);
            if answers(&mut main, address) {
                return Self {
                    main,
                    address,
                    settings,
                    folder,
                    has_disk,
                    schemas: AtomicUsize::new(0),
                };
            }
        }
        panic!(
            "no PostgreSQL server could be started: {}",
            log_in(folder.path())
        );
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn log(&self) -> String {
        log_in(self.folder())
    }

    /// With the schema that is the default.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{SUPERUSER}@{}/postgres", self.address)
    }

    /// With a schema that no other test has, and that is not there yet.
    pub(crate) fn fresh_url(&self) -> String {
        format!("{}?schema={}", self.url(), self.fresh_schema())
    }

    /// The name of a schema that no other test has, and that is not there yet.
    pub(crate) fn fresh_schema(&self) -> String {
        let number = self.schemas.fetch_add(1, Ordering::Relaxed);
        format!("test{number}")
    }

    /// What the server says to an operator: columns are divided by `|`.
    pub(crate) fn sql(&self, statements: &str) -> String {
        let asked = Command::new(installed("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()])
            .args(["-U", SUPERUSER, "-d", "postgres"])
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statements])
            .output()
            .expect("psql is installed: run `make setup`");
        let errors = String::from_utf8_lossy(&asked.stderr);
        assert!(asked.status.success(), "{statements}: {errors}");
        let said = String::from_utf8(asked.stdout).unwrap();
        said.trim_end().to_owned()
    }

    /// Takes all room on the small disk.
    pub(crate) fn fill_the_disk(&self) {
        let full = std::fs::write(self.ballast(), vec![0; DISK_BYTES]);
        full.expect_err("there is an end to the disk");
    }

    pub(crate) fn make_room_on_the_disk(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        let disk = self.folder().join(DISK);
        PathBuf::from(format!(
            "/proc/{}/root{}/ballast",
            self.main.id(),
            disk.display()
        ))
    }

    /// It takes connections and bytes, and answers nothing.
    pub(crate) fn stop(&self) {
        // First the one that would start others.
        signal(self.main_pid(), Signal::STOP);
        for child in self.children() {
            signal(child, Signal::STOP);
        }
    }

    pub(crate) fn go_on(&self) {
        for child in self.children() {
            signal(child, Signal::CONT);
        }
        signal(self.main_pid(), Signal::CONT);
    }

    /// The sessions whose last statement is like this one take bytes and answer nothing, until [`wake`](Self::wake). New
    /// ones work.
    pub(crate) fn put_to_sleep(&self, like: &str) -> Vec<i32> {
        let told = self.sql(&format!(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'oncegate' AND query LIKE '{like}'"
        ));
        let pids: Vec<i32> = told.lines().map(|pid| pid.parse().unwrap()).collect();
        for pid in &pids {
            signal(Pid::from_raw(*pid).unwrap(), Signal::STOP);
        }
        pids
    }

    /// They go on where they were. Returns when they have done all that they had been sent, and have ended because
    /// nobody is there any more.
    #[expect(
        clippy::disallowed_methods,
        reason = "servers are waited for in real time"
    )]
    pub(crate) fn wake(&self, sessions: &[i32]) {
        let pids: Vec<String> = sessions.iter().map(ToString::to_string).collect();
        for pid in sessions {
            signal(Pid::from_raw(*pid).unwrap(), Signal::CONT);
        }
        let ask = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid IN ({})",
            pids.join(", ")
        );
        let began = Instant::now();
        while self.sql(&ask) != "0" {
            assert!(began.elapsed() < START_TIMEOUT, "the sessions do not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All of it at once, as in a power cut.
    pub(crate) fn kill(&mut self) {
        if self.main.try_wait().unwrap().is_some() {
            return;
        }
        signal(self.main_pid(), Signal::STOP);
        for child in self.children() {
            signal(child, Signal::KILL);
        }
        self.main.kill().unwrap();
        self.main.wait().unwrap();
    }

    /// As an operator does it: connections are ended, nothing is lost.
    pub(crate) fn shut_down(&mut self) {
        // Fast shutdown.
        signal(self.main_pid(), Signal::INT);
        self.main.wait().unwrap();
    }

    /// Up again on the same port, after [`kill`](Self::kill) or [`shut_down`](Self::shut_down).
    pub(crate) fn start_again(&mut self) {
        self.main = spawn(
            self.folder.path(),
            self.address,
            &self.settings,
            self.has_disk,
        );
        assert!(
            answers(&mut self.main, self.address),
            "the server did not come back: {}",
            self.log()
        );
    }

    /// A standby that follows this server, and takes no writes.
    pub(crate) fn standby(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join(DATA);
        let port = self.address.port().to_string();
        let copied = as_somebody("pg_basebackup", folder.path())
            .args(["-h", "127.0.0.1", "-p", &port, "-U", SUPERUSER])
            .args(["--checkpoint=fast", "--write-recovery-conf", "-D"])
            .arg(&data)
            .status()
            .unwrap();
        assert!(copied.success(), "no standby could be made");
        Self::start_in(folder, &["hot_standby=on"], false)
    }

    /// Until a standby has all that its server has written.
    #[expect(
        clippy::disallowed_methods,
        reason = "servers are waited for in real time"
    )]
    pub(crate) fn wait_until_it_has(&self, server: &Self) {
        let written = server.sql("SELECT pg_current_wal_flush_lsn()");
        let ask = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        let began = Instant::now();
        while self.sql(&ask) != "t" {
            assert!(
                began.elapsed() < START_TIMEOUT,
                "the standby does not follow"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn main_pid(&self) -> Pid {
        Pid::from_child(&self.main)
    }

    fn children(&self) -> Vec<Pid> {
        let pid = self.main.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let pids = children.split_ascii_whitespace();
        pids.filter_map(|pid| Pid::from_raw(pid.parse().unwrap()))
            .collect()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of PostgreSQL's, where Debian hides it. The highest version wins.
pub(crate) fn installed(name: &str) -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIANS_FOLDER)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin").join(name)))
        })
        .filter(|(_version, program)| program.exists())
        .collect();
    versions.sort();
    versions
        .pop()
        .map_or_else(|| PathBuf::from(name), |(_version, program)| program)
}

/// A program that ends with this one, and that is not root's: servers refuse that. The folder becomes its owner's.
pub(crate) fn as_somebody(program: &str, folder: &Path) -> Command {
    give_away(folder);
    let mut command = Command::new("setpriv");
    for word in somebody() {
        command.arg(word);
    }
    command.arg(installed(program));
    in_folder(command, folder)
}

/// The same with a small disk at the folder's `disk`. Nobody else sees it, so nobody has to take it away.
fn as_somebody_on_a_small_disk(program: &str, folder: &Path) -> Command {
    give_away(folder);
    let mut command = Command::new("unshare");
    // Who is not root becomes it for himself alone, and nobody in particular again: the server refuses root.
    let (root, nobody): (&[&str], &[&str]) = if is_root() {
        (&["--mount"], &[])
    } else {
        (
            &["--mount", "--map-root-user"],
            &["unshare", "--map-user=1000"],
        )
    };
    let owner = if is_root() { NOBODY } else { 0 };
    command
        .args(root)
        .args(["sh", "-c"])
        .arg(format!(
            "mount -t tmpfs -o size={DISK_BYTES},uid={owner} tmpfs {DISK} && exec \"$@\""
        ))
        .arg("sh")
        .args(nobody)
        .arg("setpriv")
        .args(somebody())
        .arg(installed(program));
    in_folder(command, folder)
}

fn in_folder(mut command: Command, folder: &Path) -> Command {
    command
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// What `setpriv` is told.
fn somebody() -> Vec<String> {
    let mut words = vec!["--pdeathsig".to_owned(), "KILL".to_owned()];
    if is_root() {
        words.extend([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
        words.push("--clear-groups".to_owned());
    }
    words
}

fn give_away(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// What is started there ends with the program, not with the test.
pub(crate) fn on_a_thread_that_stays<T: Send + 'static>(
    start: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (give, take) = mpsc::channel();
    std::thread::spawn(move || {
        give.send(start()).unwrap_or_default();
        loop {
            std::thread::park();
        }
    });
    take.recv().expect("what is shared was started")
}

/// To make one takes a second, to copy one a tenth of it.
fn new_cluster(data: &Path) {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let made = as_somebody("initdb", folder.path())
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8"])
            .args(["--username", SUPERUSER, "--pgdata", DATA])
            .status()
            .expect("PostgreSQL is installed: run `make setup`");
        assert!(made.success(), "no cluster could be made");
        folder
    });
    let copied = Command::new("cp")
        .arg("-a")
        .arg(template.path().join(DATA))
        .arg(data)
        .status()
        .unwrap();
    assert!(copied.success(), "no cluster could be copied");
}

fn spawn(folder: &Path, address: SocketAddr, settings: &[String], has_disk: bool) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join(LOG))
        .unwrap();
    let mut server = if has_disk {
        as_somebody_on_a_small_disk("postgres", folder)
    } else {
        as_somebody("postgres", folder)
    };
    server
        .args(["-D", DATA, "-h", "127.0.0.1"])
        .args(["-p", &address.port().to_string()])
        .stderr(log);
    // Nobody cuts the power of this machine: what a killed server has written is there.
    for setting in [
        "unix_socket_directories=",
        "fsync=off",
        "shared_buffers=16MB",
    ] {
        server.args(["-c", setting]);
    }
    for setting in settings {
        server.args(["-c", setting]);
    }
    server
        .spawn()
        .expect("setpriv is installed: run `make setup`")
}

/// Whether it takes requests before it ends, within the time that it may take.
#[expect(
    clippy::disallowed_methods,
    reason = "servers are waited for in real time"
)]
pub(crate) fn answers(main: &mut Child, address: SocketAddr) -> bool {
    let began = Instant::now();
    while began.elapsed() < START_TIMEOUT {
        if main.try_wait().unwrap().is_some() {
            return false;
        }
        let ready = Command::new(installed("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &address.port().to_string()])
            .status()
            .expect("pg_isready is installed: run `make setup`");
        if ready.success() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn log_in(folder: &Path) -> String {
    std::fs::read_to_string(folder.join(LOG)).unwrap_or_default()
}

/// One that ended meanwhile needs none.
fn signal(pid: Pid, signal: Signal) {
    let _sent_or_gone = kill_process(pid, signal);
}

pub(crate) const SUPERUSER: &str = "oncegate";
const DATA: &str = "data";
const LOG: &str = "log";
const DISK: &str = "disk";
const DISK_BYTES: usize = 4 << 20;
const DEBIANS_FOLDER: &str = "/usr/lib/postgresql";
/// `nobody`, on Debian and its like: owns nothing that could be harmed.
const NOBODY: u32 = 65_534;
const ATTEMPTS: usize = 5;
const START_TIMEOUT: Duration = Duration::from_secs(60);
