//! The page that explains a problem, as HTML for browsers and as Markdown for everybody else.

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use oncegate::ProblemKind;

use crate::body::Body;

/// The page of one problem.
pub(crate) fn page(kind: ProblemKind, request: &Parts) -> Response<Body> {
    let accept = request
        .headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let (content_type, text) = if accept.is_some_and(|accept| accept.contains("text/html")) {
        ("text/html; charset=utf-8", html(kind))
    } else {
        ("text/markdown; charset=utf-8", kind.page().to_owned())
    };
    let body = if request.method == Method::HEAD {
        Body::empty()
    } else {
        Body::whole(text)
    };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=3600"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(SECURITY_POLICY),
    );
    answer
}

fn html(kind: ProblemKind) -> String {
    let mut content = String::new();
    let options = pulldown_cmark::Options::ENABLE_TABLES;
    let parser = pulldown_cmark::Parser::new_ext(kind.page(), options);
    pulldown_cmark::html::push_html(&mut content, parser);
    let title = kind.row().title;
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style><main>{content}</main></html>"
    )
}

/// Nothing is loaded from anywhere; the one style stands in the page.
const SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE: &str = "body{font:16px/1.6 system-ui,sans-serif;margin:0;color:#222;background:#fff}\
main{max-width:42rem;margin:0 auto;padding:1.5rem}code,pre{font-family:ui-monospace,monospace;\
background:#8882;border-radius:3px;padding:.1em .3em}pre{padding:.8em;overflow:auto}\
table{border-collapse:collapse}td,th{border:1px solid #8886;padding:.3em .6em;text-align:left}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#8bf}}";
