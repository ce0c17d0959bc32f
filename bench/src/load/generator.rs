//! Drives the connections, in a closed loop or at a fixed rate.
//!
//! Both end with every request answered, so that what was sent can be held against what the origin counted.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

use super::answer::Mark;
use super::connection::Connection;
use super::request::{Body, Keys, Request};

/// Connections to one server, all for the same kind of request.
pub struct Generator {
    poll: Poll,
    connections: Vec<Connection>,
    keys: Keys,
    mark: Mark,
    /// How many requests were sent so far: the number of the next.
    sent: u64,
}

/// How long answers took, from the instant at which each request was due.
#[derive(Clone, Copy, Debug)]
pub struct Latencies {
    pub p50: Duration,
    pub p99: Duration,
}

impl Generator {
    /// Opens the connections.
    pub fn open(
        host: SocketAddr,
        connections: usize,
        body: Body,
        keys: Keys,
        mark: Mark,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let body = body.bytes();
        let keyed = keys != Keys::Absent;
        let connections = (0..connections)
            .map(|token| {
                let request = Request::new(host, &body, keyed);
                Connection::open(host, request, poll.registry(), Token(token))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            poll,
            connections,
            keys,
            mark,
            sent: 0,
        })
    }

    /// From now on answers must carry this mark.
    pub fn expect(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// How many requests were sent, and answered.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Each connection sends its next request when it has its answer, until `time` is over or `requests_max` were
    /// sent. Says how many were answered.
    pub fn closed_loop(&mut self, time: Duration, requests_max: u64) -> Result<u64> {
        let start = Instant::now();
        let before = self.sent;
        let end = start + time;
        let last = before.saturating_add(requests_max);
        let mut open = 0;
        for connection in 0..self.connections.len() {
            if self.sent < last {
                self.send(connection, start)?;
                open += 1;
            }
        }
        let mut events = Events::with_capacity(EVENTS_MAX);
        while open > 0 {
            self.wait(&mut events)?;
            for event in &events {
                let Token(connection) = event.token();
                if self.connections[connection].advance(self.mark)?.is_none() {
                    continue;
                }
                let now = Instant::now();
                if now < end && self.sent < last {
                    self.send(connection, now)?;
                } else {
                    open -= 1;
                }
            }
        }
        Ok(self.sent - before)
    }

    /// Opens more connections, in batches, and sends one request on each as soon as its batch is open: a server may
    /// give up on a connection that stays silent.
    pub fn open_more(&mut self, host: SocketAddr, connections: usize, body: Body) -> Result<()> {
        let bytes = body.bytes();
        let mut events = Events::with_capacity(EVENTS_MAX);
        let last = self.connections.len() + connections;
        while self.connections.len() < last {
            let first = self.connections.len();
            for token in first..last.min(first + BATCH) {
                let request = Request::new(host, &bytes, self.keys != Keys::Absent);
                let opened = Connection::open(host, request, self.poll.registry(), Token(token))?;
                self.connections.push(opened);
                self.send(token, Instant::now())?;
            }
            let mut open = self.connections.len() - first;
            while open > 0 {
                self.wait(&mut events)?;
                for event in &events {
                    let Token(connection) = event.token();
                    if self.connections[connection].advance(self.mark)?.is_some() {
                        open -= 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// So many requests a second, whether answers come or not: a request that finds no free connection waits, and
    /// its waiting counts.
    pub fn fixed_rate(&mut self, rate: u32, time: Duration) -> Result<Latencies> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        let gap = Duration::from_secs(1) / rate;
        let timer_fd = std::os::fd::AsFd::as_fd(&timer).as_raw_fd();
        self.poll
            .registry()
            .register(&mut SourceFd(&timer_fd), TIMER, Interest::READABLE)?;
        timer.set(Expiration::Interval(gap.into()), TimerSetTimeFlags::empty())?;
        let latencies = self.keep_rate(&timer, gap, time);
        self.poll.registry().deregister(&mut SourceFd(&timer_fd))?;
        latencies
    }

    fn keep_rate(&mut self, timer: &TimerFd, gap: Duration, time: Duration) -> Result<Latencies> {
        let start = Instant::now();
        let due_in_all = u32::try_from(time.as_nanos() / gap.as_nanos())?;
        let mut free: Vec<usize> = (0..self.connections.len()).collect();
        let mut taken = Vec::with_capacity(due_in_all as usize);
        let mut begun = 0;
        let mut events = Events::with_capacity(EVENTS_MAX);
        while taken.len() < due_in_all as usize {
            ensure!(
                start.elapsed() < time + SILENCE_MAX,
                "the rate cannot be kept"
            );
            // The timer wakes the loop; the clock says what is due, so that no tick that came late is lost.
            while begun < due_in_all {
                let due_since = start + gap * begun;
                if due_since > Instant::now() {
                    break;
                }
                let Some(connection) = free.pop() else { break };
                self.send(connection, due_since)?;
                begun += 1;
            }
            self.wait(&mut events)?;
            for event in &events {
                let Token(connection) = event.token();
                if event.token() == TIMER {
                    // The next tick comes when this one was read.
                    timer.wait()?;
                    continue;
                }
                if let Some(due_since) = self.connections[connection].advance(self.mark)? {
                    taken.push(due_since.elapsed());
                    free.push(connection);
                }
            }
        }
        Ok(Latencies::of(taken))
    }

    fn send(&mut self, connection: usize, due_since: Instant) -> Result<()> {
        let key = self.keys.number(self.sent);
        self.sent += 1;
        self.connections[connection].send(key, due_since)
    }

    fn wait(&mut self, events: &mut Events) -> Result<()> {
        match self.poll.poll(events, Some(SILENCE_MAX)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error).context("cannot wait for answers"),
            Ok(()) => {
                ensure!(!events.is_empty(), "no answer for {SILENCE_MAX:?}");
                Ok(())
            }
        }
    }
}

impl Latencies {
    fn of(mut taken: Vec<Duration>) -> Self {
        taken.sort_unstable();
        let at = |percent: usize| taken[(taken.len() - 1) * percent / 100];
        Self {
            p50: at(50),
            p99: at(99),
        }
    }
}

const BATCH: usize = 32;
const EVENTS_MAX: usize = 1024;
const SILENCE_MAX: Duration = Duration::from_secs(10);
const TIMER: Token = Token(usize::MAX - 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_answers_in_order() {
        let taken = (1..=101).rev().map(Duration::from_millis).collect();
        let latencies = Latencies::of(taken);
        assert_eq!(latencies.p50, Duration::from_millis(51));
        assert_eq!(latencies.p99, Duration::from_millis(100));
    }
}
