//! Where the parts of a YAML text stand, in bytes, and how they are written: what editing in place needs, and what other readers refuse.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Marks, StrInput};

use super::edit::next_line;

/// A value of the text.
#[derive(Clone, Debug)]
pub(in crate::formats) struct Span {
    pub(in crate::formats) start: usize,
    /// After the last character; of a collection in block style, after its last value.
    pub(in crate::formats) end: usize,
    pub(in crate::formats) kind: Kind,
}

#[derive(Clone, Debug)]
pub(in crate::formats) enum Kind {
    /// The text is what the reader sees; of a tag such as `!!int` the name.
    Scalar {
        text: String,
        style: ScalarStyle,
        tag: Option<String>,
    },
    List {
        items: Vec<Span>,
        flow: bool,
    },
    Map {
        entries: Vec<(Span, Span)>,
        flow: bool,
    },
    /// `*name`, whose value stands elsewhere.
    Alias,
}

impl Span {
    /// Returns key and value of an entry of an object.
    pub(in crate::formats) fn entry(&self, key: &str) -> Option<(&Span, &Span)> {
        let Kind::Map { entries, .. } = &self.kind else { return None };
        entries.iter().map(|(name, value)| (name, value)).find(|(name, _)| name.text() == Some(key))
    }

    /// Returns the text of a scalar.
    pub(in crate::formats) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns whether this is a scalar without quotes and without a tag, so that readers guess its kind.
    pub(in crate::formats) fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::Scalar { style: ScalarStyle::Plain, tag: None, .. })
    }

    /// Returns the items of a list, none of anything else.
    pub(in crate::formats) fn items(&self) -> &[Span] {
        match &self.kind {
            Kind::List { items, .. } => items,
            _ => &[],
        }
    }

    /// Calls `visit` for each scalar.
    pub(in crate::formats) fn scalars(&self, visit: &mut impl FnMut(&Span)) {
        match &self.kind {
            Kind::Scalar { .. } => visit(self),
            Kind::List { items, .. } => items.iter().for_each(|item| item.scalars(visit)),
            Kind::Map { entries, .. } => entries.iter().for_each(|(key, value)| {
                key.scalars(visit);
                value.scalars(visit);
            }),
            Kind::Alias => {}
        }
    }
}

/// What sets apart the parts of a text; to YAML other spaces are letters like any other.
pub(super) const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A text as it is laid out.
#[derive(Default)]
pub(super) struct Layout {
    /// The whole; `None` where there is nothing.
    pub(super) root: Option<Span>,
    /// Texts in quotes, and the lines of those in block style, in the order of the file.
    pub(super) texts: Vec<Range<usize>>,
    /// Where what has an anchor starts, in the order of the file.
    pub(super) anchored: Vec<usize>,
}

/// Returns the parts of a text that [`crate::formats::yaml`] has read before, or `None` where there is nothing.
pub(in crate::formats) fn spans(text: &str) -> Option<Span> {
    layout(text)?.root
}

/// Returns how a text is laid out that [`crate::formats::yaml`] has read before.
pub(super) fn layout(text: &str) -> Option<Layout> {
    let bytes = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut builder = Builder { text, bytes, open: Vec::new(), layout: Layout::default() };
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, marks) = event.ok()?;
        builder.event(event, marks);
    }
    Some(builder.layout)
}

/// A collection whose end has not come yet; of an object, keys and values in turn.
struct Open {
    start: usize,
    is_map: bool,
    parts: Vec<Span>,
}

struct Builder<'a> {
    text: &'a str,
    /// The byte of each character: the parser counts characters.
    bytes: Vec<usize>,
    open: Vec<Open>,
    layout: Layout,
}

