//! Labelled sets, read case by case as they are needed: a set may be larger than the memory.
//!
//! A case is a JSON object (a line of JSONL, or an element of one list), or a record of a CSV table. Besides Waypost's own keys the shapes
//! of ShareGPT and LMSYS exports with a column of labels are read.

use std::io::BufRead;
use std::ops::Range;

use crate::chat::Conversation;
use crate::chat::labelled::{Expected, LabelledCase};
use crate::policy::{NO_ROUTE_LABEL, Route};

use super::conversation::{conversation_from, conversation_of};
use super::error::{FormatError, Origin};
use super::json;
use super::labelled_csv::{self, Columns};
use super::labelled_records::{Record, Records, SetFormat};
use super::policy::{routes_from, text};
use super::source::into_utf8;
use super::tree::{Entry, Node, Pos, Value, quoted};

/// Reads the cases of a labelled set one by one. Blank lines are skipped; after a bad case the next one can still be read.
pub struct LabelledReader<R> {
    records: Records<R>,
    columns: Option<Columns>,
    place: Place,
    column: usize,
    /// Records read so far.
    count: usize,
    unlabelled: Option<Unlabelled>,
}

/// What was said in a case that has no label yet.
#[derive(Debug)]
pub(super) struct Unlabelled {
    pub id: String,
    pub conversation: Conversation,
}

/// Why a record is no case to measure.
pub(super) enum NoCase {
    Bad(FormatError),
    /// Nothing else is wrong with it.
    Unlabelled(Unlabelled, Box<FormatError>),
}

impl NoCase {
    /// Returns the reason as people read it.
    pub fn into_error(self) -> FormatError {
        match self {
            Self::Bad(error) => error,
            Self::Unlabelled(_, error) => *error,
        }
    }
}

impl From<FormatError> for NoCase {
    fn from(error: FormatError) -> Self {
        Self::Bad(error)
    }
}

/// Where a case stands in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Of its first byte.
    pub offset: u64,
    /// In bytes, a line feed at the end included.
    pub len: usize,
}

impl<R: BufRead> LabelledReader<R> {
    /// Returns a reader over a set; `path` stands in messages, and its extension tells CSV.
    pub fn new(reader: R, path: impl Into<String>) -> Self {
        Self { records: Records::new(reader, path), columns: None, place: Place::default(), column: 1, count: 0, unlabelled: None }
    }

    /// Returns the number of the line on which the case that was read last begins, counted from 1.
    pub fn line(&self) -> usize {
        self.place.line
    }

    /// Returns the column at which the case that was read last begins, counted from 1.
    pub(super) fn column(&self) -> usize {
        self.column
    }

    /// Returns where the case that was read last stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Returns how many bytes were read.
    pub fn bytes_read(&self) -> u64 {
        self.records.offset()
    }

    /// Returns how the set is written.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn format(&mut self) -> Result<SetFormat, FormatError> {
        self.records.format()
    }

    /// Returns the columns of a table, once its header was read.
    pub(super) fn columns(&self) -> Option<&Columns> {
        self.columns.as_ref()
    }

    /// Returns what was read last where it only lacks a label.
    pub(super) fn take_unlabelled(&mut self) -> Option<Unlabelled> {
        self.unlabelled.take()
    }

    /// Reads a record as a case; `None` for a blank one and for the header of a table.
    fn case(&mut self, record: Record, format: SetFormat) -> Option<Result<LabelledCase, NoCase>> {
        self.place = Place { line: record.at.line, offset: record.offset, len: record.bytes.len() };
        self.column = record.at.column;
        self.count += 1;
        if record.bytes.trim_ascii().is_empty() {
            return None;
        }
        if let (SetFormat::Csv { delimiter }, None) = (format, &self.columns) {
            return match Columns::of_header(&record, delimiter, self.records.path()) {
                Ok(columns) => {
                    self.columns = Some(columns);
                    None
                }
                Err(error) => {
                    // Without a header no record means anything.
                    self.records.stop();
                    Some(Err(error.into()))
                }
            };
        }
        // All elements of a list may stand on one line.
        let number = if format == SetFormat::JsonList { self.count } else { record.at.line };
        Some(read_case(record, self.columns.as_ref(), &number.to_string(), self.records.path()))
    }
}

impl<R: BufRead> Iterator for LabelledReader<R> {
    type Item = Result<LabelledCase, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = match self.records.next()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            let format = match self.records.format() {
                Ok(format) => format,
                Err(error) => return Some(Err(error)),
            };
            self.unlabelled = None;
            match self.case(record, format) {
                None => {}
                Some(Ok(case)) => return Some(Ok(case)),
                Some(Err(NoCase::Bad(error))) => return Some(Err(error)),
                Some(Err(NoCase::Unlabelled(case, error))) => {
                    self.unlabelled = Some(case);
                    return Some(Err(*error));
                }
            }
        }
    }
}

