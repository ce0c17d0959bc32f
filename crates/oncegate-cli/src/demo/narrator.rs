//! Prints the story: requests, answers, and how often a payment really ran.

use std::io::IsTerminal;

use super::client::{Answer, Order};

/// Who tells the story on standard output.
#[derive(Debug)]
pub(super) struct Narrator {
    colours: bool,
    step: usize,
}

impl Default for Narrator {
    fn default() -> Self {
        Self {
            colours: std::io::stdout().is_terminal(),
            step: 0,
        }
    }
}

impl Narrator {
    pub(super) fn title(&mut self, title: &str) {
        let number = self.step;
        self.step += 1;
        println!("\n{}", self.paint(BOLD, &format!("{number}. {title}")));
    }

    pub(super) fn say(&self, sentence: &str) {
        println!("   {sentence}");
    }

    pub(super) fn request(&self, order: &Order) {
        let key = order
            .key
            .map_or_else(String::new, |key| format!("  Idempotency-Key: {key}"));
        println!("   -> POST /payments{key}  {}", order.body());
    }

    pub(super) fn answer(&self, answer: &Answer) {
        let status = answer.status;
        let shown = ["idempotent-replayed", "idempotency-status", "retry-after"];
        let headers: Vec<String> = shown
            .iter()
            .filter_map(|name| {
                Some(format!(
                    "{name}: {}",
                    answer.headers.get(*name)?.to_str().ok()?
                ))
            })
            .collect();
        let colour = if status.is_success() { GREEN } else { YELLOW };
        println!(
            "   <- {}  {}",
            self.paint(colour, &status.to_string()),
            answer.body
        );
        if !headers.is_empty() {
            println!("      {}", self.paint(DIM, &headers.join("   ")));
        }
    }

    pub(super) fn lost(&self) {
        println!(
            "   <- {}",
            self.paint(YELLOW, "(the connection is cut; the answer is lost)")
        );
    }

    pub(super) fn ran(&self, times: usize, good: bool) {
        let colour = if good { GREEN } else { RED };
        let times = if times == 1 {
            "once".to_owned()
        } else {
            format!("{times} times")
        };
        println!(
            "   => the payment really ran {}",
            self.paint(colour, &times)
        );
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("{colour}{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
