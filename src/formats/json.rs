//! JSON into a tree with places.
//!
//! `serde_json` gives no places for values, so the work is shared: it checks the grammar, without recursion and without building anything,
//! and decodes the strings; the walk here only finds where each value starts.

use serde::de::IgnoredAny;

use super::error::{FormatError, Origin};
use super::tree::{Entry, MAX_DEPTH, MAX_VALUES, Node, Pos, Value, check_unique, quoted, too_deep, too_many};

/// Reads one JSON value that starts in `first_line` of its file.
///
/// # Errors
/// Says what is wrong in the user's words: bad JSON, a key that appears twice, nesting beyond [`MAX_DEPTH`].
pub(super) fn parse(text: &str, first_line: usize, origin: &Origin<'_>) -> Result<Node, FormatError> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| explain(text, first_line, &error, origin))?;
    Walk { text, offset: 0, at: Pos { line: first_line, column: 1 }, values: 0, origin }.value(0)
}

/// A walk over text that is known to be JSON.
struct Walk<'a> {
    text: &'a str,
    offset: usize,
    at: Pos,
    values: usize,
    origin: &'a Origin<'a>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, depth: usize) -> Result<Node, FormatError> {
        let first = self.peek();
        let at = self.at;
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(too_many(at, self.origin));
        }
        if depth >= MAX_DEPTH && matches!(first, Some('{' | '[')) {
            return Err(too_deep(at, self.origin));
        }
        let value = match first {
            Some('{') => Value::Map(self.entries(depth)?),
            Some('[') => Value::List(self.items(depth)?),
            Some('"') => Value::Text(self.string()?),
            _ => match self.word() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                number => Value::Number(number.to_owned()),
            },
        };
        Ok(Node { at, value })
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, FormatError> {
        let mut items = Vec::new();
        self.advance(1);
        while self.goes_on() {
            items.push(self.value(depth + 1)?);
        }
        Ok(items)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, FormatError> {
        let mut entries = Vec::new();
        self.advance(1);
        while self.goes_on() {
            let at = self.at;
            let key = self.string()?;
            self.peek();
            self.advance(1); // the colon
            entries.push(Entry { key, at, node: self.value(depth + 1)? });
        }
        check_unique(&entries, self.origin)?;
        Ok(entries)
    }

    /// Steps over the separator before the next element; false when the collection ended instead.
    fn goes_on(&mut self) -> bool {
        match self.peek() {
            Some(found @ (',' | ']' | '}')) => {
                self.advance(1);
                self.peek();
                found == ','
            }
            Some(_) => true,
            None => false,
        }
    }

    fn string(&mut self) -> Result<String, FormatError> {
        let at = self.at;
        let rest = &self.text[self.offset..];
        let mut escaped = false;
        let end = rest
            .bytes()
            .enumerate()
            .skip(1)
            .find(|&(_, byte)| {
                let closes = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes
            })
            .map_or(rest.len(), |(index, _)| index + 1);
        self.advance(end);
        serde_json::from_str(&rest[..end]).map_err(|_| {
            // The grammar check leaves one thing about strings to the decoder: halves of surrogate pairs.
            let remedy = "write the character itself, or both halves of its \\u escape";
            self.origin.error(at, "a string holds half of a \\u escape pair", remedy)
        })
    }

    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.offset..];
        let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, ',' | ']' | '}')).unwrap_or(rest.len());
        self.advance(end);
        &rest[..end]
    }

    /// Steps over white space and returns the character after it.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.offset..];
        self.advance(rest.len() - rest.trim_ascii_start().len());
        self.text[self.offset..].chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        for c in self.text[self.offset..self.offset + bytes].chars() {
            if c == '\n' {
                self.at = Pos { line: self.at.line + 1, column: 1 };
            } else {
                self.at.column += 1;
            }
        }
        self.offset += bytes;
    }
}

/// Turns a message of `serde_json`, made for programmers and counting bytes, into one with a remedy that counts characters.
fn explain(text: &str, first_line: usize, error: &serde_json::Error, origin: &Origin<'_>) -> FormatError {
    let raw = error.to_string();
    let is = |start: &str| raw.starts_with(start);
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    // The library points at the character before a control character, and at the character itself everywhere else.
    let byte = if is("control character") { error.column() } else { error.column().saturating_sub(1) };
    let byte = line.floor_char_boundary(byte);
    // Words that start like true, false or null are refused at the letter that differs.
    let byte = if is("expected ident") { line[..byte].trim_end_matches(|c: char| c.is_ascii_alphabetic()).len() } else { byte };
    let at = Pos { line: first_line + error.line().saturating_sub(1), column: line[..byte].chars().count() + 1 };
    let rest = &line[byte..];
    let found = match rest.chars().next() {
        Some(c) if c.is_alphanumeric() => quoted(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()),
        Some(c) if c.is_control() => format!("the character {}", c.escape_unicode()),
        Some(c) => format!("`{c}`"),
        None => "the end of the line".to_owned(),
    };
    // After a comma before a closing bracket the library still waits for what the comma promised.
    let known = if rest.starts_with(['}', ']']) && (is("expected value") || is("key must be a string")) {
        Some(&("", "a value is missing before {}", "remove the comma before it, or add the value"))
    } else {
        SENTENCES.iter().find(|(start, ..)| is(start))
    };
    match known {
        Some((_, message, remedy)) => origin.error(at, message.replace("{}", &found), *remedy),
        None => origin.error(at, format!("this is not JSON ({raw})"), "check the text around here"),
    }
}

/// How a message of `serde_json` starts, and what to say instead; `{}` stands for the text at the place.
const SENTENCES: [(&str, &str, &str); 13] = [
    ("EOF while parsing a list", "the text ends inside a list", "add the missing `]`"),
    ("EOF while parsing an object", "the text ends inside an object", "add the missing `}`"),
    ("EOF while parsing a string", "the text ends inside a string", "add the missing double quote"),
    ("EOF", "the text ends where a value should follow", "complete it"),
    ("key must be a string", "found {} where a key should start", "put keys in double quotes"),
    ("expected `:`", "found {} where the colon after a key should be", "add `:`"),
    ("expected `,` or `]`", "found {} in a list after a value", "add `,` before it, or close the list with `]`"),
    ("expected `,` or `}`", "found {} in an object after a value", "add `,` before it, or close the object with `}`"),
    ("expected", "found {} where a value should start", "put text in double quotes"),
    (
        "trailing characters",
        "found {} after the end of the JSON value",
        "keep one value; a file with a case a line is a labelled set (*.jsonl)",
    ),
    ("control character", "a string contains a line break, tab or other control character", "write it as an escape such as \\n or \\t"),
    ("invalid escape", "a string holds an unknown backslash escape", "write a backslash as \\\\"),
    ("invalid number", "a number is not written as JSON wants it", "write it like 10, -2 or 0.5, or put it in double quotes"),
];
