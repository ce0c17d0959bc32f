//! What this program can be beside the driver: servers that it starts from its own executable.

pub mod layered;
pub mod origin;
pub mod pairs;
pub mod proxy;

/// Where a payment is made.
pub const PAYMENTS: &str = "/payments";
/// Where an origin says how many payments it has made.
pub const EXECUTIONS: &str = "/executions";
/// What every origin answers a payment with, whatever it was written in.
pub const RECEIPT: &str = r#"{"id":"pay_1001234","amount":5000,"status":"succeeded"}"#;
