//! The rules of scopes, one table each.

use super::*;
use crate::claims::ClaimValue;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let lines = lines.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    lines.collect()
}

fn rules(sources: &[&str]) -> ScopeRules {
    let sources = sources
        .iter()
        .map(|source| source.parse().unwrap())
        .collect();
    ScopeRules {
        sources,
        ..ScopeRules::default()
    }
}

fn resolve(lines: &[(&'static str, &'static str)], sources: &[&str]) -> Result<Scope, ScopeError> {
    Scope::resolve(&headers(lines), &rules(sources))
}

fn uncovered(header: &'static str) -> Result<Scope, ScopeError> {
    Err(ScopeError::Uncovered {
        header: HeaderName::from_static(header),
    })
}

const AUTHORIZATION: &str = "header:authorization";
const TOKEN: (&str, &str) = ("authorization", "Bearer a");

fn bad_claim(name: &str) -> ScopeSourceError {
    ScopeSourceError::BadClaim {
        name: name.to_owned(),
    }
}

fn text(text: &str) -> ClaimValue {
    ClaimValue::Text(text.to_owned())
}

/// The claims of a token with this issuer and this `sub`.
fn subject(issuer: Option<&str>, sub: ClaimValue) -> VerifiedClaims {
    VerifiedClaims::by(issuer.map(str::to_owned)).with("sub", sub)
}

fn claimed(
    lines: &[(&'static str, &'static str)],
    claims: Option<&VerifiedClaims>,
    sources: &[&str],
) -> Result<Scope, ScopeError> {
    Scope::resolve_verified(&headers(lines), claims, &rules(sources))
}

#[test]
fn the_same_credential_is_the_same_scope_and_any_other_is_another() {
    let scope = |value| resolve(&[("authorization", value)], &[AUTHORIZATION]).unwrap();
    assert_eq!(scope("Bearer a"), scope("Bearer a"));
    let different = [
        "Bearer a",
        "Bearer b",
        "bearer a",
        "Bearer  a",
        "Basic a",
        "",
    ];
    for (at, one) in different.iter().enumerate() {
        for two in &different[..at] {
            assert_ne!(scope(one), scope(two));
        }
    }
}

#[test]
fn no_credential_at_all_is_anonymous_whatever_the_sources() {
    let scope = resolve(&[("accept", "text/html")], &[AUTHORIZATION]).unwrap();
    assert!(scope.is_anonymous());
    assert_eq!(
        scope,
        resolve(&[], &["cookie:session", "header:x-api-key"]).unwrap()
    );
    assert_eq!(scope, resolve(&[], &[]).unwrap());
}

#[test]
fn anonymous_requests_can_be_refused_and_an_empty_credential_is_no_way_around_it() {
    let rules = ScopeRules {
        anonymous: Anonymous::Refuse,
        ..ScopeRules::default()
    };
    let missing = ScopeError::Missing {
        sources: rules.sources.clone(),
    };
    let resolve = |lines: &[_]| Scope::resolve(&headers(lines), &rules);
    assert_eq!(resolve(&[]), Err(missing.clone()));
    assert_eq!(resolve(&[("authorization", "")]), Err(missing));
    assert!(resolve(&[("authorization", "Bearer a")]).is_ok());
}

#[test]
fn an_absent_source_is_not_an_empty_one() {
    let absent = resolve(&[], &[AUTHORIZATION]).unwrap();
    let empty = resolve(&[("authorization", "")], &[AUTHORIZATION]).unwrap();
    assert_ne!(absent, empty);
    assert!(!empty.is_anonymous());
}

