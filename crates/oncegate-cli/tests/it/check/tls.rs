//! Checks over TLS.

use super::{Api, Ended, PAYMENT};
use crate::harness::tls::{Acceptor, Authority, Goodbye};
use crate::harness::{Stage, oncegate};

async fn check(to: &Acceptor, arguments: &[&str]) -> Ended {
    let url = format!("https://{}/payments", to.address);
    let plain = ["check", &url, "-d", PAYMENT, "--only", "replay-same-status"];
    oncegate(&[&plain, arguments].concat()).await
}

#[tokio::test]
async fn an_api_over_tls_is_checked_if_its_certificate_is_trusted() {
    let stage = Stage::new().await;
    let api = Api::start().await;
    let authority = Authority::new();
    let tls = Acceptor::ending_tls(
        authority.issue().server(&["http/1.1"]),
        api.address,
        Goodbye::Said,
    )
    .await;
    let ca = stage.write("ca.pem", &authority.pem);
    let ca = ca.to_str().unwrap();
    let another = stage.write("another.pem", &Authority::new().pem);

    let trusted = check(&tls, &["--cacert", ca]).await;
    assert_eq!(trusted.code, Some(0), "{trusted:?}");
    let anybody = check(&tls, &["--insecure"]).await;
    assert_eq!(anybody.code, Some(0), "{anybody:?}");
    let asked = api.asked().len();
    for arguments in [&[][..], &["--cacert", another.to_str().unwrap()]] {
        let refused = check(&tls, arguments).await;
        refused.must_fail(69, &["cannot be reached", "UnknownIssuer"]);
    }
    assert_eq!(api.asked().len(), asked);

    let none = stage.write("none.pem", "none");
    let none = check(&tls, &["--cacert", none.to_str().unwrap()]).await;
    none.must_fail(64, &["there is no certificate in it"]);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let stage = Stage::new().await;
    let api = Api::start().await;
    let authority = Authority::new();
    let certificate = authority.issue_for_another();
    let tls = Acceptor::ending_tls(
        certificate.server(&["http/1.1"]),
        api.address,
        Goodbye::Said,
    )
    .await;
    let ca = stage.write("ca.pem", &authority.pem);
    let refused = check(&tls, &["--cacert", ca.to_str().unwrap()]).await;
    refused.must_fail(69, &["cannot be reached", "not valid for name"]);
    assert_eq!(api.asked(), Vec::<String>::new());
}
