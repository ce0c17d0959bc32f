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
use redis::{Client, RedisResult};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A subscription that begins with the first watch.
pub(super) struct Changes {
    client: Client,
    channel: String,
    watchers: Watchers,
    listener: OnceLock<JoinHandle<()>>,
}

impl Changes {
    pub(super) fn new(client: Client, channel: String) -> Self {
        Self {
            client,
            channel,
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
                self.client.clone(),
                self.channel.clone(),
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

async fn listen(client: Client, channel: String, watchers: Watchers) {
    loop {
        if let Err(error) = hear(&client, &channel, &watchers).await {
            tracing::debug!(%error, "the subscription to changes ended");
        }
        sleep(RESUBSCRIBE_AFTER).await;
    }
}

async fn hear(client: &Client, channel: &str, watchers: &Watchers) -> RedisResult<()> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channel).await?;
    let mut messages = subscription.into_on_message();
    while let Some(message) = messages.next().await {
        if let Ok(id) = <[u8; 32]>::try_from(message.get_payload_bytes()) {
            watchers.wake(RecordId::from_bytes(id));
        }
    }
    Ok(())
}

/// Between two attempts to subscribe.
const RESUBSCRIBE_AFTER: Duration = Duration::from_secs(1);
