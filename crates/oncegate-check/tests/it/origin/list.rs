//! The list of payments, and what makes a list a bad counter.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Api, Books, Defect, json_answer};

/// A payment, and when it was made.
pub(super) struct Payment {
    pub(super) payment: Value,
    made_at: Instant,
}

impl Payment {
    pub(super) fn new(payment: Value) -> Self {
        Self {
            payment,
            made_at: Instant::now(),
        }
    }
}

impl Defect {
    /// Where a list is to be tried as a counter, nothing else may tell executions apart.
    pub(super) const fn hides_ids(self) -> bool {
        matches!(
            self,
            Self::FullPage
                | Self::LateList
                | Self::BusyList
                | Self::OneStranger
                | Self::StrangerBetween
                | Self::Blind
        )
    }
}

impl Api {
    pub(super) fn list(&self) -> Response {
        let mut books = self.books.lock();
        books.looks += 1;
        if self.defect == Defect::StrangerBetween && books.looks == LOOKS {
            pay_as_stranger(&mut books);
        }
        let is_seen = |payment: &&Payment| {
            self.defect != Defect::LateList || payment.made_at.elapsed() >= LATE_BY
        };
        let mut payments: Vec<Value> = books
            .payments
            .iter()
            .filter(is_seen)
            .map(|payment| payment.payment.clone())
            .collect();
        if self.defect == Defect::FullPage {
            payments.truncate(PLACES);
        }
        json_answer(StatusCode::OK, &Value::from(payments))
    }
}

/// Others pay, too, once the checker has found the list to be a counter.
pub(super) fn strangers(defect: Defect, books: &mut Books) {
    let made = books.payments.len();
    if (defect == Defect::BusyList && made > QUIET)
        || (defect == Defect::OneStranger && made == QUIET)
    {
        pay_as_stranger(books);
    }
}

fn pay_as_stranger(books: &mut Books) {
    let payment = json!({"id": "of a stranger"});
    books.payments.push(Payment::new(payment));
}

/// So many are on a page.
const PLACES: usize = 6;
/// So many payments are made before strangers come.
const QUIET: usize = 6;
/// Four while the counter is found, two for its calibration, two for the first case; then a stranger comes.
const LOOKS: usize = 9;
const LATE_BY: Duration = Duration::from_millis(100);
