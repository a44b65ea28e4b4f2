//! Draws the tables into the docs.

use crate::workspace::Workspace;
use anyhow::{Context, bail};
use rep_fsm::diagram::mermaid;
use rep_fsm::node_state::NODE_STATE_TABLE;
use rep_fsm::role::ROLE_TABLE;

const FENCE: &str = "```mermaid\n";

pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let path = workspace.root.join("docs/roles.md");
    let text = std::fs::read_to_string(&path).context("docs/roles.md")?;
    let drawn = redraw(&text, &[mermaid(&ROLE_TABLE), mermaid(&NODE_STATE_TABLE)])?;
    std::fs::write(&path, drawn)?;
    println!("drew {}", path.display());
    Ok(())
}

/// The text with its fenced drawings replaced, in order.
fn redraw(text: &str, drawings: &[String]) -> anyhow::Result<String> {
    let mut parts = text.split(FENCE);
    let mut redrawn = parts.next().unwrap_or_default().to_owned();
    let parts: Vec<_> = parts.collect();
    if parts.len() != drawings.len() {
        bail!("docs/roles.md has {} drawings, the code has {}", parts.len(), drawings.len());
    }
    for (part, drawing) in parts.iter().zip(drawings) {
        let (_, after) = part.split_once("```").context("a drawing does not end")?;
        redrawn.extend([FENCE, drawing, "```", after]);
    }
    Ok(redrawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_drawings_are_replaced() {
        let text = format!("a\n{FENCE}old\n```\nb\n{FENCE}older\n```\nc\n");
        let drawn = redraw(&text, &["new\n".into(), "newer\n".into()]).unwrap();
        assert_eq!(drawn, format!("a\n{FENCE}new\n```\nb\n{FENCE}newer\n```\nc\n"));
        assert!(redraw(&text, &["new\n".into()]).is_err());
    }
}
