//! Processes that the driver starts: pinned to a core, measured from outside, and gone when the driver is.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use crate::roles::EXECUTIONS;

/// A server that runs. It is killed when this is dropped.
pub struct Process {
    child: Child,
    cpu_clock: ClockId,
}

/// Which core a process may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Core(pub usize);

impl Process {
    /// The same command under another program.
    pub fn under(program: &[String], command: Command) -> Command {
        let Some((program, arguments)) = program.split_first() else {
            return command;
        };
        let mut under = Command::new(program);
        under
            .args(arguments)
            .arg(command.get_program())
            .args(command.get_args());
        adopt(&mut under, &command);
        under
    }

    /// Starts `command` on `core` and waits until it listens on `address`. What it prints goes to `log`.
    pub fn start(command: Command, core: Core, address: SocketAddr, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let out = File::create(log)?;
        // `setpriv` sees to it that a driver that was killed leaves nothing behind. Both become the program.
        let mut pinned = Command::new("setpriv");
        pinned
            .args(["--pdeathsig", "KILL", "taskset", "--cpu-list"])
            .arg(core.0.to_string())
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        adopt(&mut pinned, &command);
        let child = pinned
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let cpu_clock = clock_getcpuclockid(pid)?;
        let mut process = Self { child, cpu_clock };
        if let Err(error) = process.wait_until_it_listens(address) {
            let said = fs::read_to_string(log).unwrap_or_default();
            return Err(error.context(format!("{name} said: {}", said.trim())));
        }
        Ok(process)
    }

    /// The processor time of all its threads and of its children so far, the kernel's part included: a server may
    /// have a process for each connection.
    pub fn cpu(&self) -> Result<Duration> {
        let mut cpu = self.cpu_clock.now()?.into();
        let pid = self.child.id();
        for child in
            fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.split_whitespace()
        {
            let clock = clock_getcpuclockid(Pid::from_raw(child.parse()?));
            // One that has just ended is not counted: servers that are measured keep theirs.
            if let Ok(now) = clock.and_then(ClockId::now) {
                cpu += Duration::from(now);
            }
        }
        Ok(cpu)
    }

    /// The most memory that it had resident, in bytes.
    pub fn memory_peak(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// The memory that it has resident, in bytes.
    pub fn memory(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// Asks it to stop, and waits until it did.
    pub fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, Signal::SIGTERM)?;
        let start = Instant::now();
        while start.elapsed() < STOP_TIMEOUT {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(START_POLL);
        }
        bail!("does not stop within {STOP_TIMEOUT:?}")
    }

    fn status(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
        let kilobytes: u64 = kilobytes.context("no such line in its status")?.parse()?;
        Ok(kilobytes * 1024)
    }

    fn wait_until_it_listens(&mut self, address: SocketAddr) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < START_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status} before it listened");
            }
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            sleep(START_POLL);
        }
        bail!("does not listen on {address} after {START_TIMEOUT:?}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to do.
        let _killed_or_gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// The environment and the folder of `command`, for another one.
fn adopt(other: &mut Command, command: &Command) {
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => other.env(variable, value),
            None => other.env_remove(variable),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        other.current_dir(folder);
    }
}

/// A port on loopback that nobody listens on.
///
/// From below the range that the kernel gives to outgoing connections and to those who ask for any port: between
/// this look and the server's own bind, nobody else is to get it.
pub fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let pid = u16::try_from(std::process::id() % u32::from(PORTS))?;
    for _ in 0..PORTS {
        let place = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(pid) % PORTS;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", FIRST_PORT + place)) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no port is free from {FIRST_PORT} on")
}

/// How many payments the origin at `address` has made.
pub fn executions(address: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {EXECUTIONS} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "no count: {answer}");
    let (_, count) = answer
        .split_once("\r\n\r\n")
        .context("an answer without end")?;
    count.trim().parse().context("a count is a number")
}

/// Under valgrind, on a machine that is busy, a start takes long.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const START_POLL: Duration = Duration::from_millis(5);
