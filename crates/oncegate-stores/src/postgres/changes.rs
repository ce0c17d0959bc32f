//! Hears of changes that other processes made, and wakes those who wait: one connection for each process, kept open.
//!
//! A message is a hint. One that is lost, because the connection was being made anew, is made good by the slow poll of
//! whoever waits. Behind a PgBouncer nobody can be heard: there everybody but this process is found out by polling.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use oncegate::Watchers;
use oncegate::hash::RecordId;
use oncegate::store::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage};

use super::connect::{Connector, Link};
use super::notices::Notices;

/// Who waits for changes in this process, and what other processes are told of it.
pub(super) struct Changes {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    watchers: Watchers,
    notices: Mutex<Notices>,
    /// Rings when there is something to tell.
    to_tell: Notify,
}

impl Changes {
    /// Tells other processes, and hears them.
    pub(super) fn shared_by(connector: Connector, schema: &str, answer_timeout: Duration) -> Self {
        let shared = Arc::<Shared>::default();
        let listener = Listener {
            connector,
            channel: schema.to_owned(),
            answer_timeout,
            shared: shared.clone(),
        };
        Self {
            shared,
            listener: Some(tokio::spawn(listener.run())),
        }
    }

    /// Hears of this process alone.
    pub(super) fn of_this_process() -> Self {
        Self {
            shared: Arc::default(),
            listener: None,
        }
    }

    /// Registers for the next change of `id`.
    pub(super) fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        let watch = self.shared.watchers.watch(id);
        if self.listener.is_some() && self.shared.notices.lock().awaited(id) {
            self.shared.to_tell.notify_one();
        }
        watch
    }

    /// Wakes those who wait for `id`, here and elsewhere. Others are told behind the caller's back: it waits for nothing.
    pub(super) fn changed(&self, id: RecordId) {
        self.shared.watchers.wake(id);
        if self.listener.is_some() && self.shared.notices.lock().changed(id) {
            self.shared.to_tell.notify_one();
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.watchers.fmt(f)
    }
}

/// Ends with its task: the store that owns it stops it.
struct Listener {
    connector: Connector,
    channel: String,
    answer_timeout: Duration,
    shared: Arc<Shared>,
}

impl Listener {
    async fn run(self) {
        loop {
            let ended = match self.connector.connect().await {
                Ok((client, link)) => self.converse(client, link).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = ended {
                tracing::debug!(error = &*error, "changes by others are not heard");
            }
            sleep(RECONNECT_AFTER).await;
        }
    }

    /// Until the connection ends, or does not answer.
    async fn converse(&self, client: Client, mut link: Link) -> Result<(), Trouble> {
        self.shared.notices.lock().forget_what_was_told();
        // Both at once: the link carries the answers of the client, too.
        let own = OnceLock::new();
        tokio::select! {
            heard = self.hear(&mut link, &own) => heard,
            told = self.tell(&client, &own) => told,
        }
    }

    async fn hear(&self, link: &mut Link, own: &OnceLock<i32>) -> Result<(), Trouble> {
        while let Some(message) = poll_fn(|context| link.poll_message(context)).await {
            let AsyncMessage::Notification(notice) = message? else {
                continue;
            };
            // This process knows what it has said itself.
            if own.get() == Some(&notice.process_id()) {
                continue;
            }
            let (woken, tells) = self.shared.notices.lock().heard(notice.payload());
            for id in woken {
                self.shared.watchers.wake(id);
            }
            if tells {
                self.shared.to_tell.notify_one();
            }
        }
        Ok(())
    }

    /// What comes up while one message is on its way goes out together in the next.
    async fn tell(&self, client: &Client, own: &OnceLock<i32>) -> Result<(), Trouble> {
        let begun = timeout(self.answer_timeout, begin(client, &self.channel)).await??;
        let _first = own.set(begun);
        loop {
            while let Some(message) = self.next() {
                timeout(self.answer_timeout, client.batch_execute(&message)).await??;
            }
            self.shared.to_tell.notified().await;
        }
    }

    /// The channel and the message are letters and digits: nothing has to be quoted in them.
    fn next(&self) -> Option<String> {
        let message = self.shared.notices.lock().next()?;
        Some(format!("NOTIFY \"{}\", '{message}'", self.channel))
    }
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Begins to listen, and answers the number by which the server names this session to those who hear it.
///
/// A hint need not reach a disk before the next one goes out.
async fn begin(client: &Client, channel: &str) -> Result<i32, Trouble> {
    let begin =
        format!("SET synchronous_commit = off; LISTEN \"{channel}\"; SELECT pg_backend_pid()");
    let told = client.simple_query(&begin).await?;
    told.iter()
        .find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else {
                return None;
            };
            row.get(0)?.parse().ok()
        })
        .ok_or_else(|| "the server does not name this session".into())
}

/// Between two attempts to listen.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
