//! Wakes those who wait for a record that lives in this process.
//!
//! A wake-up is a hint: a caller that misses it finds the truth by its slow poll. So nothing here is ordered with
//! the store's writes beyond "register when called".

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use crate::hash::RecordId;
use crate::store::BoxFuture;

/// Who waits for which record.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Mutex<HashMap<RecordId, Watched>>>);

#[derive(Default)]
struct Watched {
    event: Event,
    watching: usize,
}

impl Watchers {
    /// Registers now for the next change of `id`.
    #[must_use]
    pub fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        let mut map = self.0.lock();
        let watched = map.entry(id).or_default();
        watched.watching += 1;
        let listener = watched.event.listen();
        drop(map);
        let registration = Registration {
            watchers: self.clone(),
            id,
        };
        Box::pin(wait(listener, registration))
    }

    /// Wakes everybody who waits for `id`.
    pub fn wake(&self, id: RecordId) {
        if let Some(watched) = self.0.lock().get(&id) {
            watched.event.notify(usize::MAX);
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watchers({} records)", self.0.lock().len())
    }
}

async fn wait(listener: EventListener, registration: Registration) {
    listener.await;
    drop(registration);
}

/// Takes the record off the list when its last watcher goes, awake or not.
struct Registration {
    watchers: Watchers,
    id: RecordId,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut map = self.watchers.0.lock();
        if let Some(watched) = map.get_mut(&self.id) {
            watched.watching -= 1;
            if watched.watching == 0 {
                map.remove(&self.id);
            }
        }
    }
}
