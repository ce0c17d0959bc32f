//! One request as a command: with curl where curl can send it, else over a socket.

use super::super::shell::{Piece, Variables, printf, word};
use super::Writer;
use crate::wire::{Framing, Leave, Request};

impl Writer<'_> {
    /// A command that has curl send it.
    pub(super) fn curl(&self, request: &Request, begin: &str) -> String {
        let method = match request.method.as_str() {
            "HEAD" => "-I".to_owned(),
            method => format!("-X {}", self.word(method.as_bytes())),
        };
        let mut target = self.variables.pieces(request.target.as_bytes());
        target.insert(0, Piece::Variable("URL"));
        let mut command = format!("{begin} {method} {}", word(&target));
        for (name, value) in &request.fields {
            if !name.eq_ignore_ascii_case("host") {
                command.push_str(&format!(" \\\n    -H {}", self.header(name, value)));
            }
        }
        if matches!(request.framing, Framing::Chunked { .. }) {
            command.push_str(" \\\n    -H 'Transfer-Encoding: chunked'");
        }
        if request.body.is_empty() {
            return command;
        }
        if request.field("content-type").is_none() {
            // curl would say that it is a form.
            command.push_str(" \\\n    -H 'Content-Type:'");
        }
        if fits_argument(&request.body) {
            let body = self.word(&request.body);
            return format!("{command} \\\n    --data-binary {body}");
        }
        // Without this curl would wait for permission to send so much.
        let body = printed(&self.variables, &request.body);
        format!("{body} | {command} \\\n    -H 'Expect:' --data-binary @-")
    }

    fn header(&self, name: &str, value: &[u8]) -> String {
        if value.is_empty() {
            // How curl writes a line without a value.
            return self.word(format!("{name};").as_bytes());
        }
        let variables = self.with_secrets(&[(name.to_owned(), value.to_vec())]);
        word(&variables.pieces(&[name.as_bytes(), b": ", value].concat()))
    }

    /// Bytes over a socket, and then what the caller hears, or not.
    pub(super) fn raw(&self, request: &Request, leave: Leave) -> String {
        let mut bytes = request.head();
        let body = request.framed_body();
        let sent = if leave == Leave::InBody {
            body.len() / 2
        } else {
            body.len()
        };
        bytes.extend_from_slice(&body[..sent]);
        let printed = printed(&self.with_secrets(&request.fields), &bytes);
        if self.report.operation.peer.origin().starts_with("https:") {
            let heard = match leave {
                Leave::Never => "timeout 60 ",
                Leave::InBody | Leave::AfterRequest | Leave::WhileRunning | Leave::InAnswer => {
                    "timeout 0.3 "
                }
            };
            return format!(
                "# Not curl: it would tidy this up. The time is a guess at when the caller leaves.\n\
                 {printed} |\n  {heard}openssl s_client -quiet -connect \"$HOST:$PORT\" -servername \"$HOST\" 2>/dev/null\n"
            );
        }
        let heard = match leave {
            Leave::Never => "timeout 60 cat <&3\n",
            Leave::InBody | Leave::AfterRequest => "",
            Leave::WhileRunning => "timeout 0.3 cat <&3 >/dev/null\n",
            Leave::InAnswer => "head -c 1 <&3 >/dev/null\n",
        };
        format!(
            "# Not curl: it would tidy this up.\nexec 3<>\"/dev/tcp/$HOST/$PORT\"\n{printed} >&3\n{heard}exec 3>&-\n"
        )
    }

    fn word(&self, bytes: &[u8]) -> String {
        word(&self.variables.pieces(bytes))
    }

    /// The variables, with those for the secrets in these header lines.
    fn with_secrets(&self, fields: &[(String, Vec<u8>)]) -> Variables {
        let mut variables = self.variables.clone();
        for (name, value) in fields {
            if let Some(variable) = self.secrets.variable(name, value) {
                variables.add(value.clone(), variable);
            }
        }
        variables
    }
}

/// What curl cannot do.
pub(super) fn needs_socket(request: &Request, leave: Leave) -> bool {
    let has_trailers =
        matches!(&request.framing, Framing::Chunked { trailers } if !trailers.is_empty());
    let unprintable = request
        .fields
        .iter()
        .any(|(_, value)| value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
    leave != Leave::Never || has_trailers || unprintable
}

/// Whether a shell can pass it as one argument.
fn fits_argument(body: &[u8]) -> bool {
    body.len() <= ARGUMENT_BYTES_MAX && !body.contains(&0)
}

/// A command that prints these bytes; long runs of one byte are made, not written.
fn printed(variables: &Variables, bytes: &[u8]) -> String {
    let mut commands = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (before, run) = first_run(rest);
        if before > 0 {
            commands.push(format!(
                "printf {}",
                printf(&variables.pieces(&rest[..before]))
            ));
        }
        if run > 0 {
            let byte = rest[before];
            commands.push(format!("head -c {run} /dev/zero | tr '\\0' '\\{byte:03o}'"));
        }
        rest = &rest[before + run..];
    }
    match commands.as_slice() {
        [only] => only.clone(),
        _ => format!("{{ {}; }}", commands.join("; ")),
    }
}

/// Where the first long run of one byte begins, and how long it is.
fn first_run(bytes: &[u8]) -> (usize, usize) {
    let mut begin = 0;
    for run in bytes.chunk_by(|one, next| one == next) {
        if run.len() >= RUN_BYTES_MIN {
            return (begin, run.len());
        }
        begin += run.len();
    }
    (begin, 0)
}

/// Longest body that stands on the command line.
const ARGUMENT_BYTES_MAX: usize = 4 * 1024;
/// Shorter runs of one byte are written out.
const RUN_BYTES_MIN: usize = 512;