impl Builder<'_> {
    /// Returns where the `|` or `>` of a text in block style stands: the parser's own start is its first character, unless it has none.
    fn header(&self, start: usize, content: &str) -> usize {
        if content.trim().is_empty() && self.text[start..].starts_with(['|', '>']) {
            return start;
        }
        let key = self.open.last().filter(|open| open.is_map).and_then(|open| open.parts.last()).map_or(0, |key| key.end);
        let line = self.text[..start].trim_end().rfind('\n').map_or(0, |feed| feed + 1);
        let from = line.max(key);
        self.text[from..start].find(['|', '>']).map_or(start, |at| from + at)
    }

    fn event(&mut self, event: Event<'_>, marks: Marks) {
        let start = self.byte(marks.start.index());
        let end = self.byte(marks.end.index());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.note_anchor(anchor, start);
                let end = end.max(start);
                let (start, end) = match style {
                    ScalarStyle::Plain => (start, end),
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                        let end = start + quoted_length(&self.text[start..end]);
                        self.layout.texts.push(start..end);
                        (start, end)
                    }
                    ScalarStyle::Literal | ScalarStyle::Folded => {
                        let start = self.header(start, &text);
                        let first_line = next_line(self.text, start);
                        self.layout.texts.push(first_line..end.max(first_line));
                        (start, end)
                    }
                };
                // A block scalar ends where the next token starts; what is between belongs to nobody.
                let end = start + self.text[start..end].trim_end().len();
                let tag = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.clone());
                self.place(Span { start, end, kind: Kind::Scalar { text: text.into_owned(), style, tag } });
            }
            Event::Alias(_) => self.place(Span { start, end, kind: Kind::Alias }),
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                self.note_anchor(anchor, start);
                let is_map = matches!(event, Event::MappingStart(..));
                self.open.push(Open { start, is_map, parts: Vec::new() });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { start, is_map, parts }) = self.open.pop() else { return };
                let last = parts.iter().map(|part| part.end).max().unwrap_or(start);
                // Its start does not tell: that of a list which is not indented is the start of its first item, which may be a bracket.
                let closing = self.byte(marks.start.index());
                let flow = self.text[closing..].starts_with(if is_map { '}' } else { ']' });
                // The parser's own end is behind the spaces and comments that follow the bracket.
                let end = if flow { closing + 1 } else { last };
                let kind = if is_map {
                    let mut parts = parts.into_iter();
                    let mut entries = Vec::new();
                    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                        entries.push((key, value));
                    }
                    Kind::Map { entries, flow }
                } else {
                    Kind::List { items: parts, flow }
                };
                self.place(Span { start, end, kind });
            }
            _ => {}
        }
    }

    fn place(&mut self, span: Span) {
        match self.open.last_mut() {
            Some(open) => open.parts.push(span),
            None => self.layout.root = Some(span),
        }
    }

    /// Remembers where something with an anchor starts; 0 is no anchor.
    fn note_anchor(&mut self, anchor: usize, start: usize) {
        if anchor != 0 {
            self.layout.anchored.push(start);
        }
    }

    fn byte(&self, character: usize) -> usize {
        self.bytes.get(character).copied().unwrap_or(self.text.len())
    }
}

/// Returns the length of text in quotes, with an anchor or a tag before it. The parser counts in the spaces and the comment behind it.
fn quoted_length(text: &str) -> usize {
    let mut open = 0;
    while text[open..].starts_with(['&', '!', '#']) {
        let part = &text[open..];
        let end = if part.starts_with('#') { part.find(['\n', '\r']) } else { part.find(SPACE) };
        let Some(end) = end else { return text.len() };
        open = text.len() - part[end..].trim_start_matches(SPACE).len();
    }
    let mut chars = text[open..].char_indices();
    let Some((_, quote @ ('"' | '\''))) = chars.next() else { return text.len() };
    while let Some((at, c)) = chars.next() {
        let is_escaping = if quote == '"' { c == '\\' } else { c == quote && text[open + at + 1..].starts_with(quote) };
        if is_escaping {
            chars.next();
        } else if c == quote {
            return open + at + 1;
        }
    }
    text.len()
}
