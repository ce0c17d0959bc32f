//! A shell script that reproduces a finding with curl, from the steps of its case and what they sent.
//!
//! Each run of a script takes keys of its own, so that it shows the same as the check did, and not what the check left
//! behind. Secrets come from the environment. What curl cannot send (half a body, trailers, a caller that hangs up) goes
//! over a socket of the shell's.

use super::mask::Secrets;
use super::shell::{Piece, Variables, word};
use super::show::Showcase;
use super::{Finding, Report};
use crate::case::{Refusal, Send, Step};
use crate::compose::number_of;
use crate::dialect::Dialect;
use crate::operation::Count;
use crate::wire::{Exchange, Leave};

mod sending;

use sending::needs_socket;

/// The script, if anything was sent.
#[must_use]
pub fn script(report: &Report, finding: &Finding) -> Option<String> {
    written(report, finding, &Showcase::of(report))
}

/// The same, where a showcase is at hand.
pub(super) fn written(report: &Report, finding: &Finding, showcase: &Showcase) -> Option<String> {
    if finding.exchanges.is_empty() {
        return None;
    }
    let writer = Writer::new(report, finding, showcase.secrets());
    let body = writer.body();
    let case = finding.case;
    let mut script = format!(
        "#!/usr/bin/env bash\n# {} ({}): {}\n# Seen: {}\n",
        case.id,
        case.severity.name(),
        case.title,
        showcase.line(&finding.because)
    );
    script.push_str(&writer.definitions(&body));
    script.push_str(&body);
    // A token without its scheme may stand in a body: what has no variable is masked, and the script says less.
    Some(String::from_utf8_lossy(&showcase.secrets().mask(script.as_bytes())).into_owned())
}

/// What a script does, without what it says of the case: equal for cases that take the same steps.
pub(super) fn actions(script: &str) -> String {
    script
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n")
}

struct Writer<'a> {
    report: &'a Report,
    finding: &'a Finding,
    secrets: &'a Secrets,
    variables: Variables,
    /// Names of variables, and how each gets its value.
    given: Vec<(String, String)>,
}

impl<'a> Writer<'a> {
    fn new(report: &'a Report, finding: &'a Finding, secrets: &'a Secrets) -> Self {
        let mut writer = Self {
            report,
            finding,
            secrets,
            variables: Variables::default(),
            given: Vec::new(),
        };
        for (at, key) in finding.keys.iter().enumerate() {
            let behind = if at == 0 {
                String::new()
            } else {
                format!("_{}", at + 1)
            };
            writer.give(key, format!("KEY{behind}"), NEW_KEY.to_owned());
            writer.give(
                &key.to_ascii_uppercase(),
                format!("KEY{behind}_UPPER"),
                format!("$(printf %s \"$KEY{behind}\" | tr a-z A-Z)"),
            );
            writer.give(
                &number_of(key),
                format!("NUMBER{behind}"),
                format!("$((16#${{KEY{behind}:0:7}}))"),
            );
        }
        writer
    }

    fn give(&mut self, literal: &str, name: String, value: String) {
        // A literal of few letters would be found where it is not meant.
        if literal.len() >= LITERAL_BYTES_MIN {
            self.variables.add(literal, name.clone());
            self.given.push((name, value));
        }
    }

    fn definitions(&self, body: &str) -> String {
        let mut lines = format!(
            "URL=${{URL:-{}}}\n",
            word(&[Piece::Bytes(self.report.operation.peer.origin().as_bytes())])
        );
        // Each may be made from those before it.
        let mut used = body.to_owned();
        let mut assignments = Vec::new();
        for (name, value) in self.given.iter().rev() {
            if uses(&used, name) {
                used.push_str(value);
                assignments.push(format!("{name}=${{{name}:-{value}}}\n"));
            }
        }
        lines.extend(assignments.into_iter().rev());
        for name in self.secret_variables() {
            if uses(body, &name) {
                lines.push_str(&format!(
                    ": \"${{{name}:?export it: a header line of the request has it}}\"\n"
                ));
            }
        }
        if body.contains("$OUT/") {
            lines.push_str("OUT=$(mktemp -d) && trap 'rm -r \"$OUT\"' EXIT\n");
        }
        if body.contains("/dev/tcp/") || body.contains("s_client") {
            let (host, port) = address(&self.report.operation.peer.origin());
            lines.push_str(&format!("HOST={host} PORT={port} # as in URL\n"));
        }
        if body.contains("request ") {
            lines.push_str(
                "request() { curl -sS -g --http1.1 --path-as-is --max-time 60 \"$@\"; }\n",
            );
        }
        if let Some(counter) = self.counter() {
            lines.push_str(&counter);
        }
        lines
    }

