//! Puts the tables of a run into a paper, between two markers.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Replaces what stands between the markers of `file`.
pub fn write(file: &Path, tables: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let renewed = replace(&text, tables)
        .with_context(|| format!("{} has no `{BEGIN}` and `{END}`", file.display()))?;
    fs::write(file, renewed)?;
    Ok(())
}

fn replace(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_old, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        tables.trim()
    ))
}

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_markers_is_replaced() {
        let text = "a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nb\n";
        let renewed = replace(text, "new\n").unwrap();
        assert_eq!(
            renewed,
            "a\n<!-- bench:begin -->\n\nnew\n\n<!-- bench:end -->\nb\n"
        );
        assert_eq!(replace(&renewed, "new\n").unwrap(), renewed);
        assert_eq!(replace("no markers", "new"), None);
    }
}
