//! Answers requests for the published contract, and lets all others through.
//!
//! Promises: what is answered is the configuration in force, also after a reload; nothing of it reaches the layer or the
//! upstream. An upstream with such a document of its own is seen with `discovery = "off"`.
//!
//! Deliberately absent: credentials. Whoever can send a request can learn how to send it safely.

use std::convert::Infallible;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::{Either, Ready, ready};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use oncegate::Dialect;
use oncegate_tower::Body;
use tower_service::Service;

use super::document::Document;
use super::negotiate::Form;
use super::page::Page;
use crate::config::Config;

/// What is published now, which a reload exchanges.
pub struct LiveDiscovery(ArcSwap<Edition>);

/// A service that answers for the path of the contract itself.
#[derive(Clone, Debug)]
pub struct Discovery<S> {
    inner: S,
    live: Arc<LiveDiscovery>,
}

/// All that is published of one configuration.
struct Edition {
    path: Option<String>,
    json: Bytes,
    page: Page,
    scheme: &'static str,
    cors_origins: Vec<String>,
    dialect: Dialect,
}

impl LiveDiscovery {
    /// Publishes what `config` means.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self(ArcSwap::from_pointee(Edition::of(config)))
    }

    /// Publishes this from now on.
    pub fn exchange(&self, config: &Config) {
        self.0.store(Arc::new(Edition::of(config)));
    }
}

impl fmt::Debug for LiveDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveDiscovery")
            .field(&self.0.load().path)
            .finish()
    }
}

impl<S> Discovery<S> {
    /// Answers what `live` publishes, and hands all else to `inner`.
    pub const fn new(inner: S, live: Arc<LiveDiscovery>) -> Self {
        Self { inner, live }
    }
}

impl<S, B> Service<Request<B>> for Discovery<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let edition = self.live.0.load();
        if edition.path.as_deref() != Some(request.uri().path()) {
            return Either::Right(self.inner.call(request));
        }
        let (parts, _body) = request.into_parts();
        Either::Left(ready(Ok(edition.answer(&parts))))
    }
}

impl Edition {
    fn of(config: &Config) -> Self {
        let document = Document::of(config);
        let json = serde_json::to_vec_pretty(&document);
        Self {
            path: config.discovery.clone(),
            json: json.expect("strings and numbers always serialise").into(),
            page: Page::of(&document),
            scheme: if config.tls.is_some() {
                "https"
            } else {
                "http"
            },
            cors_origins: config.cors_origins.clone(),
            dialect: config.defaults().dialect,
        }
    }

    fn answer(&self, request: &Parts) -> Response<Body> {
        let mut answer = match request.method {
            Method::GET | Method::HEAD => self.document(request),
            Method::OPTIONS => status(StatusCode::NO_CONTENT),
            _ => self.wrong_method(),
        };
        self.allow_origin(request, answer.headers_mut());
        answer
    }

    fn document(&self, request: &Parts) -> Response<Body> {
        let (content_type, content) = match Form::wanted(&request.headers) {
            Form::Json => ("application/json", self.json.clone()),
            Form::Html => ("text/html; charset=utf-8", self.page(request).into()),
        };
        let tag = entity_tag(&content);
        let is_known = knows(&request.headers, &tag);
        let length = content.len();
        let mut answer = if is_known {
            status(StatusCode::NOT_MODIFIED)
        } else if request.method == Method::HEAD {
            status(StatusCode::OK)
        } else {
            Response::new(Body::whole(content))
        };
        let headers = answer.headers_mut();
        headers.insert(header::ETAG, tag);
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        // Kept by whoever wants, and asked for again: a reload must be seen.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if !is_known {
            headers.insert(header::CONTENT_LENGTH, length.into());
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            for (name, value) in SECURITY {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        answer
    }

    fn page(&self, request: &Parts) -> String {
        let host = request.headers.get(header::HOST);
        let host = host.and_then(|value| value.to_str().ok());
        let authority = request.uri.authority().map(http::uri::Authority::as_str);
        // A proxy before us may speak TLS. To say `https` where it is not true costs a failed try, and no secret.
        let forwarded = request.headers.get(X_FORWARDED_PROTO);
        let scheme = if forwarded.is_some_and(|proto| proto == "https") {
            "https"
        } else {
            self.scheme
        };
        self.page.at(scheme, authority.or(host).unwrap_or_default())
    }

    fn wrong_method(&self) -> Response<Body> {
        let code = StatusCode::METHOD_NOT_ALLOWED;
        let mut answer = Response::new(Body::whole(self.dialect.bare_document(code)));
        *answer.status_mut() = code;
        let headers = answer.headers_mut();
        let content_type = HeaderValue::from_static(self.dialect.content_type());
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
        answer
    }

    /// Scripts of the configured origins may read it, as they may read refusals.
    fn allow_origin(&self, request: &Parts, headers: &mut HeaderMap) {
        if request.method == Method::OPTIONS {
            headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
        }
        if self.cors_origins.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = request.headers.get(header::ORIGIN) else {
            return;
        };
        if !self.cors_origins.iter().any(|allowed| origin == allowed) {
            return;
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if request.method == Method::OPTIONS {
            let methods = HeaderValue::from_static(METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        } else {
            let exposed = HeaderValue::from_static("ETag");
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

/// The same content has the same tag, on every proxy.
fn entity_tag(content: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    HeaderValue::try_from(tag).expect("hexadecimal digits are a header's value")
}

/// Whether the client has this already (RFC 9110, 13.1.2).
fn knows(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

const METHODS: &str = "GET, HEAD, OPTIONS";
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const SECURITY: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];
