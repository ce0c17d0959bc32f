//! What `oncegate send` prints: the answer's body to standard output, all else to standard error; attempts on a
//! terminal alone. Neither headers nor bodies of requests, and of URLs no query.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;

use oncegate::clock::Timestamp;
use oncegate_client::course::Step;
use oncegate_client::journal::{
    Concluded, Entry, Journal, Listed, NotSent, OperationName, Resumed, Stands,
};
use oncegate_client::{Advice, Answer, Last, Observer, Operation, Outcome};
use serde_json::{Value, json};

use super::arguments::Arguments;
use crate::command::Failed;

/// Where an outcome goes.
#[derive(Debug)]
pub(super) struct Output {
    file: Option<PathBuf>,
    include: bool,
    json: bool,
    name: Option<String>,
}

impl Output {
    pub(super) fn of(arguments: &Arguments) -> Self {
        Self {
            file: arguments.output.clone(),
            include: arguments.include,
            json: arguments.json,
            name: arguments.operation.clone(),
        }
    }

    /// Prints what is known: the answer if it is the operation's own, or all of it as JSON. What cannot be written is
    /// warned of and no error: that would say something else of the operation.
    pub(super) fn print(&self, concluded: &Concluded) {
        let answer = match &concluded.outcome {
            Outcome::Yes(yes) => yes.answer.as_ref().filter(|_| !yes.lost),
            Outcome::No(no) => answer(&no.last),
            Outcome::Unknown(_) => None,
        };
        let in_file = answer.is_some_and(|answer| self.write_file(answer));
        if self.json {
            let told = told(self.name.as_deref(), &Ok(concluded), !in_file);
            print(format!("{told}\n").as_bytes());
        } else if let (false, Some(answer)) = (in_file, answer) {
            print(&self.shown(answer));
        }
    }

    /// Whether the answer is in the file that was asked for.
    fn write_file(&self, answer: &Answer) -> bool {
        let Some(file) = &self.file else {
            return false;
        };
        let written = std::fs::write(file, self.shown(answer));
        if let Err(error) = &written {
            warn(&format!("cannot write {}: {error}", file.display()));
        }
        written.is_ok()
    }

    fn shown(&self, answer: &Answer) -> Vec<u8> {
        let mut shown = Vec::new();
        if self.include {
            shown.extend_from_slice(format!("HTTP {}\r\n", answer.status).as_bytes());
            for (name, value) in &answer.headers {
                shown.extend_from_slice(name.as_str().as_bytes());
                shown.extend_from_slice(b": ");
                shown.extend_from_slice(value.as_bytes());
                shown.extend_from_slice(b"\r\n");
            }
            shown.extend_from_slice(b"\r\n");
        }
        shown.extend_from_slice(&answer.body);
        shown
    }
}

/// Tells a person what goes on.
#[derive(Debug)]
pub(super) struct Teller {
    attempts_max: u32,
}

impl Teller {
    /// Nobody reads along in a pipe.
    pub(super) fn on_a_terminal(arguments: &Arguments) -> Option<Self> {
        (stderr().is_terminal() && !arguments.json).then(|| Self {
            attempts_max: arguments.policy().attempts_max,
        })
    }
}

impl Observer for Teller {
    fn sending(&self, operation: &Operation, attempt: u32) {
        let (method, url) = (operation.method(), place(operation.url()));
        let of = self.attempts_max;
        warn(&format!("attempt {attempt} of {of}: {method} {url}"));
    }

    fn judged(&self, _operation: &Operation, attempt: u32, last: &Last, step: Step) {
        let next = match step {
            Step::Again { after } => format!("again in {:.1} s", after.as_secs_f64()),
            Step::Refresh => "again with fresh credentials".to_owned(),
            Step::Follow => "it goes on at another place".to_owned(),
            Step::End(_) => "the end".to_owned(),
        };
        warn(&format!("attempt {attempt}: {last}; {next}"));
    }
}

/// Prints what became of all that was open. The worst of it is the exit code.
pub(super) fn resumed(resumed: &[Resumed], json: bool) -> Result<(), Failed> {
    let mut told = Vec::new();
    for one in resumed {
        let label = one.entry.as_ref().map(label);
        let concluded = one.concluded.as_ref();
        if json {
            told.push(told_of(label.as_deref(), &concluded));
        } else {
            let label = label.unwrap_or_else(|| "?".to_owned());
            let text = match concluded {
                Ok(concluded) => concluded.outcome.to_string(),
                Err(error) => error.to_string(),
            };
            print(format!("{label}: {text}\n").as_bytes());
        }
    }
    if json {
        print(format!("{}\n", Value::from(told)).as_bytes());
    }
    let is = |test: fn(&Outcome) -> bool| {
        let outcomes = resumed.iter().filter_map(|one| one.concluded.as_ref().ok());
        outcomes.filter(|done| test(&done.outcome)).count()
    };
    let yes = is(|outcome| matches!(outcome, Outcome::Yes(_)));
    let no = is(|outcome| matches!(outcome, Outcome::No(_)));
    let unknown = resumed.len() - yes - no;
    if unknown > 0 {
        return Err(Failed::unknown(format!(
            "operations whose outcome is not known: {unknown}"
        )));
    }
    if no > 0 {
        return Err(Failed::refused(format!(
            "operations that did not happen: {no}"
        )));
    }
    Ok(())
}

