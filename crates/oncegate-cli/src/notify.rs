//! Tells a service manager (systemd's protocol) how far the process is. Without one, nothing happens.
//!
//! Promises: "ready" is said when requests are taken, so that whoever waits for the service can send some; "stopping"
//! asks for as much time as a drain may take, whatever the manager would have allowed.
//! Deliberately absent: a watchdog. A proxy that is slow because its upstream is must not be killed for it.

use std::time::Duration;

use sd_notify::NotifyState;

/// Requests are taken from now on.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The process is about to end, once what is under way has, within this time.
pub(crate) fn stopping(drain_timeout: Duration) {
    let micros = (drain_timeout + AFTER_DRAIN).as_micros();
    let micros = u32::try_from(micros).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(micros),
    ]);
}

/// A manager that does not listen loses a message; the service is as good without it.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// What is left to do after a drain: marking the rest unknown, closing the store.
const AFTER_DRAIN: Duration = Duration::from_secs(10);
