//! A real crash: this program once more, as `oncegate serve` on the same store, killed with SIGKILL.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::command::Failed;
use crate::config::ServeArgs;

/// A proxy in a process of its own.
#[derive(Debug)]
pub(super) struct Victim(Child);

impl Victim {
    /// Starts it with `flags`, and waits until it listens on `address`.
    pub(super) async fn start(flags: &ServeArgs, address: SocketAddr) -> Result<Self, Failed> {
        let program = std::env::current_exe().map_err(|error| {
            Failed::unavailable("this program cannot find itself").because(error)
        })?;
        let mut command = Command::new(program);
        command.arg("serve").args(["--admin", "off"]);
        for (flag, value) in [
            ("--upstream", &flags.upstream),
            ("--listen", &flags.listen),
            ("--store", &flags.store),
        ] {
            command.args(
                value
                    .as_ref()
                    .map(|value| [flag, value.as_str()])
                    .into_iter()
                    .flatten(),
            );
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ONCEGATE_") {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|error| Failed::unavailable("cannot start another proxy").because(error))?;
        let mut victim = Self(child);
        match timeout(START_TIMEOUT, victim.listens_on(address)).await {
            Ok(true) => Ok(victim),
            Ok(false) | Err(_) => Err(Failed::unavailable("the other proxy did not start")),
        }
    }

    /// Polls: another process has no other way to say that it is ready, and this one may be gone.
    async fn listens_on(&mut self, address: SocketAddr) -> bool {
        loop {
            if TcpStream::connect(address).await.is_ok() {
                return true;
            }
            if !matches!(self.0.try_wait(), Ok(None)) {
                return false;
            }
            sleep(START_POLL).await;
        }
    }

    /// Kills it with SIGKILL: nothing in it gets to run any more.
    pub(super) async fn kill(mut self) -> Result<(), Failed> {
        self.0
            .kill()
            .await
            .map_err(|error| Failed::unavailable("cannot kill the proxy").because(error))
    }
}

const START_TIMEOUT: Duration = Duration::from_secs(20);
const START_POLL: Duration = Duration::from_millis(20);