    fn secret_variables(&self) -> Vec<String> {
        let mut names = Vec::new();
        for exchange in &self.finding.exchanges {
            for (name, value) in &exchange.request.fields {
                names.extend(self.secrets.variable(name, value));
            }
        }
        names.extend(self.probe_secrets().map(|(_, variable)| variable));
        names.sort_unstable();
        names.dedup();
        names
    }

    fn body(&self) -> String {
        let mut lines = String::new();
        let counts = self.counter().is_some();
        if counts {
            lines.push_str("before=$(count)\n");
        }
        for step in self.finding.case.steps {
            lines.push('\n');
            lines.push_str(&self.step(step));
        }
        if counts {
            lines.push_str("\necho \"== executions: $(($(count) - before))\"\n");
        }
        lines
    }

    fn step(&self, step: &Step) -> String {
        match step {
            Step::Send(send) => self.send(send),
            Step::Burst(send) => self.burst(send),
            Step::Start(send) => self.start(send),
            Step::Join => self.join(),
            Step::Settle(send) => self.settle(send),
            Step::Pause => "sleep 1.1\n".to_owned(),
            Step::Quiet => "# Until nothing that was left alone is running.\nsleep 2\n".to_owned(),
            Step::Chaos => self.restart(),
        }
    }

    fn exchange(&self, send: &Send) -> Option<&'a Exchange> {
        let mut exchanges = self.finding.exchanges.iter();
        exchanges.find(|exchange| exchange.label == send.label)
    }

    fn send(&self, send: &Send) -> String {
        let Some(exchange) = self.exchange(send) else {
            return not_sent(send);
        };
        let how = match send.leave {
            Leave::Never => "",
            Leave::InBody => ", whose caller leaves in the middle of the body",
            Leave::AfterRequest => ", whose caller leaves without the answer",
            Leave::WhileRunning => ", whose caller leaves while it is running",
            Leave::InAnswer => ", whose caller leaves in the middle of the answer",
        };
        let command = if needs_socket(&exchange.request, send.leave) {
            self.raw(&exchange.request, send.leave)
        } else {
            format!("{}\n", self.curl(&exchange.request, "request -i"))
        };
        format!("echo '== {}{how}'\n{command}echo\n", send.label)
    }

    fn burst(&self, send: &Send) -> String {
        let Some(exchange) = self.exchange(send) else {
            return not_sent(send);
        };
        let count = self
            .finding
            .exchanges
            .iter()
            .filter(|exchange| exchange.label == send.label)
            .count();
        let command = self.curl(&exchange.request, "request -w ' [%{http_code}]'");
        format!(
            "echo '== {label}: {count} at once; how often which answer came'\n\
             {label}() {{\n  {command} | tr -d '\\0\\r\\n' && echo\n}}\n\
             for n in $(seq {count}); do {label} >\"$OUT/{label}-$n\" & done\nwait\n\
             cat \"$OUT/{label}\"-* | sort | uniq -c\n",
            label = send.label,
        )
    }

    fn start(&self, send: &Send) -> String {
        let Some(exchange) = self.exchange(send) else {
            return not_sent(send);
        };
        let command = self.curl(&exchange.request, "request -i");
        // As long as the check waited: the next request came so much later.
        let next = self
            .finding
            .exchanges
            .iter()
            .map(|other| other.began)
            .filter(|began| *began > exchange.began)
            .min();
        let pause = next
            .map(|next| next.saturating_sub(exchange.began).as_secs_f64())
            .unwrap_or_default()
            .clamp(PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX);
        format!(
            "# {label} goes on while the next requests are sent.\n\
             {command} >\"$OUT/{label}\" &\nsleep {pause:.2}\n",
            label = send.label,
        )
    }

    /// Awaits what was started since the last time.
    fn join(&self) -> String {
        let started = self
            .finding
            .case
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Start(send) if self.exchange(send).is_some() => Some(send.label),
                Step::Start(_)
                | Step::Send(_)
                | Step::Burst(_)
                | Step::Join
                | Step::Settle(_)
                | Step::Pause
                | Step::Quiet
                | Step::Chaos => None,
            });
        let shown: String = started
            .map(|label| format!("echo '== {label}'\ncat \"$OUT/{label}\"\necho\n"))
            .collect();
        format!("wait\n{shown}")
    }

    fn settle(&self, send: &Send) -> String {
        let Some(exchange) = self.exchange(send) else {
            return not_sent(send);
        };
        let patterns: Vec<String> = in_flight(self.report.dialect)
            .iter()
            .map(|status| format!("'HTTP/1.1 {status}'*"))
            .collect();
        format!(
            "echo '== {label}, until it is not told that the first is in flight'\n\
             for _ in $(seq 40); do\n  \
             {command} >\"$OUT/{label}\"\n  \
             case $(head -n 1 \"$OUT/{label}\") in {patterns}) sleep 1 ;; *) break ;; esac\ndone\n\
             cat \"$OUT/{label}\"\necho\n",
            label = send.label,
            command = self.curl(&exchange.request, "request -i"),
            patterns = patterns.join(" | "),
        )
    }

    fn restart(&self) -> String {
        let command = self.report.operation.chaos.as_deref().unwrap_or_default();
        let words: Vec<String> = command
            .iter()
            .map(|argument| word(&[Piece::Bytes(argument.as_bytes())]))
            .collect();
        format!(
            "echo '== the server is killed and started again'\n{}\n",
            words.join(" ")
        )
    }

    /// A function that counts executions, if the API has something that can be counted.
    fn counter(&self) -> Option<String> {
        let probe = self.report.witness.counter.as_ref()?;
        let filter = match &probe.count {
            Count::Length(pointer) if pointer.is_empty() => "length".to_owned(),
            Count::Length(pointer) => format!("{} | length", jq_path(pointer)),
            Count::Number(pointer) => jq_path(pointer),
        };
        let headers: String = self
            .probe_secrets()
            .map(|(name, variable)| format!(" -H \"{name}: ${variable}\""))
            .collect();
        let target = [
            Piece::Variable("URL"),
            Piece::Bytes(probe.target.as_bytes()),
        ];
        Some(format!(
            "count() {{ curl -sS -g{headers} {} | jq {}; }}\n",
            word(&target),
            word(&[Piece::Bytes(filter.as_bytes())]),
        ))
    }

    fn probe_secrets(&self) -> impl Iterator<Item = (&'a str, String)> {
        let fields = self.report.operation.plain().fields.iter();
        let secrets = self.secrets;
        fields
            .filter_map(move |(name, value)| Some((name.as_str(), secrets.variable(name, value)?)))
    }
}

