//! Policies as YAML: the same bytes for the same policy, so that git shows what really changed.

use std::fmt::Write;

use crate::policy::{ExtraKeys, Policy, Route};

use super::error::Origin;
use super::json;
use super::tree::{Node, Pos, Value};

/// Returns the policy as YAML that [`super::parse_policy`] reads back unchanged.
///
/// Text is always quoted: readers of YAML 1.1, such as the gateways' own scripts, would take `no` or `2024-01-01` for something else.
pub fn write_policy(policy: &Policy) -> String {
    let mut out = String::new();
    optional(&mut out, 0, "name", policy.name.as_deref());
    if let Some(dialect) = policy.dialect {
        out.push_str("dialect: ");
        out.push_str(dialect.as_str());
        out.push('\n');
    }
    if let Some(budget) = policy.budget {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "budget: {budget}");
    }
    optional(&mut out, 0, "fallback", policy.fallback.as_deref());
    if policy.routes.is_empty() {
        out.push_str("routes: []\n");
    } else {
        out.push_str("routes:\n");
    }
    for route in &policy.routes {
        write_route(&mut out, route);
    }
    extra_keys(&mut out, 0, &policy.extra);
    out
}

pub(super) fn write_route(out: &mut String, route: &Route) {
    out.push_str("  - name: ");
    push_quoted(out, &route.name);
    out.push_str("\n    description: ");
    push_quoted(out, &route.description);
    out.push('\n');
    optional(out, 4, "domain", route.domain.as_deref());
    optional(out, 4, "action", route.action.as_deref());
    if !route.models.is_empty() {
        out.push_str("    models:\n");
    }
    for model in &route.models {
        out.push_str("      - ");
        push_quoted(out, model);
        out.push('\n');
    }
    extra_keys(out, 4, &route.extra);
}

fn optional(out: &mut String, indent: usize, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        spaces(out, indent);
        out.push_str(key);
        out.push_str(": ");
        push_quoted(out, value);
        out.push('\n');
    }
}

pub(super) fn extra_keys(out: &mut String, indent: usize, extra: &ExtraKeys) {
    for (key, value) in extra {
        // Only a defect could put anything but JSON here; as text it is at least not lost.
        let node = json::parse(value, 1, &Origin::new(""))
            .unwrap_or_else(|_| Node { at: Pos { line: 1, column: 1 }, value: Value::Text(value.clone()) });
        spaces(out, indent);
        push_key(out, indent, key);
        push_block(out, indent, &node);
    }
}

/// Writes what follows a colon or a dash: a scalar on the same line, or a collection in block style, one step further in.
fn push_block(out: &mut String, indent: usize, node: &Node) {
    match &node.value {
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                spaces(out, indent + 2);
                out.push('-');
                push_block(out, indent + 2, item);
            }
        }
        Value::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            for entry in entries {
                spaces(out, indent + 2);
                push_key(out, indent + 2, &entry.key);
                push_block(out, indent + 2, &entry.node);
            }
        }
        Value::Text(text) => {
            out.push(' ');
            push_quoted(out, text);
            out.push('\n');
        }
        _ => {
            out.push(' ');
            out.push_str(&node.to_json());
            out.push('\n');
        }
    }
}

/// Writes a key and its colon.
fn push_key(out: &mut String, indent: usize, key: &str) {
    // YAML readers look for the colon no more than 1024 characters ahead; a longer key must be announced.
    const LONGEST_IMPLICIT: usize = 100;
    let is_word = |key: &str| {
        let mut bytes = key.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !KEYWORDS.contains(&key.to_ascii_lowercase().as_str())
    };
    if key.len() > LONGEST_IMPLICIT {
        out.push_str("? ");
        push_quoted(out, key);
        out.push('\n');
        spaces(out, indent);
    } else if is_word(key) {
        out.push_str(key);
    } else {
        push_quoted(out, key);
    }
    out.push(':');
}

/// Words that some reader of YAML 1.1 or 1.2 takes for a boolean or null.
const KEYWORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Writes a double-quoted scalar on one line, everything escaped that a reader might fold, trim or refuse.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}
