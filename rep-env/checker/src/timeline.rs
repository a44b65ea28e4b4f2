//! A drawing of a history: a lane for each process, a bar for each operation, from its invocation to its return.

use crate::operation::Moment;
use std::collections::{BTreeMap, BTreeSet};

/// One operation in a drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Whose lane it is drawn in.
    pub lane: String,
    /// What stands on it.
    pub label: String,
    /// What a pointer that rests on it is told.
    pub detail: String,
    /// Where it begins.
    pub from: Moment,
    /// Where it ends; `None`: it stays open.
    pub to: Option<Moment>,
}

/// More operations than this are not drawn: nobody would find anything among them.
pub const BARS_MAX: usize = 500;

/// Longer labels are cut to this many characters.
const LABEL_MAX: usize = 24;

const LEFT: usize = 140;
const TOP: usize = 44;
const LANE: usize = 38;
const BAR: usize = 24;
const CHARACTER: usize = 8;
const EVENT_MIN: usize = 36;

/// Draws the operations as SVG, the first [`BARS_MAX`] of them by their beginning. Events are drawn at equal distances, whatever
/// time lay between them: their order is what matters.
pub fn draw(title: &str, bars: &[Bar]) -> String {
    let mut bars: Vec<&Bar> = bars.iter().collect();
    bars.sort_by_key(|bar| bar.from);
    let left_out = bars.len().saturating_sub(BARS_MAX);
    bars.truncate(BARS_MAX);
    let sheet = Sheet::of(&bars);
    let title = match left_out {
        0 => title.to_owned(),
        more => format!("{title} ({more} more operations are not drawn)"),
    };
    let lanes = sheet
        .lanes
        .iter()
        .map(|(name, row)| text(12, TOP + row * LANE + BAR / 2 + 4, "lane", &shortened(name)));
    let parts: Vec<String> = [sheet.head(), text(12, 24, "title", &title)]
        .into_iter()
        .chain(lanes)
        .chain(bars.iter().map(|bar| sheet.bar(bar)))
        .chain(["</svg>\n".to_owned()])
        .collect();
    parts.concat()
}

/// Where everything is drawn.
struct Sheet<'a> {
    /// The row of each lane; an operation that overlaps another of its lane has a lane of the same name below.
    lanes: Vec<(&'a str, usize)>,
    rows: BTreeMap<(&'a str, Moment), usize>,
    columns: BTreeMap<Moment, usize>,
    width: usize,
}

impl<'a> Sheet<'a> {
    fn of(bars: &[&'a Bar]) -> Self {
        let events: BTreeSet<Moment> =
            bars.iter().flat_map(|bar| [Some(bar.from), bar.to]).flatten().collect();
        // Wide enough that a label fits the shortest bar, which spans one step.
        let longest = bars.iter().map(|bar| shortened(&bar.label).chars().count()).max();
        let step = EVENT_MIN.max((longest.unwrap_or(0) * CHARACTER + 12) / 2);
        let columns: BTreeMap<Moment, usize> = events
            .into_iter()
            .zip(0..)
            .map(|(moment, at)| (moment, LEFT + at * step * 2))
            .collect();
        let width = LEFT + (columns.len() + 1) * step * 2;
        let mut sheet = Self { lanes: Vec::new(), rows: BTreeMap::new(), columns, width };
        sheet.arrange(bars);
        sheet
    }

    /// Gives every operation a row: the first one of its lane that is free.
    fn arrange(&mut self, bars: &[&'a Bar]) {
        let names: BTreeSet<&str> = bars.iter().map(|bar| &*bar.lane).collect();
        for name in names {
            let first = self.lanes.len();
            let mut ends: Vec<Moment> = Vec::new();
            for bar in bars.iter().filter(|bar| bar.lane == name) {
                let free = ends.iter().position(|&end| end < bar.from);
                let row = free.unwrap_or_else(|| {
                    ends.push(0);
                    self.lanes.push((name, self.lanes.len()));
                    ends.len() - 1
                });
                ends[row] = bar.to.unwrap_or(Moment::MAX);
                self.rows.insert((name, bar.from), first + row);
            }
        }
    }

    fn head(&self) -> String {
        let height = TOP + self.lanes.len() * LANE + 12;
        let width = self.width;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n{STYLE}"
        )
    }

    fn bar(&self, bar: &Bar) -> String {
        let row = self.rows.get(&(&*bar.lane, bar.from)).copied().unwrap_or(0);
        let column = |moment: Moment| self.columns.get(&moment).copied().unwrap_or(LEFT);
        let (from, top) = (column(bar.from), TOP + row * LANE);
        let to = bar.to.map_or(self.width - 12, column);
        let class = if bar.to.is_some() { "done" } else { "open" };
        let width = to.saturating_sub(from).max(4);
        format!(
            "<g class=\"{class}\"><title>{}</title><rect x=\"{from}\" y=\"{top}\" width=\"{width}\" height=\"{BAR}\" rx=\"4\"/>\n{}</g>\n",
            escaped(&bar.detail),
            text(from + 6, top + BAR / 2 + 4, "label", &shortened(&bar.label)),
        )
    }
}

const STYLE: &str = "<style>text{font:12px monospace;fill:#222}.title{font-weight:bold}rect{fill:#cfe3f7;stroke:#34679a}\
    .open rect{fill:#f3e6c8;stroke:#a07a1f;stroke-dasharray:5 3}svg{background:#fff}</style>\n";

fn text(x: usize, y: usize, class: &str, text: &str) -> String {
    format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>\n", escaped(text))
}

fn shortened(text: &str) -> String {
    match text.chars().count() > LABEL_MAX {
        true => text.chars().take(LABEL_MAX - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// As XML can have it: what it has no place for becomes a mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(lane: &str, label: &str, from: Moment, to: Option<Moment>) -> Bar {
        Bar { lane: lane.into(), label: label.into(), detail: label.into(), from, to }
    }

    #[test]
    fn what_a_history_says_cannot_break_the_drawing() {
        let svg = draw("<script>", &[bar("p&1", "write \"</svg>\u{0}", 1, Some(2))]);
        assert_eq!(svg.matches("</svg>").count(), 1);
        assert!(!svg.contains("<script>") && !svg.contains('\u{0}'));
    }

    #[test]
    fn overlapping_operations_of_a_process_have_rows_of_their_own() {
        let bars = [bar("p", "a", 1, Some(4)), bar("p", "b", 2, None), bar("p", "c", 5, Some(6))];
        let svg = draw("t", &bars);
        assert_eq!(svg.matches("class=\"lane\"").count(), 2);
        assert_eq!(svg.matches("class=\"open\"").count(), 1);
    }

    #[test]
    fn no_more_is_drawn_than_can_be_seen() {
        let bars: Vec<Bar> =
            (0..BARS_MAX as u64 + 7).map(|at| bar("p", "x", at, Some(at))).collect();
        let svg = draw("t", &bars);
        assert_eq!(svg.matches("<rect").count(), BARS_MAX);
        assert!(svg.contains("(7 more operations are not drawn)"));
    }
}
