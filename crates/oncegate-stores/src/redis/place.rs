//! A place in a walk through all records, by `SCAN`, node after node: where it goes on, and what it has found beyond what
//! was asked for.
//!
//! A record that stands all the while is met at least once. One whose slot moves to another node meanwhile may be missed.

use std::collections::VecDeque;

use oncegate::hash::RecordId;
use oncegate::store::{Cursor, StoreError};

use super::error::failed;
use super::link::Link;

/// A place in a walk through all records.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The node that is walked through; empty at the beginning, and where there is one only.
    node: String,
    /// What it wants to hear at the next step; `None` at the beginning and behind the end.
    scan: Option<u64>,
    found: VecDeque<RecordId>,
}

impl Place {
    /// The place that a cursor names.
    pub(super) fn of(cursor: Option<Cursor>) -> Option<Self> {
        let Some(Cursor(text)) = cursor else {
            return Some(Self::default());
        };
        let (node, rest) = text.split_once('|')?;
        let (scan, found) = rest.split_once('|')?;
        let scan = match scan {
            "" => None,
            digits => Some(digits.parse().ok()?),
        };
        let found = found
            .split(',')
            .filter(|id| !id.is_empty())
            .map(|id| id.parse().ok())
            .collect::<Option<_>>()?;
        let node = node.to_owned();
        Some(Self { node, scan, found })
    }

    /// Where the walk goes on; `None` at its end.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        if self.is_at_the_end() {
            return None;
        }
        let scan = self.scan.map_or_else(String::new, |scan| scan.to_string());
        let found: Vec<String> = self.found.iter().map(RecordId::to_string).collect();
        Some(Cursor(format!("{}|{scan}|{}", self.node, found.join(","))))
    }

    /// Whether everything was seen. The next step begins anew.
    pub(super) fn is_at_the_end(&self) -> bool {
        self.found.is_empty() && self.scan.is_none()
    }

    /// Up to `limit` of what was found.
    pub(super) fn take(&mut self, limit: usize) -> Vec<RecordId> {
        self.found.drain(..limit.min(self.found.len())).collect()
    }

    /// Goes one step on, if nothing is left of the last one.
    pub(super) async fn more(
        &mut self,
        link: &mut Link,
        prefix: &str,
        limit: usize,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        if !self.found.is_empty() {
            return Ok(());
        }
        let nodes = link.nodes().await.map_err(|error| failed(doing, error))?;
        // One that is gone has left its records to others; the walk goes on behind it.
        let behind = nodes.partition_point(|node| *node < self.node);
        let Some(node) = nodes.get(behind) else {
            *self = Self::default();
            return Ok(());
        };
        let scan = self.scan.filter(|_| *node == self.node);
        let mut command = redis::cmd("SCAN");
        command
            .arg(scan.unwrap_or_default())
            .arg("MATCH")
            .arg(format!("{prefix}{{*}}"))
            .arg("COUNT")
            .arg(limit.clamp(1, SCAN_COUNT_MAX));
        let answer = link.ask(node, command).await;
        let (next, keys): (u64, Vec<String>) = answer
            .and_then(|answer| Ok(redis::from_redis_value(answer)?))
            .map_err(|error| failed(doing, error))?;
        (self.node, self.scan) = match nodes.get(behind + 1) {
            _ if next != 0 => (node.clone(), Some(next)),
            Some(following) => (following.clone(), Some(0)),
            None => (String::new(), None),
        };
        let ids = keys.iter().filter_map(|key| {
            key.strip_prefix(prefix)?
                .strip_prefix('{')?
                .strip_suffix('}')
        });
        self.found
            .extend(ids.filter_map(|id| id.parse::<RecordId>().ok()));
        Ok(())
    }
}

/// Most keys that Redis is asked to look at in one step: a step holds up everybody else.
const SCAN_COUNT_MAX: usize = 500;