/// Reads the record of one case; `columns` where the set is a table, `id` for a case that says none.
///
/// # Errors
/// Names the place and the remedy: no UTF-8, no JSON, a missing conversation or label, labels that do not fit the conversation.
pub(super) fn read_case(record: Record, columns: Option<&Columns>, id: &str, path: &str) -> Result<LabelledCase, NoCase> {
    let mut origin = Origin::new(path);
    let at = record.at;
    if let Some(columns) = columns {
        return labelled_csv::case(&record, columns, id, &mut origin).map_err(NoCase::Bad);
    }
    let text = into_utf8(record.bytes, "the line", at.line, &origin)?;
    // An element of a list may begin far to the right in its line.
    let placed = |error: FormatError| match error.column {
        Some(column) if error.line == Some(at.line) => FormatError { column: Some(column + at.column - 1), ..error },
        _ => error,
    };
    case(text.trim_end(), at.line, id, &mut origin).map_err(|none| match none {
        NoCase::Bad(error) => NoCase::Bad(placed(error)),
        NoCase::Unlabelled(case, error) => NoCase::Unlabelled(case, Box::new(placed(*error))),
    })
}

/// Keys of a conversation in the order they are looked for: Waypost's own, those of ShareGPT and LMSYS, those of a single prompt.
const CONVERSATIONS: [&str; 4] = ["messages", "conversations", "conversation", "items"];
const PROMPTS: [&str; 5] = ["text", "prompt", "query", "question", "utterance"];

/// Keys of a label in the order they are looked for; any of them may hold one label, or one a user message.
const LABELS: [&str; 7] = ["route", "labels", "label", "expected", "expected_route", "category", "intent"];

/// Returns the bytes of the label of a turn in the text of a case; the tree's places must count from line 1.
pub(super) fn label_span(root: &Node, text: &str, turn: usize) -> Option<Range<usize>> {
    let Value::Map(entries) = &root.value else { return None };
    let told = |key: &str| entries.iter().find(|entry| entry.key == key && !matches!(entry.node.value, Value::Null));
    let entry = LABELS.into_iter().find_map(told)?;
    let node = match &entry.node.value {
        Value::List(items) => items.get(turn)?,
        _ => &entry.node,
    };
    let start = offset(text, node.at)?;
    // A label is a text, so the value ends with the quote that decodes.
    let mut value = serde_json::Deserializer::from_str(&text[start..]).into_iter::<String>();
    value.next()?.ok()?;
    Some(start..start + value.byte_offset())
}

/// Returns the bytes of the `null` that stands for the route of a case without a label, as [`label_span`] does for a label.
pub(super) fn null_label(root: &Node, text: &str) -> Option<Range<usize>> {
    let Value::Map(entries) = &root.value else { return None };
    let entry = entries.iter().find(|entry| entry.key == LABELS[0] && matches!(entry.node.value, Value::Null))?;
    let start = offset(text, entry.node.at)?;
    Some(start..start + "null".len())
}

/// Returns the byte at a place of a text.
fn offset(text: &str, at: Pos) -> Option<usize> {
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(at.line - 1).map(str::len).sum();
    let (column, _) = lines.next()?.char_indices().nth(at.column - 1)?;
    Some(before + column)
}

