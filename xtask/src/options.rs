//! Writes the table of options into the docs.
//!
//! The table is what `rep options --markdown` says, which reads the rows from which the options themselves are made. The
//! binary is asked, so that the workshop need not be built anew with every change of a library; that the page is
//! current is seen by a test of `rep-cli`.

use crate::workspace::Workspace;
use anyhow::{Context, bail};

const PAGE: &str = "docs/options.md";
const BEGIN: &str = "<!-- options -->\n";
const END: &str = "<!-- /options -->";

pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--quiet", "--package", "rep-cli", "--bin", "rep", "--"]);
    let asked = cargo.args(["options", "--markdown"]).output()?;
    if !asked.status.success() {
        bail!("rep options: {}", String::from_utf8_lossy(&asked.stderr));
    }
    let path = workspace.root.join(PAGE);
    let text = std::fs::read_to_string(&path).context(PAGE)?;
    std::fs::write(&path, renewed(&text, std::str::from_utf8(&asked.stdout)?)?)?;
    println!("wrote {}", path.display());
    Ok(())
}

/// The page with another table between the marks.
fn renewed(text: &str, table: &str) -> anyhow::Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("the page does not say where")?;
    let (_, after) = rest.split_once(END).context("the table does not end")?;
    Ok([before, BEGIN, table, END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_is_replaced() {
        let page = |table: &str| format!("before\n{BEGIN}{table}{END}\nafter\n");
        assert_eq!(renewed(&page("old\n"), "new\n").unwrap(), page("new\n"));
        assert!(renewed("no marks", "new\n").is_err());
    }
}
