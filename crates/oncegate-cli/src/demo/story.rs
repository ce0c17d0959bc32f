//! The story, step by step. Each step checks what it tells: a demo that lies would be worse than none.

use std::net::SocketAddr;

use futures_util::future::join_all;
use http::StatusCode;
use oncegate::record::Phase;
use oncegate::store::Filter;

use super::api::PaymentsApi;
use super::client::{self, Answer, ClientError, Order};
use super::crash::Victim;
use super::narrator::Narrator;
use crate::command::Failed;
use crate::config::{Config, ServeArgs};
use crate::keys;
use crate::running::Running;

/// The story, and what it is about.
#[derive(Debug)]
pub(super) struct Story {
    api: PaymentsApi,
    config: Config,
    flags: ServeArgs,
    narrator: Narrator,
}

impl Story {
    pub(super) fn new(
        api: PaymentsApi,
        config: Config,
        flags: ServeArgs,
        narrator: Narrator,
    ) -> Self {
        Self {
            api,
            config,
            flags,
            narrator,
        }
    }

    /// Tells it all. The proxy that comes back is the one that runs at its end.
    pub(super) async fn tell(&mut self, running: Running) -> Result<Running, Failed> {
        let proxy = self.config.listen[0];
        self.without().await?;
        self.lost_answer(proxy).await?;
        self.twenty_at_once(proxy).await?;
        self.another_amount(proxy).await?;
        self.server_error(proxy).await?;
        self.crash(proxy, running).await
    }

    async fn without(&mut self) -> Result<(), Failed> {
        self.narrator
            .title("Without Oncegate: the answer is lost, the client retries");
        let order = Order {
            key: None,
            amount: 5000,
        };
        let before = self.api.charged();
        let to = self.api.address();
        self.send_and_lose(to, &order).await?;
        self.send(to, &order).await?;
        let ran = self.api.charged() - before;
        self.narrator.ran(ran, false);
        self.narrator.say("The customer paid twice.");
        must(ran == 2, "the API charges every request")
    }

    async fn lost_answer(&mut self, proxy: SocketAddr) -> Result<(), Failed> {
        self.narrator
            .title("With Oncegate: the same loss, the same retry");
        let order = Order {
            key: Some("order-1001"),
            amount: 5000,
        };
        let before = self.api.charged();
        self.send_and_lose(proxy, &order).await?;
        let answer = self.retry_until_settled(proxy, &order).await?;
        let ran = self.ran_since(before);
        must(ran == 1 && is_replay(&answer), "the retry is a replay")
    }

    async fn twenty_at_once(&mut self, proxy: SocketAddr) -> Result<(), Failed> {
        self.narrator.title("Twenty at once, one key");
        let order = Order {
            key: Some("order-1002"),
            amount: 700,
        };
        let before = self.api.charged();
        self.narrator.request(&order);
        let answers = join_all((0..20).map(|_| client::send(proxy, &order))).await;
        let answers: Vec<Answer> = answers
            .into_iter()
            .collect::<Result<_, ClientError>>()
            .map_err(broken)?;
        let count = |is: fn(&Answer) -> bool| answers.iter().filter(|answer| is(answer)).count();
        let (fresh, replayed, in_flight) = (count(is_fresh), count(is_replay), count(is_in_flight));
        self.narrator.say(&format!(
            "<- {fresh} x 201, {replayed} x the same answer replayed, {in_flight} x 409 in flight"
        ));
        let ran = self.ran_since(before);
        must(
            ran == 1 && fresh == 1 && fresh + replayed + in_flight == 20,
            "twenty at once run once",
        )
    }

    async fn another_amount(&mut self, proxy: SocketAddr) -> Result<(), Failed> {
        self.narrator.title("Another amount under the same key");
        let before = self.api.charged();
        let answer = self
            .send(
                proxy,
                &Order {
                    key: Some("order-1001"),
                    amount: 9900,
                },
            )
            .await?;
        self.narrator.say(&format!(
            "=> nothing ran: a key belongs to one request ({} payments as before)",
            before
        ));
        must(
            self.api.charged() == before && answer.status == StatusCode::UNPROCESSABLE_ENTITY,
            "another amount is refused",
        )
    }

    async fn server_error(&mut self, proxy: SocketAddr) -> Result<(), Failed> {
        self.narrator.title("A server error, and its retry");
        let order = Order {
            key: Some("order-1003"),
            amount: 1200,
        };
        let before = self.api.charged();
        self.api.fail_next();
        self.send(proxy, &order).await?;
        self.narrator
            .say("A server error is not kept: the same key may try again.");
        let answer = self.send(proxy, &order).await?;
        let ran = self.ran_since(before);
        must(
            ran == 1 && is_fresh(&answer),
            "the retry of a server error executes",
        )
    }