fn not_sent(send: &Send) -> String {
    format!("# {} was not sent.\n", send.label)
}

/// The statuses by which a dialect says that the first request is still running.
fn in_flight(dialect: &str) -> &'static [u16] {
    Dialect::all()
        .iter()
        .find(|known| known.name == dialect)
        .map_or(&[409], |known| known.statuses(Refusal::InFlight))
}

/// A JSON pointer as `jq` has it.
fn jq_path(pointer: &str) -> String {
    let members: String = pointer
        .split('/')
        .skip(1)
        .map(|member| member.replace("~1", "/").replace("~0", "~"))
        .map(|member| match member.parse::<usize>() {
            Ok(index) => format!("[{index}]"),
            Err(_) => format!("[{}]", serde_json::Value::from(member)),
        })
        .collect();
    format!(".{members}")
}

/// Host and port of an origin.
fn address(origin: &str) -> (String, u16) {
    let (scheme, authority) = origin.split_once("://").unwrap_or(("http", origin));
    let default = if scheme == "https" { 443 } else { 80 };
    let port = authority
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = port.unwrap_or((authority, default));
    (host.trim_matches(['[', ']']).to_owned(), port)
}

/// Whether a script has that variable.
fn uses(script: &str, name: &str) -> bool {
    let follows_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    [format!("${name}"), format!("${{{name}")]
        .iter()
        .any(|reference| {
            script
                .match_indices(reference.as_str())
                .any(|(at, _)| !script[at + reference.len()..].starts_with(follows_name))
        })
}

/// A key that no run had before.
const NEW_KEY: &str = "$(uuidgen 2>/dev/null || cat /proc/sys/kernel/random/uuid)";
/// Literals that are shorter are not replaced by variables.
const LITERAL_BYTES_MIN: usize = 6;
/// Bounds on the pause behind a request that goes on.
const PAUSE_SECONDS_MIN: f64 = 0.05;
const PAUSE_SECONDS_MAX: f64 = 5.0;
