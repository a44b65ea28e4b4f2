//! `rep options`: what can be set, as a table.

use crate::print::print;
use crate::serve::keys::{self, Key};
use std::fmt::Write;
use std::process::ExitCode;

/// List every option of `rep serve` with its default, its bounds and its effect.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the table of docs/options.md
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    if args.markdown {
        text += "| option | unit | default | bound | effect |\n|---|---|---|---|---|\n";
    }
    for key in keys::documented() {
        match args.markdown {
            true => row(&mut text, &key)?,
            false => paragraph(&mut text, &key)?,
        }
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn row(text: &mut String, key: &Key) -> std::fmt::Result {
    let bound = key.bound();
    let bound = if bound.is_empty() { "-" } else { &bound };
    let Key { name, .. } = key;
    writeln!(
        text,
        "| `{name}` | {} | {} | {bound} | {} |",
        key.unit(),
        key.default_text(),
        key.effect()
    )
}

fn paragraph(text: &mut String, key: &Key) -> std::fmt::Result {
    let plain = |text: String| text.replace('`', "");
    writeln!(text, "{} ({})", key.name, key.unit())?;
    writeln!(text, "    {}", plain(key.effect().to_owned()))?;
    write!(text, "    default: {}", plain(key.default_text()))?;
    match &*key.bound() {
        "" => writeln!(text),
        bound => writeln!(text, "; bound: {}", plain(bound.to_owned())),
    }
}
