//! Routes and messages as JSON in each dialect's spelling.
//!
//! Written by hand rather than with `serde_json`: Python's spelling has no counterpart there, and text cannot fail to be written.

use std::fmt::Display;

use crate::chat::Role;
use crate::policy::{DialectId, Route};

/// What Plano adds to every route as a third key (Plano 0.4.19 and later, `OrchestrationPreference` in common/src/configuration.rs).
const PARAMETERS: &str = r#", "parameters": {"type": "object", "properties": {}, "required": []}"#;

/// Which characters are spelled as escapes besides `"`, `\` and the control characters below U+0020.
#[derive(Clone, Copy)]
pub(super) enum Escapes {
    /// No others: `serde_json`, and Python's `json.dumps(ensure_ascii=False)`.
    Minimal,
    /// Everything outside printable ASCII, U+007F included, as UTF-16 units: Python's `json.dumps`.
    Ascii,
}

/// Where a serialiser puts spaces and which escapes it uses.
#[derive(Clone, Copy)]
struct Spelling {
    colon: &'static str,
    comma: &'static str,
    escapes: Escapes,
}

/// `serde_json::to_string`.
const COMPACT: Spelling = Spelling { colon: ":", comma: ",", escapes: Escapes::Minimal };

/// Plano's `SpacedJsonFormatter`: Python's spaces without Python's escapes.
const SPACED: Spelling = Spelling { colon: ": ", comma: ", ", escapes: Escapes::Minimal };

/// Python's `json.dumps` without arguments.
const PYTHON: Spelling = Spelling { colon: ": ", comma: ", ", escapes: Escapes::Ascii };

/// `serde_json` with `PrettyFormatter::with_indent` of four spaces, seen from inside a message of a list.
const PRETTY: Spelling = Spelling { colon: ": ", comma: ",\n        ", escapes: Escapes::Minimal };

/// Returns the text that takes the place of the routes.
pub(super) fn routes_json(dialect: DialectId, routes: &[&Route]) -> String {
    let list = |spelling: Spelling| {
        let objects: Vec<String> = routes.iter().map(|route| format!("{{{}}}", route_keys(route, spelling))).collect();
        format!("[{}]", objects.join(spelling.comma))
    };
    match dialect {
        DialectId::ModelCard => list(PYTHON),
        DialectId::Archgw031 => list(COMPACT),
        DialectId::Plano0419 | DialectId::Plano0420 => {
            let lines: Vec<String> = routes.iter().map(|route| format!("{{{}{PARAMETERS}}}", route_keys(route, SPACED))).collect();
            lines.join("\n")
        }
    }
}

/// Returns the text that takes the place of the conversation. A text of `None` is JSON's `null`.
pub(super) fn conversation_json<'a>(dialect: DialectId, messages: impl Iterator<Item = (Role, Option<&'a str>)>) -> String {
    let list = |spelling: Spelling, open: &str, between: &str, close: &str| {
        let objects: Vec<String> = messages.map(|(role, text)| message_keys(role, text, spelling)).collect();
        if objects.is_empty() { "[]".to_owned() } else { format!("[{open}{}{close}]", objects.join(between)) }
    };
    match dialect {
        DialectId::ModelCard => list(PYTHON, "{", "}, {", "}"),
        DialectId::Archgw031 => list(COMPACT, "{", "},{", "}"),
        DialectId::Plano0419 | DialectId::Plano0420 => list(PRETTY, "\n    {\n        ", "\n    },\n    {\n        ", "\n    }\n"),
    }
}

/// Returns a text as a JSON string, quotes included.
pub(super) fn string(text: &str, escapes: Escapes) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            '\u{0}'..' ' => push_units(&mut out, character),
            _ => match escapes {
                Escapes::Minimal => out.push(character),
                Escapes::Ascii => push_units(&mut out, character),
            },
        }
    }
    out.push('"');
    out
}

/// Appends a character as one or two `\uXXXX` escapes, in lower case as both serialisers write them.
fn push_units(out: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

/// Returns the keys and values that every dialect sends of a route, without braces.
fn route_keys(route: &Route, spelling: Spelling) -> String {
    pair("name", string(&route.name, spelling.escapes), spelling)
        + spelling.comma
        + &pair("description", string(&route.description, spelling.escapes), spelling)
}

/// Returns the keys and values of a message, without braces: `role` first, then `content`, nothing else.
fn message_keys(role: Role, text: Option<&str>, spelling: Spelling) -> String {
    let content = text.map_or_else(|| "null".to_owned(), |text| string(text, spelling.escapes));
    pair("role", string(role.as_str(), spelling.escapes), spelling) + spelling.comma + &pair("content", content, spelling)
}

fn pair(key: &str, value: impl Display, spelling: Spelling) -> String {
    format!("\"{key}\"{}{value}", spelling.colon)
}
