//! What the origin has written to a file, so that it outlives a kill: claims, payments and outcomes, a line each.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use axum::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::list::Payment;
use super::{Books, Defect, Id, Outcome, Record, outcome};

/// The file.
pub(crate) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn claimed(&self, id: &Id) {
        self.write(&json!({"claimed": id}));
    }

    pub(super) fn paid(&self, payment: &Value) {
        self.write(&json!({"paid": payment}));
    }

    pub(super) fn completed(&self, id: &Id, fingerprint: &[u8], outcome: &Outcome) {
        let location = outcome.headers.get(header::LOCATION);
        self.write(&json!({
            "completed": id,
            "fingerprint": String::from_utf8_lossy(fingerprint),
            "status": outcome.status.as_u16(),
            "location": location.map(|line| line.to_str().unwrap()),
            "body": String::from_utf8_lossy(&outcome.body),
        }));
    }

    /// One write a line: a kill leaves whole lines.
    fn write(&self, line: &Value) {
        let mut file = self.open();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn open(&self) -> File {
        let mut options = OpenOptions::new();
        options.create(true).append(true).open(&self.path).unwrap()
    }

    /// What stands there, as far as the defect lets the origin read it.
    pub(super) fn books(&self, defect: Defect) -> Books {
        let mut books = Books::default();
        let mut running: HashSet<Id> = HashSet::new();
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let id = |name| serde_json::from_value::<Id>(line[name].clone());
            if let Ok(id) = id("claimed") {
                running.insert(id);
            } else if let Ok(id) = id("completed") {
                running.remove(&id);
                books.records.insert(id, completed(&line));
            } else {
                books.payments.push(Payment::new(line["paid"].clone()));
            }
        }
        for id in running {
            books.records.insert(id, left_behind(defect));
        }
        if defect == Defect::ForgetsAtRestart {
            books.records.clear();
        }
        if defect == Defect::RunsAgainAfterCrash {
            books.records.retain(|_, record| !record.is_unknown());
        }
        books
    }
}

impl Record {
    fn is_unknown(&self) -> bool {
        let status = self.outcome.as_ref().map(|outcome| outcome.status);
        status == Some(StatusCode::CONFLICT)
    }
}

/// What ran when the origin died: nobody knows the outcome. No fingerprint: it is refused to all.
fn left_behind(defect: Defect) -> Record {
    let mut record = Record::claimed(Vec::new());
    if defect != Defect::WaitsForTheDead {
        let problem =
            json!({"type": "/problems/outcome-unknown", "title": "nobody knows", "status": 409});
        record.outcome = Some(outcome(StatusCode::CONFLICT, &problem));
    }
    record
}

fn completed(line: &Value) -> Record {
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let status = StatusCode::from_u16(u16::try_from(line["status"].as_u64().unwrap()).unwrap());
    let mut outcome = outcome(status.unwrap(), &Value::Null);
    outcome.body = text("body").unwrap().into();
    if let Some(location) = text("location") {
        let location = HeaderValue::from_str(&location).unwrap();
        outcome.headers.insert(header::LOCATION, location);
    }
    Record {
        outcome: Some(outcome),
        ..Record::claimed(text("fingerprint").unwrap().into_bytes())
    }
}
