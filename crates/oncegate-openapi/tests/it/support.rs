//! A contract with something of everything, and what all tests ask.

use oncegate_openapi::{Contract, Description, Header, Key, Operation, Part, Refusal};

/// Of operations that change something.
pub(crate) fn contract(operation: &Operation) -> Option<Contract> {
    let changes = matches!(operation.method.as_str(), "POST" | "PATCH");
    changes.then(|| contract_of("Idempotency-Key", true))
}

pub(crate) fn contract_of(header: &str, required: bool) -> Contract {
    let mut key = Key::named(header);
    key.required = required;
    key.description =
        "One key for each operation.\n\nIt is remembered for 24 hours: a retry is replayed."
            .to_owned();
    key.example = "8e03978e-40d5-43e8-bc93-6894a57f9324".to_owned();
    key.settings = vec![("retention".to_owned(), Part::text("24h"))];
    let mut contract = Contract::of(key);
    contract.answer_headers = vec![Header::named(
        "Idempotency-Status",
        "What became of it",
        "executed; fence=7",
    )];
    contract.refusals = [
        (400, "key-missing"),
        (409, "in-flight"),
        (409, "outcome-unknown"),
        (503, "overloaded"),
    ]
    .map(|(status, slug)| refusal(status, slug))
    .to_vec();
    contract
}

fn refusal(status: u16, slug: &str) -> Refusal {
    let schema = Part::members([("type", Part::text("object"))]);
    let mut refusal = Refusal::new(
        status,
        slug,
        "application/problem+json",
        ("problem", schema),
    );
    refusal.title = format!("It is {slug}: what now?");
    refusal.example = Part::members([
        (
            "type",
            Part::text(format!("https://example.com/problems/{slug}")),
        ),
        ("status", Part::Number(status.to_string())),
    ]);
    if status != 400 {
        refusal.headers = vec![Header::named("Retry-After", "In seconds", "1")];
    }
    refusal
}

/// Adds, and holds what always holds: twice is once, and without ours it is what it was.
pub(crate) fn annotated(text: &str) -> String {
    let description = read(text);
    assert!(!description.is_annotated(), "{text}");
    let once = description
        .annotated(contract)
        .unwrap_or_else(|fault| panic!("{text}\n{fault}"));
    let again = read(&once.text);
    assert_eq!(
        again.plain(),
        text,
        "without ours it is what it was\n{}",
        once.text
    );
    let twice = again
        .annotated(contract)
        .expect("what was added can be replaced");
    assert_eq!(twice.text, once.text, "twice is once");
    assert_eq!(twice.remarks.len(), once.remarks.len());
    once.text
}

pub(crate) fn read(text: &str) -> Description {
    Description::parse(text.to_owned())
        .unwrap_or_else(|fault| panic!("{text}\n{fault}: {}", fault.help))
}