#[test]
fn a_credential_that_no_source_covers_is_refused_and_named() {
    let bearer = ("authorization", "Bearer a");
    type Lines = [(&'static str, &'static str)];
    let table: [(&Lines, &[&str], _); 6] = [
        (
            &[("cookie", "session=a")],
            &[AUTHORIZATION],
            uncovered("cookie"),
        ),
        (
            &[("x-api-key", "a")],
            &[AUTHORIZATION],
            uncovered("x-api-key"),
        ),
        // Covered and uncovered together: the uncovered one decides.
        (
            &[bearer, ("cookie", "a=b")],
            &[AUTHORIZATION],
            uncovered("cookie"),
        ),
        (&[bearer], &["cookie:session"], uncovered("authorization")),
        // The cookie is not among them, so nobody knows whose the others are.
        (
            &[("cookie", "other=a")],
            &["cookie:session"],
            uncovered("cookie"),
        ),
        (&[bearer], &[], uncovered("authorization")),
    ];
    for (lines, sources, expected) in table {
        assert_eq!(resolve(lines, sources), expected, "{lines:?} {sources:?}");
    }
}

#[test]
fn a_cookie_source_covers_the_cookie_header_if_that_cookie_is_there() {
    for cookies in [
        "session=a",
        "x=1; session=a",
        "x=1;session=a ;y",
        " session =a",
    ] {
        let scope = resolve(&[("cookie", cookies)], &["cookie:session"]);
        assert_eq!(
            scope,
            resolve(&[("cookie", "session=a")], &["cookie:session"]),
            "{cookies}"
        );
        assert!(!scope.unwrap().is_anonymous());
    }
    let names = resolve(&[("cookie", "Session=a")], &["cookie:session"]);
    assert_eq!(names, uncovered("cookie"));
}

#[test]
fn every_line_and_every_cookie_of_the_name_counts() {
    let scope = |lines: &[_]| resolve(lines, &["cookie:s", AUTHORIZATION]).unwrap();
    let different = [
        scope(&[("cookie", "s=a")]),
        scope(&[("cookie", "s=b")]),
        scope(&[("cookie", "s=a; s=b")]),
        scope(&[("cookie", "s=b; s=a")]),
        scope(&[("cookie", "s=a"), ("cookie", "x=y; s=a")]),
        scope(&[("authorization", "a")]),
        scope(&[("authorization", "a"), ("authorization", "b")]),
        scope(&[("authorization", "a, b")]),
        scope(&[("authorization", "a"), ("cookie", "s=b")]),
        scope(&[("authorization", "b"), ("cookie", "s=a")]),
    ];
    for (at, scope) in different.iter().enumerate() {
        assert!(!different[..at].contains(scope), "case {at}");
    }
    let split = scope(&[("cookie", "s=a"), ("cookie", "s=b")]);
    assert_eq!(
        split,
        scope(&[("cookie", "s=a; s=b")]),
        "HTTP/2 splits cookies over lines"
    );
}

#[test]
fn order_repetition_and_unused_sources_do_not_move_a_client_to_another_scope() {
    let lines = [("authorization", "Bearer a"), ("cookie", "s=b")];
    let scope = resolve(&lines, &[AUTHORIZATION, "cookie:s"]).unwrap();
    assert_eq!(
        Ok(&scope),
        resolve(&lines, &["cookie:s", AUTHORIZATION]).as_ref()
    );
    assert_eq!(
        Ok(&scope),
        resolve(&lines, &["cookie:s", AUTHORIZATION, "cookie:s"]).as_ref()
    );
    assert_eq!(
        Ok(&scope),
        resolve(&lines, &["cookie:s", AUTHORIZATION, "cookie:t"]).as_ref()
    );
}

#[test]
fn the_same_bytes_in_another_source_are_another_scope() {
    let sources = ["header:x-api-key", "header:api-key"];
    assert_ne!(
        resolve(&[("x-api-key", "a")], &sources),
        resolve(&[("api-key", "a")], &sources)
    );
}

#[test]
fn schemes_that_change_with_every_request_are_refused() {
    let table = [
        ("AWS4-HMAC-SHA256 Credential=a", Some("AWS4-HMAC-SHA256")),
        ("digest username=a", Some("Digest")),
        ("OAUTH oauth_nonce=a", Some("OAuth")),
        ("DPoP a", Some("DPoP")),
        ("Signature keyId=a", Some("Signature")),
        ("negotiate", Some("Negotiate")),
        ("Bearer Digest", None),
        ("Digests a", None),
        ("Basic a", None),
    ];
    for (value, scheme) in table {
        let changes = match resolve(&[("authorization", value)], &[AUTHORIZATION]) {
            Err(ScopeError::ChangesPerRequest { scheme }) => Some(scheme),
            Ok(_) | Err(_) => None,
        };
        assert_eq!(changes, scheme, "{value}");
    }
    let second_line = [("authorization", "Bearer a"), ("authorization", "Digest b")];
    assert!(resolve(&second_line, &[AUTHORIZATION]).is_err());
}

