//! One payment that is made once however often it is sent: `cargo run -p retrying-client -- URL ORDER`.
//!
//! Start `oncegate demo`, or your API behind `oncegate serve`, and give the URL of its payments. Running it again
//! for the same order pays nothing: the key is the order's. Exit code 0 says yes, 1 no, 2 that nobody knows.

use std::error::Error;
use std::process::ExitCode;

use oncegate_client::{Advice, Client, Operation, Outcome};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(order)) = (arguments.next(), arguments.next()) else {
        return Err("usage: retrying-client URL ORDER".into());
    };
    // Made once, before the first attempt. A program that is started again makes the same one from the same order.
    let payment = Operation::post(&url)?
        .key(&format!("order-{order}"))?
        .header("content-type", "application/json")?
        .body(r#"{"amount":5000}"#)
        .build();
    Ok(report(&Client::new()?.execute(&payment).await))
}

/// Three endings, and what follows from each.
#[expect(clippy::print_stdout, reason = "this is what a user sees")]
fn report(outcome: &Outcome) -> ExitCode {
    println!("{outcome}");
    match outcome {
        Outcome::Yes(yes) => {
            let body = yes.answer.as_ref().map(|answer| &answer.body);
            println!(
                "{}",
                String::from_utf8_lossy(body.map_or(&[], |body| &body[..]))
            );
            ExitCode::SUCCESS
        }
        Outcome::No(no) => {
            match no.advice {
                Advice::Reuse => println!("run it again for the same order"),
                Advice::Rotate => {
                    println!("this order's key is spent; another try is another order")
                }
            }
            ExitCode::from(1)
        }
        // Never tell a customer that it failed, and never try under another key.
        Outcome::Unknown(_) => ExitCode::from(2),
    }
}
