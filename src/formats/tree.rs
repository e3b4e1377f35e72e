//! Values that remember where they stand: what YAML and JSON are read into, so that errors of meaning have a line and a column too.

use std::collections::HashMap;

use super::error::{FormatError, Origin};

/// Nesting beyond this is no file a person wrote; the limit keeps recursion over a tree harmless.
pub(super) const MAX_DEPTH: usize = 64;

/// More values than any real file has. A node takes some 50 bytes and a value as little as 2, so a small file could fill the memory.
pub(super) const MAX_VALUES: usize = 1_000_000;

/// A place in a text, both numbers counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pos {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Pos,
    pub(super) value: Value,
}

/// A value of JSON, or of the part of YAML that JSON can say.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As JSON text, never parsed: keys that Waypost does not know keep their digits.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Pos,
    pub(super) node: Node,
}

impl Node {
    /// Returns the value as a message names it after "found".
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => format!("the number {number}"),
            Value::Text(text) => format!("the text {}", quoted(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "an object".to_owned(),
        }
    }

    /// Returns the value as compact JSON.
    pub(super) fn to_json(&self) -> String {
        let mut out = String::new();
        self.push_json(&mut out);
        out
    }

    fn push_json(&self, out: &mut String) {
        match &self.value {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => out.push_str(number),
            Value::Text(text) => push_json_text(text, out),
            Value::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.push_json(out);
                }
                out.push(']');
            }
            Value::Map(entries) => {
                out.push('{');
                for (index, entry) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    push_json_text(&entry.key, out);
                    out.push(':');
                    entry.node.push_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// Returns a JSON string literal.
pub(super) fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_json_text(text, &mut out);
    out
}

fn push_json_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Returns the text in double quotes for a message: on one line, and cut when it is long.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}

/// Refuses a mapping in which one key appears twice: readers disagree which of the two counts.
///
/// # Errors
/// Names the place of the second one.
pub(super) fn check_unique(entries: &[Entry], origin: &Origin<'_>) -> Result<(), FormatError> {
    let mut seen: HashMap<&str, Pos> = HashMap::with_capacity(entries.len());
    for entry in entries {
        if let Some(first) = seen.insert(&entry.key, entry.at) {
            let message = format!("key {} appears twice, first on line {}", quoted(&entry.key), first.line);
            return Err(origin.error(entry.at, message, "keep one of them"));
        }
    }
    Ok(())
}

/// Returns the error about a text that is nested too deeply.
pub(super) fn too_deep(at: Pos, origin: &Origin<'_>) -> FormatError {
    origin.error(at, format!("lists and objects are nested more than {MAX_DEPTH} deep"), "write a flatter file")
}

/// Returns the error about a text of too many values.
pub(super) fn too_many(at: Pos, origin: &Origin<'_>) -> FormatError {
    origin.error(at, format!("the file holds more than {MAX_VALUES} values"), "split it into smaller files")
}
