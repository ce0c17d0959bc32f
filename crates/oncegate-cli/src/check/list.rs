//! The list of all cases, for those who want to know what is tried before it is.

use std::fmt::Write;

use oncegate_check::case::Case;

/// Two lines for each case: what it is called, what it costs and what it needs; and what must hold.
pub(super) fn text(cases: &[&'static Case]) -> String {
    let mut lines = String::new();
    for case in cases {
        let needs: Vec<String> = case.needs.iter().map(|need| need.name()).collect();
        let needs = match needs.as_slice() {
            [] => String::new(),
            needs => format!("  needs {}", needs.join(", ")),
        };
        // A string takes all that is written to it.
        let _infallible = write!(
            lines,
            "{:<28} {:<9} {}{needs}\n    {}\n",
            case.id,
            case.severity.name(),
            case.rules.join(" "),
            case.title
        );
    }
    lines
}
