//! Claims and completes new keys in a store from so many tasks, without HTTP, and prints how many a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use oncegate::Store;
use oncegate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use oncegate::hash::RecordId;
use oncegate::key::KeyDigest;
use oncegate::record::{About, OwnerId, Retention};
use oncegate::response::StoredResponse;
use oncegate::store::{Change, Expect, Insert, NewRecord, Update};

use super::RECEIPT;

/// Runs for `time` and prints the rate.
pub fn run(url: &str, tasks: u64, time: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(pairs(url, tasks, time))
}

async fn pairs(url: &str, tasks: u64, time: Duration) -> Result<()> {
    let store: Arc<dyn Store> = oncegate_stores::open(url).await?;
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|_task| {
            let (store, done) = (store.clone(), done.clone());
            tokio::spawn(async move {
                while start.elapsed() < time {
                    pair(&*store).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in running {
        task.await??;
    }
    let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.1}");
    Ok(())
}

async fn pair(store: &dyn Store) -> Result<()> {
    let owner = OwnerId::random();
    let id = new_id();
    let claimed = store
        .insert(NewRecord {
            id,
            owner,
            fingerprint: Fingerprint::from_bytes([7; FINGERPRINT_BYTES]),
            about: About::new(
                KeyDigest::from_bytes([7; 8]),
                &axum::http::Method::POST,
                "/payments",
            ),
            lease: Duration::from_secs(30),
            unknown: KEPT,
        })
        .await?;
    ensure!(matches!(claimed.value, Insert::Created(_)), "not claimed");
    let headers = axum::http::HeaderMap::new();
    let response = StoredResponse::kept(
        axum::http::StatusCode::CREATED,
        &headers,
        None,
        RECEIPT.as_bytes(),
        &headers,
    );
    let expect = Expect {
        owner,
        revision: None,
    };
    let change = Change::Complete {
        response,
        retention: KEPT,
    };
    let completed = store.update(id, expect, change).await?;
    ensure!(
        matches!(completed.value, Update::Applied(Some(_))),
        "not completed"
    );
    Ok(())
}

/// As spread as a hash: two owners side by side.
fn new_id() -> RecordId {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(OwnerId::random().as_bytes());
    bytes[16..].copy_from_slice(OwnerId::random().as_bytes());
    RecordId::from_bytes(bytes)
}

const KEPT: Retention = Retention {
    live: Duration::from_secs(86_400),
    tombstone: Duration::from_secs(86_400),
};