#[test]
fn a_source_is_read_and_shown_as_in_the_settings() {
    for text in [
        "header:authorization",
        "cookie:__Host-session",
        "jwt:sub",
        "jwt:https://shop.example/tenant",
    ] {
        assert_eq!(text.parse::<ScopeSource>().unwrap().to_string(), text);
    }
    let upper = "header:Authorization".parse();
    assert_eq!(upper, Ok(ScopeSource::Header(header::AUTHORIZATION)));
    let table = [
        (
            "authorization",
            ScopeSourceError::UnknownKind {
                given: "authorization".to_owned(),
            },
        ),
        (
            "Header:a",
            ScopeSourceError::UnknownKind {
                given: "Header:a".to_owned(),
            },
        ),
        ("header:", bad_name("")),
        ("header:a b", bad_name("a b")),
        ("cookie:", bad_name("")),
        ("cookie:a=b", bad_name("a=b")),
        ("jwt:", bad_claim("")),
        ("jwt:a b", bad_claim("a b")),
        ("jwt:exp", ScopeSourceError::ChangingClaim { name: "exp" }),
        ("jwt:jti", ScopeSourceError::ChangingClaim { name: "jti" }),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<ScopeSource>(), Err(error), "{text}");
    }
}

#[test]
fn debug_output_shows_nothing_of_the_credential() {
    let scope = resolve(&[("authorization", "Bearer hunter2")], &[AUTHORIZATION]).unwrap();
    assert_eq!(format!("{scope:?}"), "Scope { anonymous: false, .. }");
}

/// The hash of a scope is in the id of every record: were it another one, every retry would execute again.
#[test]
fn scopes_of_headers_and_cookies_hash_as_they_always_did() {
    let lines = [TOKEN, ("cookie", "s=b")];
    let scope = resolve(&lines, &[AUTHORIZATION, "cookie:s"]).unwrap();
    assert_eq!(
        blake3::Hash::from_bytes(scope.0).to_hex().as_str(),
        "1322f2a241920511c039329bfc35af174107947fb73d81f84c312eaa0c0f4c24"
    );
}

#[test]
fn a_claim_is_the_same_scope_whatever_the_token_it_stands_in() {
    let scope = |token: &'static str| {
        let claims = subject(Some("https://id"), text("alice")).with("exp", ClaimValue::Integer(1));
        claimed(&[("authorization", token)], Some(&claims), &["jwt:sub"]).unwrap()
    };
    assert_eq!(scope("Bearer first"), scope("Bearer refreshed"));
    assert!(!scope("Bearer first").is_anonymous());
}

#[test]
fn issuer_claim_kind_and_value_each_make_another_scope() {
    let scope =
        |claims: &VerifiedClaims, source: &str| claimed(&[TOKEN], Some(claims), &[source]).unwrap();
    let tenant = subject(Some("a"), text("b")).with("tenant", text("b"));
    let different = [
        scope(&subject(None, text("7")), "jwt:sub"),
        scope(&subject(Some(""), text("7")), "jwt:sub"),
        scope(&subject(Some("7"), text("7")), "jwt:sub"),
        scope(&subject(None, ClaimValue::Integer(7)), "jwt:sub"),
        scope(&subject(None, ClaimValue::Integer(-7)), "jwt:sub"),
        scope(&subject(Some("a"), text("b")), "jwt:sub"),
        scope(&subject(Some("ab"), text("b")), "jwt:sub"),
        scope(&subject(Some("b"), text("a")), "jwt:sub"),
        scope(&tenant, "jwt:tenant"),
        resolve(&[TOKEN], &[AUTHORIZATION]).unwrap(),
    ];
    for (at, scope) in different.iter().enumerate() {
        assert!(!different[..at].contains(scope), "case {at}");
    }
}