fn case(line: &str, number: usize, id: &str, origin: &mut Origin<'_>) -> Result<LabelledCase, NoCase> {
    let root = json::parse(line, number, origin)?;
    let at = root.at;
    let Value::Map(mut entries) = root.value else {
        let message = format!("a case must be an object, found {}", root.describe());
        return Err(origin.error(at, message, "write {\"messages\": [...], \"route\": \"...\"}").into());
    };
    // Exports of tables say `null` where a column is empty.
    entries.retain(|entry| !matches!(entry.node.value, Value::Null));
    let mut id = id.to_owned();
    let mut conversation = None;
    let (mut expected, mut label_at) = (None, at);
    let (mut routes, mut tags) = (None, Vec::new());
    let first = |keys: &[&'static str]| keys.iter().copied().find(|key| entries.iter().any(|entry| entry.key == *key));
    let conversation_key = first(&CONVERSATIONS).or_else(|| first(&PROMPTS)).unwrap_or_default();
    let label_key = first(&LABELS).unwrap_or_default();
    for Entry { key, at, node } in entries {
        match key.as_str() {
            "id" => id = id_from(&node, origin)?,
            // Of the two, `route` is looked for first.
            "labels" if label_key == "route" => {
                return Err(origin.error(at, "the case has both \"route\" and \"labels\"", "keep one of them").into());
            }
            key if key == label_key => {
                label_at = node.at;
                expected = Some(expected_from(key, node, origin)?);
            }
            key if key == conversation_key => {
                conversation = Some(match (key, &node.value) {
                    ("messages", _) => conversation_from(node, origin)?,
                    (_, Value::List(_)) => conversation_of(node, origin)?,
                    _ => Conversation::from_prompt(text(&node, &format!("\"{key}\""), origin)?),
                });
            }
            "routes" => routes = Some(routes_from(list(node, "routes", origin)?, origin)?),
            "tags" => {
                let read: Result<_, _> = list(node, "tags", origin)?.iter().map(|item| text(item, "each of \"tags\"", origin)).collect();
                tags = read?;
            }
            _ => {}
        }
    }
    let Some(conversation) = conversation else {
        return Err(origin.error(at, "the case has no \"messages\"", "add the conversation as a list of messages").into());
    };
    let Some(expected) = expected else {
        let remedy = format!("add \"route\" with the expected route, or {NO_ROUTE_LABEL:?} when none fits");
        let error = origin.error(at, "the case has no label", remedy);
        // Routes of its own would be the only ones to choose from.
        return Err(if routes.is_some() { error.into() } else { NoCase::Unlabelled(Unlabelled { id, conversation }, Box::new(error)) });
    };
    check_turns(&expected, &conversation, label_at, origin)?;
    if let Some(routes) = &routes {
        check_labels(&expected, routes, label_at, origin)?;
    }
    Ok(LabelledCase { id, conversation, expected, routes, tags })
}

fn expected_from(key: &str, node: Node, origin: &Origin<'_>) -> Result<Expected, FormatError> {
    let is_list = matches!(node.value, Value::List(_));
    if key == "labels" || (is_list && key != "route") {
        let labels: Result<_, _> = list(node, key, origin)?.iter().map(|item| label(item, origin)).collect();
        labels.map(Expected::PerTurn)
    } else {
        label(&node, origin).map(Expected::Last)
    }
}

/// With a label per turn, each turn must have its own.
fn check_turns(expected: &Expected, conversation: &Conversation, label_at: Pos, origin: &Origin<'_>) -> Result<(), FormatError> {
    match labels_missing(expected, conversation) {
        Some(message) => Err(origin.error(label_at, message, "write one label per user message")),
        None => Ok(()),
    }
}

/// Returns how many labels a case has for how many turns, where these differ.
pub(super) fn labels_missing(expected: &Expected, conversation: &Conversation) -> Option<String> {
    let Expected::PerTurn(labels) = expected else { return None };
    let turns = conversation.user_turns().count();
    (labels.len() != turns).then(|| format!("the case has {} for {}", counted(labels.len(), "label"), counted(turns, "user message")))
}

/// Where a case brings its own routes, a label that is none of them can only be a mistake.
fn check_labels(expected: &Expected, routes: &[Route], at: Pos, origin: &Origin<'_>) -> Result<(), FormatError> {
    let labels = match expected {
        Expected::Last(label) => std::slice::from_ref(label),
        Expected::PerTurn(labels) => labels,
    };
    match labels.iter().find(|label| *label != NO_ROUTE_LABEL && routes.iter().all(|route| route.name != **label)) {
        Some(label) => {
            let message = format!("the label {} is none of the case's own routes", quoted(label));
            Err(origin.error(at, message, format!("correct it, or use {NO_ROUTE_LABEL:?} when none fits")))
        }
        None => Ok(()),
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn id_from(node: &Node, origin: &Origin<'_>) -> Result<String, FormatError> {
    match &node.value {
        Value::Number(number) => Ok(number.clone()),
        _ => text(node, "\"id\"", origin),
    }
}

fn label(node: &Node, origin: &Origin<'_>) -> Result<String, FormatError> {
    match &node.value {
        Value::Text(label) if !label.is_empty() => Ok(label.clone()),
        _ => {
            let found = if matches!(&node.value, Value::Text(_)) { "empty text".to_owned() } else { node.describe() };
            let message = format!("a label must be the name of a route, found {found}");
            Err(origin.error(node.at, message, format!("write {NO_ROUTE_LABEL:?} when none fits")))
        }
    }
}

fn list(node: Node, key: &str, origin: &Origin<'_>) -> Result<Vec<Node>, FormatError> {
    match node.value {
        Value::List(items) => Ok(items),
        _ => Err(origin.error(node.at, format!("\"{key}\" must be a list, found {}", node.describe()), "put it in `[` and `]`")),
    }
}
