//! File descriptors: every connection is one, and most systems start a process with 1,024.
//!
//! Promises: the process may open as many as it may ask for, and an operator is told if that is too few.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Raises the soft limit to the hard one, and says so if `config` may need more than that.
pub(crate) fn raise(config: &Config) -> Option<String> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let most = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "cannot raise the limit on file descriptors");
            limit.current
        }
    };
    let clients = config.server.connections_max * config.listen.len();
    too_few(clients as u64, most)
}

/// A client needs one, and another to the upstream while its request is under way. None is no limit.
fn too_few(clients: u64, most: Option<u64>) -> Option<String> {
    let needed = clients.saturating_mul(2).saturating_add(OTHERS);
    let most = most.filter(|most| *most < needed)?;
    Some(format!(
        "`connections_max` may take {needed} file descriptors, and there may be only {most}: clients will wait; \
         raise the limit (`ulimit -Hn`, `LimitNOFILE=`) or lower the setting"
    ))
}

/// The store, listeners, spooled bodies, operators.
const OTHERS: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_descriptors_are_reported_with_both_numbers() {
        assert_eq!(too_few(1_000, None), None);
        assert_eq!(too_few(1_000, Some(2_512)), None);
        let warning = too_few(1_000, Some(2_511)).unwrap();
        assert!(
            warning.contains("2512") && warning.contains("2511"),
            "{warning}"
        );
    }
}
