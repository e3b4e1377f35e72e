//! Labelled sets in JSONL, a case a line, read as they are needed: a set may be larger than the memory.

use std::io::{BufRead, Read};

use crate::chat::labelled::{Expected, LabelledCase};
use crate::policy::{NO_ROUTE_LABEL, Route};

use super::conversation::conversation_from;
use super::error::{FormatError, Origin};
use super::json;
use super::policy::{routes_from, text};
use super::source::{MAX_BYTES, into_utf8, unreadable, without_bom};
use super::tree::{Entry, Node, Pos, Value, quoted};

/// Reads the cases of a labelled set one by one. Empty lines are skipped; after a bad line the next one can still be read.
pub struct LabelledReader<R> {
    reader: R,
    path: String,
    line: usize,
    done: bool,
}

impl<R: BufRead> LabelledReader<R> {
    /// Returns a reader over JSONL text; `path` stands in messages.
    pub fn new(reader: R, path: impl Into<String>) -> Self {
        Self { reader, path: path.into(), line: 0, done: false }
    }

    /// Returns the number of the line that was read last, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    fn next_line(&mut self) -> Result<Option<String>, FormatError> {
        let origin = Origin::new(&self.path);
        let mut bytes = Vec::new();
        // After an error of the medium, or inside a line without end, there is no next line to go on with.
        self.done = true;
        self.reader.by_ref().take(MAX_BYTES + 1).read_until(b'\n', &mut bytes).map_err(|error| unreadable(&error, &origin))?;
        self.line += 1;
        if bytes.len() as u64 > MAX_BYTES {
            let message = format!("the line is longer than {} MiB", MAX_BYTES >> 20);
            return Err(origin.error(Pos { line: self.line, column: 1 }, message, "write one case a line"));
        }
        self.done = bytes.is_empty();
        if self.done {
            return Ok(None);
        }
        into_utf8(bytes, "the line", self.line, &origin).map(Some)
    }
}

impl<R: BufRead> Iterator for LabelledReader<R> {
    type Item = Result<LabelledCase, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.next_line() {
                Ok(Some(line)) => {
                    let line = if self.line == 1 { without_bom(&line) } else { &line };
                    if !line.trim().is_empty() {
                        return Some(case(line.trim_end(), self.line, &mut Origin::new(&self.path)));
                    }
                }
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

fn case(line: &str, number: usize, origin: &mut Origin<'_>) -> Result<LabelledCase, FormatError> {
    let root = json::parse(line, number, origin)?;
    let at = root.at;
    let Value::Map(entries) = root.value else {
        let message = format!("a case must be an object, found {}", root.describe());
        return Err(origin.error(at, message, "write {\"messages\": [...], \"route\": \"...\"}"));
    };
    let mut id = number.to_string();
    let mut conversation = None;
    let (mut expected, mut label_at) = (None, at);
    let (mut routes, mut tags) = (None, Vec::new());
    for Entry { key, at, node } in entries {
        match key.as_str() {
            "id" => id = id_from(&node, origin)?,
            "messages" => conversation = Some(conversation_from(node, origin)?),
            "route" | "labels" if expected.is_some() => {
                return Err(origin.error(at, "the case has both \"route\" and \"labels\"", "keep one of them"));
            }
            "route" => {
                label_at = node.at;
                expected = Some(Expected::Last(label(&node, origin)?));
            }
            "labels" => {
                label_at = node.at;
                let labels: Result<_, _> = list(node, "labels", origin)?.iter().map(|item| label(item, origin)).collect();
                expected = Some(Expected::PerTurn(labels?));
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
        return Err(origin.error(at, "the case has no \"messages\"", "add the conversation as a list of messages"));
    };
    let Some(expected) = expected else {
        let remedy = format!("add \"route\" with the expected route, or {NO_ROUTE_LABEL:?} when none fits");
        return Err(origin.error(at, "the case has no label", remedy));
    };
    if let Expected::PerTurn(labels) = &expected {
        let turns = conversation.user_turns().count();
        if labels.len() != turns {
            let message = format!("the case has {} for {}", counted(labels.len(), "label"), counted(turns, "user message"));
            return Err(origin.error(label_at, message, "write one label a user message"));
        }
    }
    if let Some(routes) = &routes {
        check_labels(&expected, routes, label_at, origin)?;
    }
    Ok(LabelledCase { id, conversation, expected, routes, tags })
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