/// Prints what is in the journal.
pub(super) async fn list(journal: &Journal, json: bool) -> Result<(), Failed> {
    let listed = journal.list().await;
    let listed = listed.map_err(|error| Failed::unavailable("cannot list").because(error))?;
    if json {
        let all: Vec<Value> = listed.iter().map(as_json).collect();
        print(format!("{}\n", Value::from(all)).as_bytes());
        return Ok(());
    }
    for one in &listed {
        let line = match one {
            Listed::Sound(entry) => format!(
                "{}  {}  {}  {} {}\n",
                time(entry.first_sent_at),
                stands(entry.stands),
                label(entry),
                entry.method,
                place(&entry.url)
            ),
            Listed::Damaged { what } => format!("damaged: {what}\n"),
        };
        print(line.as_bytes());
    }
    Ok(())
}

/// A line for people. Whoever closed standard error misses nothing but this line.
pub(super) fn warn(line: &str) {
    drop(writeln!(stderr(), "oncegate: {line}"));
}

fn as_json(listed: &Listed) -> Value {
    match listed {
        Listed::Sound(entry) => json!({
            "operation": entry.name.as_ref().map(OperationName::as_str),
            "key": entry.key.as_str(),
            "state": stands(entry.stands),
            "method": entry.method.as_str(),
            "url": place(&entry.url),
            "attempts": entry.attempts,
            "status": entry.status.map(|status| status.as_u16()),
            "first_sent_at": time(entry.first_sent_at),
            "decided_at": entry.decided_at.map(time),
        }),
        Listed::Damaged { what } => json!({ "state": "damaged", "detail": what }),
    }
}

fn told_of(name: Option<&str>, concluded: &Result<&Concluded, &NotSent>) -> Value {
    told(name, concluded, true)
}

/// What became of an operation, for programs.
fn told(name: Option<&str>, concluded: &Result<&Concluded, &NotSent>, with_body: bool) -> Value {
    let concluded = match concluded {
        Ok(concluded) => concluded,
        Err(error) => {
            return json!({ "operation": name, "outcome": "not-sent", "detail": error.to_string() });
        }
    };
    let outcome = &concluded.outcome;
    let (word, last) = match outcome {
        Outcome::Yes(yes) => ("yes", yes.answer.as_ref()),
        Outcome::No(no) => ("no", answer(&no.last)),
        Outcome::Unknown(unknown) => ("unknown", answer(&unknown.last)),
    };
    let mut told = json!({
        "operation": name,
        "outcome": word,
        "detail": outcome.to_string(),
        "key": outcome.key().as_str(),
        "attempts": outcome.attempts(),
        "status": last.map(|answer| answer.status.as_u16()),
        "recorded": concluded.unrecorded.is_none(),
    });
    match outcome {
        Outcome::Yes(yes) => {
            told["replayed"] = yes.replayed.into();
            told["lost"] = yes.lost.into();
            told["maybe_twice"] = yes.maybe_twice.into();
        }
        Outcome::No(no) => {
            told["next"] = match no.advice {
                Advice::Reuse => "same-key".into(),
                Advice::Rotate => "new-key".into(),
            };
        }
        Outcome::Unknown(_) => told["next"] = "same-key".into(),
    }
    // Bytes that are no text are for --output.
    let body = last.and_then(|answer| str::from_utf8(&answer.body).ok());
    if let (true, Some(body)) = (with_body, body) {
        told["body"] = body.into();
    }
    told
}

fn answer(last: &Last) -> Option<&Answer> {
    match last {
        Last::Answer(answer) => Some(answer),
        Last::Failure(_) => None,
    }
}

fn label(entry: &Entry) -> String {
    let name = entry.name.as_ref().map(OperationName::to_string);
    name.unwrap_or_else(|| entry.key.as_str().to_owned())
}

const fn stands(stands: Stands) -> &'static str {
    match stands {
        Stands::Open { in_use: true } => "in use",
        Stands::Open { in_use: false } => "open",
        Stands::Yes => "yes",
        Stands::No(_) => "no",
    }
}

/// A URL without what may be secret in it.
fn place(url: &reqwest::Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn time(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_micros() / 1_000_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}

/// Whoever closed standard output wants no more of it.
fn print(bytes: &[u8]) {
    let mut out = stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        warn(&format!("cannot write to standard output: {error}"));
    }
}
