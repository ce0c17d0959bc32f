//! `oncegate keys`: what operators do about keys, over the admin listener of a proxy that runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Subcommand;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use oncegate::key::{IdempotencyKey, KeyRules};
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::{KeyView, KeysPage, Resolution};
use crate::command::Failed;

/// The arguments of `oncegate keys`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The admin listener of the proxy
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "ONCEGATE_ADMIN",
        default_value = "127.0.0.1:9090"
    )]
    admin: String,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List records
    List {
        /// Only those that are in-flight, unknown, completed or expired
        #[arg(long)]
        state: Option<String>,
        /// Only those of this key, whoever sent it; the key itself is not sent to the proxy
        #[arg(long)]
        key: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one record
    Show {
        /// The record's id, as `list` shows it
        id: String,
    },
    /// Settle an unknown key: "this was the outcome", which retries then get
    Resolve {
        /// The record's id, as `list` shows it
        id: String,
        /// The status that retries get
        #[arg(long)]
        status: u16,
        /// The body that retries get
        #[arg(long, conflicts_with = "body_file", default_value = "")]
        body: String,
        /// A file with the body that retries get
        #[arg(long, value_name = "FILE")]
        body_file: Option<PathBuf>,
        /// A header that retries get; can be repeated
        #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
        headers: Vec<String>,
    },
    /// Settle an unknown key: "it was not executed", so that a retry executes
    Release {
        /// The record's id, as `list` shows it
        id: String,
    },
    /// Take the bodies of expired records and remove what may go, now
    Purge,
}

/// Does it.
///
/// # Errors
/// If the proxy cannot be reached, or refuses.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failed> {
    let Arguments {
        admin,
        json,
        action,
    } = arguments;
    let admin = Admin(admin);
    match action {
        Action::List { state, key, limit } => {
            print_list(&list(&admin, state, key, limit).await?, json)
        }
        Action::Show { id } => {
            let body = admin.get(&format!("/keys/{id}")).await?;
            print_list(&[parse::<KeyView>(&body)?], json)
        }
        Action::Resolve {
            id,
            status,
            body,
            body_file,
            headers,
        } => {
            let body = match body_file {
                Some(path) => std::fs::read_to_string(&path).map_err(|error| {
                    Failed::usage(format!("cannot read {}", path.display())).because(error)
                })?,
                None => body,
            };
            let resolution = Resolution {
                status,
                headers: parse_headers(&headers)?,
                body,
            };
            print_done(&admin.resolve(&id, &resolution).await?, json)
        }
        Action::Release { id } => print_done(
            &admin
                .post(&format!("/keys/{id}/release"), b"{}".to_vec())
                .await?,
            json,
        ),
        Action::Purge => print_done(&admin.post("/purge", b"{}".to_vec()).await?, json),
    }
}

/// Settles one key, as `oncegate keys resolve` does.
pub(crate) async fn resolve(
    admin: SocketAddr,
    id: &str,
    status: StatusCode,
    body: String,
) -> Result<(), Failed> {
    let headers = BTreeMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
    let resolution = Resolution {
        status: status.as_u16(),
        headers,
        body,
    };
    Admin(admin.to_string())
        .resolve(id, &resolution)
        .await
        .map(drop)
}

async fn list(
    admin: &Admin,
    state: Option<String>,
    key: Option<String>,
    limit: usize,
) -> Result<Vec<KeyView>, Failed> {
    let mut query = String::new();
    if let Some(state) = state {
        if !state
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        {
            return Err(Failed::usage(
                "state is in-flight, unknown, completed or expired",
            ));
        }
        query = format!("&state={state}");
    }
    if let Some(key) = key {
        let key = IdempotencyKey::parse(key.as_bytes(), &KeyRules::default())
            .map_err(|error| Failed::usage("that is no idempotency key").because(error))?;
        query.push_str(&format!("&key_digest={}", key.digest()));
    }
    let mut keys: Vec<KeyView> = Vec::new();
    let mut after = String::new();
    // A page may be empty and not the last: the store looks at a bounded number of records for each.
    while keys.len() < limit {
        let page = admin
            .get(&format!("/keys?limit={}{query}{after}", limit - keys.len()))
            .await?;
        let page: KeysPage = parse(&page)?;
        keys.extend(page.keys);
        match page.next {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    Ok(keys)
}

fn print_list(keys: &[KeyView], json: bool) -> Result<(), Failed> {
    if json {
        let text = serde_json::to_string_pretty(keys)
            .map_err(|error| Failed::unavailable("the list is no JSON").because(error))?;
        println!("{text}");
        return Ok(());
    }
    if keys.is_empty() {
        println!("no keys");
        return Ok(());
    }
    println!(
        "{:<10} {:>9} {:<17} {:<32} ID",
        "STATE", "AGE", "KEY DIGEST", "OPERATION"
    );
    for key in keys {
        let KeyView {
            id,
            state,
            key_digest,
            operation,
            age_seconds,
            ..
        } = key;
        println!("{state:<10} {age_seconds:>8}s {key_digest:<17} {operation:<32} {id}");
    }
    Ok(())
}

fn print_done(body: &Bytes, json: bool) -> Result<(), Failed> {
    if json {
        println!("{}", String::from_utf8_lossy(body));
        return Ok(());
    }
    for (name, value) in parse::<Map<String, Value>>(body)? {
        println!(
            "{name}: {}",
            value.as_str().map_or(value.to_string(), ToOwned::to_owned)
        );
    }
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, Failed> {
    serde_json::from_slice(body).map_err(|error| {
        Failed::unavailable("this is not the admin listener of a proxy of this version")
            .because(error)
    })
}

fn parse_headers(lines: &[String]) -> Result<BTreeMap<String, String>, Failed> {
    lines
        .iter()
        .map(|line| {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| Failed::usage(format!("a header is `NAME: VALUE`, not `{line}`")))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// The admin listener of a proxy.
struct Admin(String);

impl Admin {
    async fn get(&self, path: &str) -> Result<Bytes, Failed> {
        self.ask(Method::GET, path, Vec::new()).await
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Bytes, Failed> {
        self.ask(Method::POST, path, body).await
    }

    async fn resolve(&self, id: &str, resolution: &Resolution) -> Result<Bytes, Failed> {
        let document = serde_json::to_vec(resolution)
            .map_err(|error| Failed::usage("the resolution is no JSON").because(error))?;
        self.post(&format!("/keys/{id}/resolve"), document).await
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes, Failed> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.0)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failed::usage("that makes no request").because(error))?;
        let (status, body) = timeout(ASK_TIMEOUT, self.exchange(request))
            .await
            .map_err(|_elapsed| {
                Failed::unavailable(format!("the proxy at {} does not answer", self.0))
            })?
            .map_err(|error| {
                Failed::unavailable(format!("cannot ask the proxy at {}", self.0)).because(error)
            })?;
        let sentence = || String::from_utf8_lossy(&body).trim_end().to_owned();
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::CONFLICT => {
                Err(Failed::refused(sentence()))
            }
            _ => Err(Failed::unavailable(sentence())),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.0).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await?
            .to_bytes();
        connection.abort();
        Ok((status, body))
    }
}

const ASK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
