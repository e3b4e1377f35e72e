//! Where the parts of a YAML text stand, in bytes: what editing in place needs, and which scalars are unquoted.

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Marks, StrInput};

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
    /// `plain` is unquoted and without a tag, so that readers guess the kind; the text is what the reader sees.
    Scalar {
        text: String,
        plain: bool,
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

/// Returns the parts of a text that [`crate::formats::yaml`] has read before, or `None` where there is nothing.
pub(in crate::formats) fn spans(text: &str) -> Option<Span> {
    let mut builder =
        Builder { text, bytes: text.char_indices().map(|(at, _)| at).chain([text.len()]).collect(), open: Vec::new(), root: None };
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, marks) = event.ok()?;
        builder.event(event, marks);
    }
    builder.root
}

/// A collection whose end has not come yet; of an object, keys and values in turn.
struct Open {
    start: usize,
    flow: bool,
    is_map: bool,
    parts: Vec<Span>,
}

struct Builder<'a> {
    text: &'a str,
    /// The byte of each character: the parser counts characters.
    bytes: Vec<usize>,
    open: Vec<Open>,
    root: Option<Span>,
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
            Event::Scalar(text, style, _, tag) => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let start = if is_block { self.header(start, &text) } else { start };
                // A block scalar ends where the next token starts; what is between belongs to nobody.
                let end = start + self.text[start..end.max(start)].trim_end().len();
                let plain = style == ScalarStyle::Plain && tag.is_none();
                self.place(Span { start, end, kind: Kind::Scalar { text: text.into_owned(), plain } });
            }
            Event::Alias(_) => self.place(Span { start, end, kind: Kind::Alias }),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                let flow = self.text[start..].starts_with(['[', '{']);
                let is_map = matches!(event, Event::MappingStart(..));
                self.open.push(Open { start, flow, is_map, parts: Vec::new() });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { start, flow, is_map, parts }) = self.open.pop() else { return };
                let last = parts.iter().map(|part| part.end).max().unwrap_or(start);
                // The parser's own end is behind the spaces and comments that follow the bracket.
                let closed = self.byte(marks.start.index());
                let end = match flow {
                    true if self.text[closed..].starts_with([']', '}']) => closed + 1,
                    true => end,
                    false => last,
                };
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
            None => self.root = Some(span),
        }
    }

    fn byte(&self, character: usize) -> usize {
        self.bytes.get(character).copied().unwrap_or(self.text.len())
    }
}
