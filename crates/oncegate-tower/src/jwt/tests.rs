//! The rules of tokens, one table each. The tokens are made by hand: a library would not make the wrong ones.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Some day in November 2026.
const NOW: u64 = 1_795_000_000;
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with this header and these claims, signed with the secret.
fn token(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", base64url(header), base64url(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", base64url(signature))
}

fn request(lines: &[&str]) -> Parts {
    let request = lines.iter().fold(Request::post("/"), |request, line| {
        request.header(AUTHORIZATION, *line)
    });
    request.body(()).unwrap().into_parts().0
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::default().after(Duration::from_secs(seconds))
}

fn by_secret() -> JwtVerifier {
    JwtVerifier::new(JwtKeys::from_secret(SECRET).unwrap())
}

fn verified(verifier: &JwtVerifier, token: &str) -> Result<Option<VerifiedClaims>, TokenError> {
    verifier.verify_at(&request(&[&format!("Bearer {token}")]), at(NOW))
}

/// Whether these claims are believed, with the default leeway of 30 seconds.
#[track_caller]
fn check(claims: &str, expected: Result<(), TokenError>) {
    let found = verified(&by_secret(), &token(HS256, claims));
    assert_eq!(found.map(drop), expected, "{claims}");
}

#[test]
fn a_token_is_believed_from_its_start_to_its_expiry_give_or_take_the_leeway() {
    check(r#"{"exp":1795000001}"#, Ok(()));
    check(r#"{"exp":1794999971}"#, Ok(()));
    check(r#"{"exp":1794999970}"#, Err(EXPIRED));
    check(r#"{"exp":0}"#, Err(EXPIRED));
    check(r#"{"exp":1795000001.5}"#, Ok(()));
    check(r#"{"exp":1794999970.5}"#, Ok(()));
    check(r#"{"exp":1795000060,"nbf":1795000030}"#, Ok(()));
    check(r#"{"exp":1795000060,"nbf":1795000031}"#, Err(NOT_YET));
    let strict = by_secret().leeway(Duration::ZERO);
    let expiring = token(HS256, r#"{"exp":1795000000}"#);
    assert_eq!(verified(&strict, &expiring), Err(EXPIRED));
}

#[test]
fn a_token_without_an_expiry_that_can_be_read_is_refused() {
    check(r#"{"sub":"alice"}"#, Err(NO_EXPIRY));
    for expiry in [
        "\"1795000001\"",
        "-1",
        "null",
        "true",
        "[1795000001]",
        "{}",
        // Milliseconds, and numbers beyond every calendar.
        "1795000001000",
        "9223372036854775807",
        "1e300",
    ] {
        check(&format!(r#"{{"exp":{expiry}}}"#), Err(BAD_EXPIRY));
        let start = format!(r#"{{"exp":1795000001,"nbf":{expiry}}}"#);
        check(&start, Err(BAD_START));
    }
}

#[test]
fn a_claim_that_is_there_twice_is_refused_however_it_is_spelt() {
    check(r#"{"exp":1795000001,"sub":"a","sub":"a"}"#, Err(REPEATED));
    check(
        r#"{"exp":1795000001,"sub":"a","s\u0075b":"b"}"#,
        Err(REPEATED),
    );
    check(r#"{"exp":1,"exp":1795000001}"#, Err(REPEATED));
    check(r#"{"exp":1795000001,"sub":"a","Sub":"b"}"#, Ok(()));
}

#[test]
fn issuer_and_audience_count_where_they_are_asked_for() {
    let verifier = by_secret()
        .issuers(vec!["a".to_owned(), "b".to_owned()])
        .audiences(vec!["us".to_owned()]);
    let table = [
        (r#""iss":"a","aud":"us""#, Ok(())),
        (r#""iss":"b","aud":["them","us"]"#, Ok(())),
        (r#""iss":"c","aud":"us""#, Err(ISSUER)),
        (r#""iss":["a"],"aud":"us""#, Err(ISSUER)),
        (r#""aud":"us""#, Err(ISSUER)),
        (r#""iss":"a""#, Err(AUDIENCE)),
        (r#""iss":"a","aud":"them""#, Err(AUDIENCE)),
        (r#""iss":"a","aud":[]"#, Err(AUDIENCE)),
        (r#""iss":"a","aud":{"us":1}"#, Err(AUDIENCE)),
    ];
    for (claims, expected) in table {
        let token = token(HS256, &format!(r#"{{"exp":1795000001,{claims}}}"#));
        let found = verified(&verifier, &token).map(drop);
        assert_eq!(found, expected, "{claims}");
    }
    check(r#"{"exp":1795000001,"iss":7}"#, Err(ISSUER));
    check(r#"{"exp":1795000001,"aud":"anybody"}"#, Ok(()));
}

#[test]
fn only_one_authorization_line_with_a_bearer_token_is_looked_at() {
    let good = token(HS256, r#"{"exp":1795000001}"#);
    let judge = |lines: &[&str]| {
        let verified = by_secret().verify_at(&request(lines), at(NOW));
        verified.map(|claims| claims.is_some())
    };
    assert_eq!(judge(&[]), Ok(false));
    assert_eq!(judge(&[&format!("bEARER  {good} ")]), Ok(true));
    assert_eq!(
        judge(&[&format!("Bearer {good}"), "Bearer x"]),
        Err(SEVERAL)
    );
    for other in [
        "",
        "Bearer",
        "Bearer  ",
        "Basic YTpi",
        "DPoP x",
        &good,
        "Token x",
    ] {
        assert_eq!(judge(&[other]), Err(NO_BEARER), "{other}");
    }
    for broken in ["Bearer a.b", "Bearer a.b.c.d.e", "Bearer ..", "Bearer a b"] {
        assert_eq!(judge(&[broken]), Err(NO_TOKEN), "{broken}");
    }
    let long = format!("Bearer {}", "x".repeat(JWT_BYTES_MAX + 1));
    assert_eq!(judge(&[&long]), Err(TOO_LONG));
}

#[test]
fn what_a_header_says_never_widens_what_is_believed() {
    let claims = r#"{"exp":1795000001}"#;
    let judge = |header: &str| verified(&by_secret(), &token(header, claims)).map(drop);
    assert_eq!(judge(HS256), Ok(()));
    // Keys that a token brings along, or points at, are no keys of ours.
    let brought =
        r#"{"alg":"HS256","jku":"https://evil","x5u":"https://evil","kid":"../../dev/null"}"#;
    assert_eq!(judge(brought), Ok(()));
    let table = [
        (r#"{"alg":"none"}"#, NO_TOKEN),
        (r#"{"alg":"NONE"}"#, NO_TOKEN),
        (r#"{"typ":"JWT"}"#, NO_TOKEN),
        (r#"{"alg":"HS256","alg":"HS256"}"#, NO_TOKEN),
        (r#"{"alg":"HS512"}"#, BAD_SIGNATURE),
        (r#"{"alg":"RS256"}"#, WRONG_ALGORITHM),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, CRITICAL),
        (r#"{"alg":"HS256","crit":[]}"#, CRITICAL),
    ];
    for (header, expected) in table {
        assert_eq!(judge(header), Err(expected), "{header}");
    }
    let good = token(HS256, claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    for forged in [
        format!("{message}."),
        format!("{message}.{}", base64url([0; 32])),
        format!("{message}x.{signature}"),
    ] {
        assert_eq!(
            verified(&by_secret(), &forged),
            Err(BAD_SIGNATURE),
            "{forged}"
        );
    }
}

/// A key of a set, and tokens that are signed with it.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    fn jwk(&self, members: &str) -> String {
        let point = base64url(self.0.public_key());
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{point}"{members}}}"#)
    }

    fn token(&self, header_members: &str) -> String {
        let header = format!(r#"{{"alg":"EdDSA"{header_members}}}"#);
        let claims = base64url(r#"{"exp":1795000001}"#);
        let message = format!("{}.{claims}", base64url(header));
        let signature = self.0.sign(message.as_bytes());
        format!("{message}.{}", base64url(signature))
    }
}

fn by_set(keys: &[String]) -> JwtVerifier {
    let set = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    JwtVerifier::new(JwtKeys::from_jwks(set.as_bytes()).unwrap())
}

#[test]
fn a_kid_selects_the_key_and_without_one_each_is_tried() {
    let (old, new, stranger) = (Signer::new(), Signer::new(), Signer::new());
    let (old_kid, new_kid) = (r#","kid":"old""#, r#","kid":"new""#);
    let verifier = by_set(&[old.jwk(old_kid), new.jwk(new_kid)]);
    let judge = |token: &str| verified(&verifier, token).map(drop);
    assert_eq!(judge(&old.token(old_kid)), Ok(()));
    assert_eq!(judge(&new.token(new_kid)), Ok(()));
    assert_eq!(judge(&new.token("")), Ok(()));
    assert_eq!(judge(&new.token(old_kid)), Err(BAD_SIGNATURE));
    assert_eq!(judge(&new.token(r#","kid":"other""#)), Err(UNKNOWN_KEY));
    assert_eq!(judge(&stranger.token(new_kid)), Err(BAD_SIGNATURE));
    assert_eq!(judge(&stranger.token("")), Err(BAD_SIGNATURE));
    // Two keys of one name, as in the middle of a clumsy rotation; and one without a name.
    let verifier = by_set(&[old.jwk(new_kid), new.jwk(new_kid), stranger.jwk("")]);
    for signer in [&old, &new, &stranger] {
        assert!(verified(&verifier, &signer.token(new_kid)).is_ok());
    }
}

#[test]
fn a_key_is_for_its_own_algorithm_and_use_alone() {
    let signer = Signer::new();
    let other = Signer::new();
    for members in [
        r#","use":"enc""#,
        r#","key_ops":["encrypt"]"#,
        r#","alg":"ES256""#,
        r#","alg":"HS256""#,
    ] {
        let set = format!(r#"{{"keys":[{},{}]}}"#, signer.jwk(members), other.jwk(""));
        let keys = JwtKeys::from_jwks(set.as_bytes()).unwrap();
        assert_eq!(keys.unusable(), 1, "{members}");
        let judged = verified(&JwtVerifier::new(keys), &signer.token(""));
        assert_eq!(judged, Err(BAD_SIGNATURE), "{members}");
    }
    let verifier = by_set(&[signer.jwk(r#","use":"sig","alg":"EdDSA","key_ops":["verify"]"#)]);
    assert!(verified(&verifier, &signer.token("")).is_ok());
    // The public key as the secret of an HMAC: everybody could sign.
    let public = signer.0.public_key().as_ref().to_vec();
    let message = format!(
        "{}.{}",
        base64url(HS256),
        base64url(r#"{"exp":1795000001}"#)
    );
    let forged = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &public),
        message.as_bytes(),
    );
    let forged = format!("{message}.{}", base64url(forged));
    assert_eq!(verified(&verifier, &forged), Err(WRONG_ALGORITHM));
}

#[test]
fn a_set_of_too_many_keys_is_refused() {
    let keys = vec![Signer::new().jwk(""); JWT_KEYS_MAX + 1].join(",");
    let error = JwtKeys::from_jwks(format!(r#"{{"keys":[{keys}]}}"#).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "it holds 33 keys, and 32 are the most");
}

#[test]
fn debug_output_shows_no_secret() {
    let shown = format!("{:?}", by_secret());
    assert!(
        !shown.contains("0123") && !shown.contains("48, 49"),
        "{shown}"
    );
}

/// The parser used to be quoted: whoever pointed the setting at the wrong file found its content in the log.
#[test]
fn what_is_no_key_set_is_refused_without_showing_what_stands_there() {
    let table = [
        (r#"{"keys":"hunter2"}"#, "no object with a list of `keys`"),
        (r#""hunter2""#, "no object with a list of `keys`"),
        ("hunter2", "no JSON"),
        (r#"{"keys":["hunter2""#, "it ends too soon"),
    ];
    for (document, what) in table {
        let said = JwtKeys::from_jwks(document.as_bytes())
            .unwrap_err()
            .to_string();
        let expected = format!("it holds no JSON Web Key Set: {what} at line 1 column ");
        assert!(said.starts_with(&expected), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
