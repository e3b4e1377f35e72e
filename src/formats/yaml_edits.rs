//! Changes to single values of a YAML text that leave every other byte alone: comments above all.

use std::ops::Range;

use super::gateway::edit::{Edits, after_colon, line_start, next_line};
use super::gateway::spans::{Kind, Span};

/// Changes of ranges of one text, whose last line ends with a line feed.
pub(super) struct YamlEdits<'a> {
    text: &'a str,
    edits: Edits,
}

impl<'a> YamlEdits<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, edits: Edits::default() }
    }

    /// Returns a part of the text with the changes in it; `None` where they overlap or stand elsewhere.
    pub(super) fn apply(self, part: Range<usize>) -> Option<String> {
        self.edits.apply(self.text, part)
    }

    /// Puts text in the place of a range, which may be empty.
    pub(super) fn replace(&mut self, range: Range<usize>, new: impl Into<String>) {
        self.edits.replace(range, new);
    }

    /// Puts `new`, which is written on one line, in the place of a value.
    pub(super) fn replace_value(&mut self, value: &Span, new: &str) {
        let comment = header_comment(self.text, value);
        self.replace(value.start..value.end, format!("{new}{comment}"));
    }

    /// Gives a key of an object another value, or none; a new key of an object in block style comes to the line that starts at `at`.
    pub(super) fn set(&mut self, map: &Span, key: &str, new: Option<&str>, at: usize) {
        let Kind::Map { entries, flow } = &map.kind else { return };
        match (map.entry(key), new) {
            (Some((name, value)), new) if is_nothing(value) => {
                let colon = after_colon(self.text, name.end);
                self.replace(colon..colon, new.map(|new| format!(" {new}")).unwrap_or_default());
            }
            (Some((_, value)), Some(new)) => self.replace_value(value, new),
            (Some((name, value)), None) => match self.own_lines(name, value).filter(|_| !flow) {
                Some(lines) => self.replace(lines, ""),
                None => self.replace_value(value, "null"),
            },
            (None, Some(new)) if *flow => {
                let end = entries.last().map_or(map.end, |(_, value)| value.end);
                // Quoted, since the text may be JSON.
                self.replace(end..end, format!(", \"{key}\": {new}"));
            }
            (None, Some(new)) => {
                let line = format!("{:column$}{key}: {new}\n", "", column = column(self.text, map));
                self.replace(at..at, line);
            }
            (None, None) => {}
        }
    }

    /// Returns the lines of an entry on which nothing else stands, no comment either.
    fn own_lines(&self, key: &Span, value: &Span) -> Option<Range<usize>> {
        let (start, end) = (line_start(self.text, key.start), next_line(self.text, value.end));
        let around = [start..key.start, value.end..end].map(|range| self.text.get(range).is_some_and(|text| text.trim().is_empty()));
        let has_comment =
            !header_comment(self.text, value).is_empty() || self.text.get(key.end..value.start).is_some_and(|text| text.contains('#'));
        (around == [true, true] && !has_comment).then_some(start..end)
    }
}

/// Returns whether nothing is written after a key's colon.
pub(super) fn is_nothing(value: &Span) -> bool {
    value.is_plain() && value.text() == Some("")
}

/// Returns how many spaces stand before the keys of an object in block style, a dash counted as one.
pub(super) fn column(text: &str, map: &Span) -> usize {
    map.start - line_start(text, map.start)
}

/// Returns the comment behind the `>` or `|` of a text in block style.
fn header_comment<'a>(text: &'a str, value: &Span) -> &'a str {
    let header = text.get(value.start..value.end).and_then(|value| value.lines().next()).unwrap_or_default();
    match header.find(" #") {
        Some(at) if header.starts_with(['|', '>']) => &header[at..],
        _ => "",
    }
}

/// The lines of each item of a list in block style.
pub(super) struct Blocks<'a> {
    text: &'a str,
    /// Byte where each item's lines start, the comments above it included.
    starts: Vec<usize>,
    /// Byte where the line with each item's dash starts.
    dashes: Vec<usize>,
    /// Byte after the last item's lines.
    end: usize,
    /// Spaces before the dashes.
    pub(super) indent: usize,
}

impl<'a> Blocks<'a> {
    /// Finds the lines of a list; those before `floor` are none of them. `None` where items share lines or stand at several depths.
    pub(super) fn find(text: &'a str, mut floor: usize, items: &[Span]) -> Option<Self> {
        let (mut starts, mut dashes) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        let mut indent = None;
        for item in items {
            let line = line_start(text, item.start);
            let before = text.get(line..item.start)?;
            let depth = spaces(before);
            if line < floor || !before.trim_start_matches(' ').starts_with('-') || indent.is_some_and(|indent| indent != depth) {
                return None;
            }
            indent = Some(depth);
            starts.push(comments_above(text, line, floor, depth));
            dashes.push(line);
            floor = next_line(text, item.end);
        }
        let indent = indent?;
        // A comment that is further in than the dash is about the item above it.
        while text.get(floor..next_line(text, floor)).is_some_and(|line| is_comment(line) && spaces(line) > indent) {
            floor = next_line(text, floor);
        }
        Some(Self { text, starts, dashes, end: floor, indent })
    }

    /// Returns the bytes of all items.
    pub(super) fn range(&self) -> Range<usize> {
        self.starts.first().copied().unwrap_or(self.end)..self.end
    }

    /// Returns the bytes of an item, the comments above it included.
    pub(super) fn item(&self, place: usize) -> Range<usize> {
        self.starts[place]..self.starts.get(place + 1).copied().unwrap_or(self.end)
    }

    /// Returns the comments above an item.
    pub(super) fn above(&self, place: usize) -> &'a str {
        self.text.get(self.starts[place]..self.dashes[place]).unwrap_or_default()
    }

    /// Returns the lines of a changed list: `write` gives those of each new item, from the old one that it is made of. An old item that is
    /// gone takes with it the comment right above it; what an empty line sets apart from it stays, such as the heading of a group.
    pub(super) fn rebuilt(
        &self,
        sources: &[Option<usize>],
        mut write: impl FnMut(usize, Option<usize>) -> Option<String>,
    ) -> Option<String> {
        let mut gone = (0..self.starts.len()).filter(|place| !sources.contains(&Some(*place))).peekable();
        let mut out = String::new();
        for (position, source) in sources.iter().enumerate() {
            while let Some(before) = gone.next_if(|gone| source.is_some_and(|place| *gone < place)) {
                out.push_str(set_apart(self.above(before)));
            }
            out.push_str(&write(position, *source)?);
        }
        gone.for_each(|place| out.push_str(set_apart(self.above(place))));
        Some(out)
    }
}

/// Returns the comments above an item up to the last empty line, or nothing where no comment is among them.
fn set_apart(above: &str) -> &str {
    let (mut at, mut end) = (0, 0);
    for line in above.split_inclusive('\n') {
        at += line.len();
        if line.trim().is_empty() {
            end = at;
        }
    }
    let apart = &above[..end];
    if apart.contains('#') { apart } else { "" }
}

/// Returns where the comments directly above a line start, no higher than `floor`; those further in than `indent` belong to what is above.
fn comments_above(text: &str, line: usize, floor: usize, indent: usize) -> usize {
    let mut start = line;
    while start > floor {
        let above = line_start(text, start - 1);
        let content = text.get(above..start).unwrap_or_default();
        let belongs = content.trim().is_empty() || (is_comment(content) && spaces(content) <= indent);
        if above < floor || !belongs {
            break;
        }
        start = above;
    }
    start
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn spaces(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}