    async fn crash(&mut self, proxy: SocketAddr, running: Running) -> Result<Running, Failed> {
        self.narrator
            .title("A crash in the middle: Oncegate is killed with -9 while the bank is at work");
        running.stop().await;
        let victim = Victim::start(&self.flags, proxy).await?;
        let order = Order {
            key: Some("order-1004"),
            amount: 4200,
        };
        let before = self.api.charged();
        self.narrator.request(&order);
        self.api.hang_next();
        let api = self.api.clone();
        client::send_and_hang_up(proxy, &order, async {
            api.charged_more_than(before).await;
            if let Err(failed) = victim.kill().await {
                eprintln!("{failed}");
            }
        })
        .await
        .map_err(broken)?;
        self.narrator.lost();
        let running = Running::start(&self.config).await?;
        self.narrator
            .say("Oncegate starts again on the same file. The client retries.");
        let answer = self.send(proxy, &order).await?;
        let ran = self.ran_since(before);
        must(
            ran == 1 && answer.status == StatusCode::CONFLICT,
            "a crash is never charged twice",
        )?;
        self.settle(proxy, &running, &order).await?;
        Ok(running)
    }

    /// An unknown key has a way out: somebody looks the payment up, and says what happened.
    async fn settle(
        &mut self,
        proxy: SocketAddr,
        running: &Running,
        order: &Order,
    ) -> Result<(), Failed> {
        let Some(admin) = running.admin() else {
            return Ok(());
        };
        self.narrator.say("Nobody knows from outside whether it ran. The operator looks it up, and settles the key:");
        let filter = Filter {
            phase: Some(Phase::Unknown),
            ..Filter::default()
        };
        let listed = running.store().list(filter, None, 1).await;
        let listed =
            listed.map_err(|error| Failed::unavailable("the store failed").because(error))?;
        let Some(record) = listed.value.records.first() else {
            return must(false, "the unknown key is listed");
        };
        let payment = self.api.last_payment().to_string();
        let id = record.id.to_string();
        self.narrator.say(&format!(
            "$ oncegate keys --admin {admin} resolve {id} --status 201 --body '{payment}'"
        ));
        keys::resolve(admin, &id, StatusCode::CREATED, payment).await?;
        let before = self.api.charged();
        let answer = self.send(proxy, order).await?;
        self.narrator
            .say("=> charged once, and the customer has the receipt");
        must(
            self.api.charged() == before && is_replay(&answer),
            "a settled key is replayed",
        )
    }

    /// What a reader can do next.
    pub(super) fn what_to_try(&self, running: &Running) {
        let proxy = self.config.listen[0];
        println!(
            "\nThe proxy stays up at http://{proxy} until Ctrl-C. Try it; send each line twice:\n"
        );
        println!(
            "  curl -i http://{proxy}/payments -H 'Idempotency-Key: my-first-key' -d '{{\"amount\":100}}'"
        );
        println!(
            "  curl -i http://{proxy}/payments -H 'Idempotency-Key: my-first-key' -d '{{\"amount\":999}}'"
        );
        println!("  curl -s http://{proxy}/payments");
        if let Some(admin) = running.admin() {
            println!("  oncegate keys --admin {admin} list");
            println!("  curl -s http://{admin}/metrics");
        }
        println!("\nIs the API idempotent? First without Oncegate, then with it:\n");
        for server in [self.api.address(), proxy] {
            println!("  oncegate check http://{server}/payments -d '{{\"amount\":100}}'");
        }
    }

    async fn send(&self, to: SocketAddr, order: &Order) -> Result<Answer, Failed> {
        self.narrator.request(order);
        let answer = client::send(to, order).await.map_err(broken)?;
        self.narrator.answer(&answer);
        Ok(answer)
    }

    async fn send_and_lose(&self, to: SocketAddr, order: &Order) -> Result<(), Failed> {
        self.narrator.request(order);
        let before = self.api.charged();
        let charged = self.api.charged_more_than(before);
        client::send_and_hang_up(to, order, charged)
            .await
            .map_err(broken)?;
        self.narrator.lost();
        Ok(())
    }

    /// Retries as a good client does: 409 `in-flight` means that the outcome is about to be recorded.
    async fn retry_until_settled(&self, to: SocketAddr, order: &Order) -> Result<Answer, Failed> {
        for _ in 0..RETRIES_MAX {
            let answer = client::send(to, order).await.map_err(broken)?;
            if !is_in_flight(&answer) {
                self.narrator.request(order);
                self.narrator.answer(&answer);
                return Ok(answer);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        Err(Failed::unavailable("the outcome was never recorded"))
    }

    fn ran_since(&self, before: usize) -> usize {
        let ran = self.api.charged() - before;
        self.narrator.ran(ran, ran == 1);
        ran
    }
}

fn is_fresh(answer: &Answer) -> bool {
    answer.status == StatusCode::CREATED && !answer.headers.contains_key("idempotent-replayed")
}

fn is_replay(answer: &Answer) -> bool {
    answer.status == StatusCode::CREATED && answer.headers.contains_key("idempotent-replayed")
}

fn is_in_flight(answer: &Answer) -> bool {
    answer.status == StatusCode::CONFLICT && answer.body.contains("in-flight")
}

/// The demo fails if its story does not hold.
fn must(holds: bool, what: &str) -> Result<(), Failed> {
    if holds {
        Ok(())
    } else {
        Err(Failed::refused(format!(
            "the demo failed: it must hold that {what}"
        )))
    }
}

fn broken(error: ClientError) -> Failed {
    Failed::unavailable("a request of the demo failed").because(error)
}

const RETRIES_MAX: usize = 200;
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(25);
