//! Hears of changes that other processes made, and wakes those who wait: one subscription for each process.
//!
//! A message is a hint. One that is lost, because the subscription was being made anew, is made good by the slow poll
//! of whoever waits.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::StreamExt;
use oncegate::Watchers;
use oncegate::hash::RecordId;
use redis::aio::PubSub;
use redis::{Client, RedisResult};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A subscription that begins with the first watch.
pub(super) struct Changes {
    /// One of them is enough: a Cluster passes messages on to all of its nodes.
    clients: Vec<Client>,
    channel: String,
    connect_timeout: Duration,
    watchers: Watchers,
    listener: OnceLock<JoinHandle<()>>,
}

impl Changes {
    pub(super) fn new(clients: Vec<Client>, channel: String, connect_timeout: Duration) -> Self {
        Self {
            clients,
            channel,
            connect_timeout,
            watchers: Watchers::default(),
            listener: OnceLock::new(),
        }
    }

    pub(super) const fn channel(&self) -> &str {
        self.channel.as_str()
    }

    /// Registers for the next change of `id`.
    pub(super) fn watch(&self, id: RecordId) -> oncegate::store::BoxFuture<'static, ()> {
        let _listens: &JoinHandle<()> = self.listener.get_or_init(|| {
            let listen = listen(
                self.clients.clone(),
                self.channel.clone(),
                self.connect_timeout,
                self.watchers.clone(),
            );
            tokio::spawn(listen)
        });
        self.watchers.watch(id)
    }

    /// Wakes those of this process at once: they need no message from the server.
    pub(super) fn wake(&self, id: RecordId) {
        self.watchers.wake(id);
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.watchers.fmt(f)
    }
}

/// Ends with the task: the store that owns it stops it.
async fn listen(
    clients: Vec<Client>,
    channel: String,
    connect_timeout: Duration,
    watchers: Watchers,
) {
    for client in clients.iter().cycle() {
        match timeout(connect_timeout, subscribe(client, &channel)).await {
            Ok(Ok(subscription)) => hear(subscription, &watchers).await,
            Ok(Err(error)) => tracing::debug!(%error, "cannot subscribe to changes"),
            Err(error) => tracing::debug!(%error, "cannot subscribe to changes"),
        }
        sleep(RESUBSCRIBE_AFTER).await;
    }
}

async fn subscribe(client: &Client, channel: &str) -> RedisResult<PubSub> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channel).await?;
    Ok(subscription)
}

/// Until the connection ends.
async fn hear(subscription: PubSub, watchers: &Watchers) {
    let mut messages = subscription.into_on_message();
    while let Some(message) = messages.next().await {
        if let Ok(id) = <[u8; 32]>::try_from(message.get_payload_bytes()) {
            watchers.wake(RecordId::from_bytes(id));
        }
    }
}

/// Between two attempts to subscribe.
const RESUBSCRIBE_AFTER: Duration = Duration::from_secs(1);
