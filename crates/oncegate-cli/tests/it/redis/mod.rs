//! The real binary on a real Redis: several proxies, one truth.

mod costs;
mod faults;
mod server;

use std::path::Path;

pub(crate) use server::Redis;

use crate::shared::StoreServer;

impl StoreServer for Redis {
    async fn start(folder: &Path) -> Self {
        Self::start(folder).await
    }

    fn url(&self) -> String {
        self.url()
    }

    fn url_as(&self, credentials: &str) -> String {
        let with_credentials = format!("redis://{credentials}@");
        self.url().replace("redis://", &with_credentials)
    }

    async fn hang(&self) {
        self.signal("STOP").await;
    }

    async fn go_on(&self) {
        self.signal("CONT").await;
    }

    async fn kill(&mut self) {
        self.kill().await;
    }

    /// With nothing in its memory.
    async fn start_again(&mut self) {
        self.start_again().await;
    }
}

mod shared {
    use super::Redis;

    crate::shared::shared_suite!(Redis);
}
