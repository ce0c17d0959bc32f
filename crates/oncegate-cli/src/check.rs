//! `oncegate check`: takes an operation of any API through the cases of `oncegate-check`.

use oncegate_check::case::{Case, Severity};
use oncegate_check::dialect::{Dialect, ONCEGATE};
use oncegate_check::operation::{Form, Operation};
use oncegate_check::report::Verdict;
use oncegate_check::wire::Peer;
use oncegate_check::{Limits, Trouble, cases, run as run_cases};

use crate::command::Failed;

mod output;

/// The arguments of `oncegate check`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The operation's URL
    url: String,
    /// The method
    #[arg(long, short = 'X', default_value = "POST")]
    request: String,
    /// The body
    #[arg(long, short = 'd', default_value = "")]
    data: String,
    /// A header line; can be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    #[command(flatten)]
    output: output::Output,
}

/// Runs the check, and prints the report.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failed> {
    let (peer, target) =
        Peer::of(&arguments.url).map_err(|error| Failed::usage(error.to_string()))?;
    if !peer.is_loopback() {
        return Err(Failed::usage(format!(
            "{} is not on this machine",
            arguments.url
        )));
    }
    let form = Form {
        method: arguments.request,
        target,
        fields: fields(&arguments.headers, &arguments.data)?,
        body: arguments.data.into_bytes(),
    };
    let operation = Operation::new(peer, form);
    let cases: Vec<&'static Case> = cases::all().collect();
    let dialect: &'static Dialect = &ONCEGATE;
    let teller = arguments.output.teller()?;
    let report = run_cases(
        &operation,
        dialect,
        &cases,
        &Limits::default(),
        |progress| teller.progress(&operation, progress),
    )
    .await;
    let report = report.map_err(|trouble| match trouble {
        Trouble::Unreachable(..) | Trouble::Broken(..) => Failed::unavailable(trouble.to_string()),
        Trouble::Refused(..) => Failed::usage(trouble.to_string()),
    })?;
    let reports = [report];
    teller.conclude(&reports);
    arguments.output.write(&reports)?;
    let [report] = reports;
    let failed = report.count(Verdict::Fail);
    if failed > 0 {
        let money = report.failures(Severity::Money).count();
        return Err(Failed::refused(format!(
            "{failed} cases fail, {money} of them lose money"
        )));
    }
    Ok(())
}

fn fields(lines: &[String], body: &str) -> Result<Vec<(String, Vec<u8>)>, Failed> {
    let mut fields = Vec::with_capacity(lines.len() + 1);
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Failed::usage(format!("{line:?} is no header line: NAME: VALUE")))?;
        fields.push((name.trim().to_owned(), value.trim().as_bytes().to_vec()));
    }
    let typed = fields
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !typed && !body.is_empty() {
        fields.push((
            "Content-Type".to_owned(),
            content_type(body).as_bytes().to_vec(),
        ));
    }
    Ok(fields)
}

fn content_type(body: &str) -> &'static str {
    if serde_json::from_str::<serde_json::Value>(body).is_ok() {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    }
}