#[test]
fn a_token_that_nobody_verified_is_no_scope_and_none_at_all_is_anonymous() {
    assert_eq!(
        claimed(&[TOKEN], None, &["jwt:sub"]),
        Err(ScopeError::Unverified)
    );
    let with_key = [TOKEN, ("x-api-key", "k")];
    let sources = ["header:x-api-key", "jwt:sub"];
    assert_eq!(
        claimed(&with_key, None, &sources),
        Err(ScopeError::Unverified)
    );
    assert!(claimed(&[], None, &["jwt:sub"]).unwrap().is_anonymous());
    let cookie = claimed(&[("cookie", "a=b")], None, &["jwt:sub"]);
    assert_eq!(cookie, uncovered("cookie"));
    let refusing = ScopeRules {
        anonymous: Anonymous::Refuse,
        ..rules(&["jwt:sub"])
    };
    let sources = refusing.sources.clone();
    assert_eq!(
        Scope::resolve(&headers(&[]), &refusing),
        Err(ScopeError::Missing { sources })
    );
    let claims = subject(None, text("alice"));
    assert!(Scope::resolve_verified(&headers(&[TOKEN]), Some(&claims), &refusing).is_ok());
}

#[test]
fn a_claim_that_names_nobody_is_refused() {
    let table = [
        ("sub", ClaimValue::Other, ClaimError::NoName),
        ("sub", text(""), ClaimError::Empty),
        ("tenant", text("a"), ClaimError::Missing),
    ];
    for (claim, value, why) in table {
        let claims = subject(None, value);
        let refused = ScopeError::Claim {
            claim: claim.to_owned(),
            why,
        };
        // Not even beside a credential that says who it is.
        let lines = [TOKEN, ("x-api-key", "k")];
        let sources = ["header:x-api-key", &format!("jwt:{claim}")];
        assert_eq!(claimed(&lines, Some(&claims), &sources), Err(refused));
    }
}

#[test]
fn a_claim_is_joined_with_the_other_sources() {
    let claims = |sub: &str| subject(None, text(sub));
    let sources = ["jwt:sub", "header:x-api-key"];
    let scope = |sub: &str, key: &'static str| {
        claimed(&[TOKEN, ("x-api-key", key)], Some(&claims(sub)), &sources).unwrap()
    };
    assert_eq!(scope("alice", "1"), scope("alice", "1"));
    assert_ne!(scope("alice", "1"), scope("alice", "2"));
    assert_ne!(scope("alice", "1"), scope("bob", "1"));
    let reordered = ["header:x-api-key", "jwt:sub"];
    let lines = [TOKEN, ("x-api-key", "1")];
    assert_eq!(
        Ok(scope("alice", "1")),
        claimed(&lines, Some(&claims("alice")), &reordered)
    );
}

#[test]
fn debug_output_shows_nothing_of_a_claim() {
    let claims = subject(Some("https://id"), text("alice@example"));
    assert_eq!(
        format!("{claims:?}"),
        "VerifiedClaims { names: [\"sub\"], .. }"
    );
}

/// Origins that read CGI variables take the one for the other, and some APIs really spell theirs so: whose key it is
/// must not be "nobody's".
#[test]
fn a_credential_that_is_spelled_with_underscores_is_one() {
    let sent = |name: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static("secret"));
        headers
    };
    for name in ["api_key", "x_api_key", "x_api-key"] {
        let refused = Scope::resolve(&sent(name), &ScopeRules::default());
        let header = HeaderName::from_static(name);
        assert_eq!(refused, Err(ScopeError::Uncovered { header }));
    }
    let rules = ScopeRules {
        sources: vec!["header:api_key".parse().unwrap()],
        ..ScopeRules::default()
    };
    assert!(Scope::resolve(&sent("api_key"), &rules).is_ok_and(|scope| !scope.is_anonymous()));
    assert!(Scope::resolve(&sent("api-key"), &rules).is_err());
    let other = Scope::resolve(&sent("user_id"), &ScopeRules::default());
    assert!(other.is_ok_and(|scope| scope.is_anonymous()));
}
