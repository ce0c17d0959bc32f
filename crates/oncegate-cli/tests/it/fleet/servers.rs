//! The stores that are struck: one on a real server each.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;

use tokio::sync::oneshot;

use crate::harness::{program, run, within};
use crate::postgres::PostgresServer;
use crate::redis::Redis;

/// A store on servers that can be struck. What it once said is kept, it must keep: a restart loses nothing.
pub(super) trait Ground {
    fn url(&self) -> String;
    /// Which of its servers is struck next; all of them in turn.
    fn turn(&mut self);
    /// It takes connections and bytes, and answers nothing.
    async fn stop(&mut self);
    async fn go_on(&mut self);
    /// As in a power cut, and up again.
    async fn restart(&mut self);
}

/// A single Redis that writes to its disk before it answers.
pub(super) struct Single(Redis);

impl Single {
    pub(super) async fn start(folder: &Path) -> Self {
        Self(Redis::durable(folder, &[]).await)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

impl Ground for Single {
    fn url(&self) -> String {
        self.0.url()
    }

    fn turn(&mut self) {}

    async fn stop(&mut self) {
        self.0.signal("STOP").await;
    }

    async fn go_on(&mut self) {
        self.0.signal("CONT").await;
    }

    async fn restart(&mut self) {
        self.0.kill().await;
        self.0.start_again().await;
    }
}

/// A Cluster of three masters. One of them is struck at a time.
pub(super) struct Cluster {
    masters: Vec<Redis>,
    struck: usize,
}

impl Cluster {
    pub(super) async fn start(folder: &Path) -> Self {
        let mut masters = Vec::new();
        for number in 0..MASTERS {
            let folder = folder.join(format!("master-{number}"));
            std::fs::create_dir(&folder).unwrap();
            // Its bus has a port of its own. By default that is this one and 10,000, which may be too high or taken.
            let bus = Redis::free_address().port().to_string();
            let settings = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            masters.push(Redis::durable(&folder, &settings).await);
        }
        let mut form = program("redis-cli");
        form.args(["--cluster", "create", "--cluster-yes"]);
        form.args(masters.iter().map(|master| master.address().to_string()));
        let formed = run(form).await;
        assert_eq!(formed.code, Some(0), "{formed:?}");
        for master in &masters {
            master.must_say("CLUSTER INFO", "cluster_state:ok").await;
        }
        Self { masters, struck: 0 }
    }
}

impl Ground for Cluster {
    fn url(&self) -> String {
        let masters = self.masters.iter();
        let nodes: Vec<String> = masters.map(|master| master.address().to_string()).collect();
        format!("redis-cluster://{}", nodes.join(","))
    }

    fn turn(&mut self) {
        self.struck = (self.struck + 1) % self.masters.len();
    }

    async fn stop(&mut self) {
        self.masters[self.struck].signal("STOP").await;
    }

    async fn go_on(&mut self) {
        self.masters[self.struck].signal("CONT").await;
    }

    async fn restart(&mut self) {
        let master = &mut self.masters[self.struck];
        master.kill().await;
        master.start_again().await;
    }
}

/// A PostgreSQL. Whoever strikes it waits, and it ends with the thread that started it: it has one of its own.
pub(super) struct Postgres {
    url: String,
    deeds: mpsc::Sender<Deed>,
}

type Deed = Box<dyn FnOnce(&mut PostgresServer) + Send>;

impl Postgres {
    pub(super) async fn start() -> Self {
        let (deeds, asked) = mpsc::channel::<Deed>();
        let (tell, told) = oneshot::channel();
        std::thread::spawn(move || {
            let mut server = PostgresServer::start(&[]);
            tell.send(server.url()).unwrap();
            // To the end of the test, which drops the other side.
            for deed in asked {
                deed(&mut server);
            }
        });
        let url = within("a PostgreSQL that starts", told).await.unwrap();
        Self { url, deeds }
    }

    async fn done(&self, deed: impl FnOnce(&mut PostgresServer) + Send + 'static) {
        let (tell, told) = oneshot::channel();
        let deed: Deed = Box::new(move |server| {
            deed(server);
            tell.send(()).unwrap_or_default();
        });
        self.deeds.send(deed).unwrap();
        within("a PostgreSQL", told).await.unwrap();
    }
}

impl Ground for Postgres {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn turn(&mut self) {}

    async fn stop(&mut self) {
        self.done(|server| server.stop()).await;
    }

    async fn go_on(&mut self) {
        self.done(|server| server.go_on()).await;
    }

    async fn restart(&mut self) {
        self.done(|server| {
            server.kill();
            server.start_again();
        })
        .await;
    }
}

const MASTERS: usize = 3;
