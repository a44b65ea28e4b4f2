//! The drawings in the docs are the tables.

use rep_fsm::diagram::mermaid;
use rep_fsm::node_state::NODE_STATE_TABLE;
use rep_fsm::role::ROLE_TABLE;

const ROLES_MD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/roles.md");

#[test]
fn the_drawings_in_docs_are_made_from_the_tables() {
    let text = std::fs::read_to_string(ROLES_MD).expect("docs/roles.md is there");
    let drawn = fenced_drawings(&text);
    let made = [mermaid(&ROLE_TABLE), mermaid(&NODE_STATE_TABLE)];
    assert_eq!(drawn, made, "put these into docs/roles.md:\n{}\n{}", made[0], made[1]);
}

#[test]
fn a_drawing_has_one_arrow_for_each_pair_and_names_every_signal() {
    let drawing = mermaid(&ROLE_TABLE);
    let arrows: Vec<_> = drawing.lines().filter(|line| line.contains(':')).collect();
    assert_eq!(arrows.len(), 9);
    for row in ROLE_TABLE.rows() {
        let start = format!("    {:?} --> {:?}: ", row.from, row.to);
        let arrow = arrows.iter().find(|line| line.starts_with(&start)).expect("the pair is drawn");
        assert!(arrow.contains(&format!("{:?}", row.signal)), "{arrow}");
    }
}

fn fenced_drawings(text: &str) -> Vec<String> {
    let blocks = text.split("```mermaid\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}
