//! YAML into a tree with places.
//!
//! `serde_yaml` gives no places for values and lets aliases grow, so the tree is built from the events of `saphyr-parser`, which carry both.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use super::error::{FormatError, Origin};
use super::tree::{Entry, MAX_DEPTH, MAX_VALUES, Node, Pos, Value, check_unique, too_deep, too_many};
use super::yaml_errors::explain;

/// What anchors and aliases may copy, in values plus bytes of text; a policy copies a few model names.
const MAX_COPIED: usize = 1 << 20;

/// Reads one YAML document; an empty one is `null`.
///
/// # Errors
/// Says what is wrong in the user's words: bad YAML, a key that appears twice, more than one document, aliases or nesting out of bounds.
pub(super) fn parse(text: &str, origin: &Origin<'_>) -> Result<Node, FormatError> {
    let mut builder = Builder { origin, open: Vec::new(), root: None, anchors: HashMap::new(), copied: 0, values: 0 };
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| explain(text, &error, origin))?;
        builder.event(event, position(&span.start))?;
    }
    Ok(builder.root.unwrap_or(Node { at: Pos { line: 1, column: 1 }, value: Value::Null }))
}

/// Returns the place of a mark of the scanner, whose columns start at 0.
pub(super) fn position(mark: &Marker) -> Pos {
    Pos { line: mark.line(), column: mark.col() + 1 }
}

/// A collection whose end has not come yet.
struct Open {
    at: Pos,
    anchor: usize,
    held: Held,
}

enum Held {
    List(Vec<Node>),
    /// The entries so far, and the key that waits for its value.
    Map(Vec<Entry>, Option<(String, Pos)>),
}

/// Builds the tree on a stack of its own: the depth of a file must not become the depth of calls.
struct Builder<'a> {
    origin: &'a Origin<'a>,
    open: Vec<Open>,
    root: Option<Node>,
    /// Values by anchor, with their depth.
    anchors: HashMap<usize, (Node, usize)>,
    copied: usize,
    values: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, at: Pos) -> Result<(), FormatError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(self.origin.error(at, "a second YAML document starts here", "keep one document a file"))
            }
            Event::DocumentStart(_) => Ok(()),
            Event::Scalar(text, style, anchor, tag) => {
                // In quotes it is a key like any other.
                let is_key = matches!(self.open.last(), Some(Open { held: Held::Map(_, None), .. }));
                if is_key && text == "<<" && style == ScalarStyle::Plain && tag.is_none() {
                    return Err(self.origin.error(at, "merge keys (`<<`) are not supported", "write the merged keys out"));
                }
                let value = self.scalar(&text, style, tag.as_deref(), at)?;
                self.anchored(Node { at, value }, anchor)
            }
            Event::Alias(anchor) => {
                let Some((node, depth)) = self.anchors.get(&anchor) else {
                    return Err(self.origin.error(at, "an alias stands inside the value that it names", "write the value out"));
                };
                if self.open.len() + depth > MAX_DEPTH {
                    return Err(too_deep(at, self.origin));
                }
                let node = Node { at, value: node.value.clone() };
                self.count_copy(&node)?;
                self.place(node)
            }
            Event::SequenceStart(anchor, tag) => self.start(Held::List(Vec::new()), anchor, tag.as_deref(), at),
            Event::MappingStart(anchor, tag) => self.start(Held::Map(Vec::new(), None), anchor, tag.as_deref(), at),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn start(&mut self, held: Held, anchor: usize, tag: Option<&Tag>, at: Pos) -> Result<(), FormatError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(at, self.origin));
        }
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            return Err(self.unknown_tag(tag, at));
        }
        self.open.push(Open { at, anchor, held });
        Ok(())
    }

    fn end(&mut self) -> Result<(), FormatError> {
        let Some(Open { at, anchor, held }) = self.open.pop() else { return Ok(()) };
        let value = match held {
            Held::List(items) => Value::List(items),
            Held::Map(entries, _) => {
                check_unique(&entries, self.origin)?;
                Value::Map(entries)
            }
        };
        self.anchored(Node { at, value }, anchor)
    }

    /// Puts a finished value into its place and remembers it under its anchor; 0 is no anchor.
    fn anchored(&mut self, node: Node, anchor: usize) -> Result<(), FormatError> {
        if anchor != 0 {
            self.count_copy(&node)?;
            self.anchors.insert(anchor, (node.clone(), depth(&node)));
        }
        self.place(node)
    }

    fn place(&mut self, node: Node) -> Result<(), FormatError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(too_many(node.at, self.origin));
        }
        match self.open.last_mut().map(|open| &mut open.held) {
            None => self.root = Some(node),
            Some(Held::List(items)) => items.push(node),
            Some(Held::Map(entries, waiting)) => match waiting.take() {
                Some((key, at)) => entries.push(Entry { key, at, node }),
                None => {
                    let at = node.at;
                    let key = match node.value {
                        Value::Text(key) | Value::Number(key) => key,
                        Value::Bool(key) => key.to_string(),
                        Value::Null => "null".to_owned(),
                        Value::List(_) | Value::Map(_) => {
                            return Err(self.origin.error(at, "there is a list or an object where a key should be", "use text as the key"));
                        }
                    };
                    *waiting = Some((key, at));
                }
            },
        }
        Ok(())
    }

    fn count_copy(&mut self, node: &Node) -> Result<(), FormatError> {
        self.copied += size(node, MAX_COPIED - self.copied);
        if self.copied >= MAX_COPIED {
            return Err(self.origin.error(node.at, "anchors and aliases make this file grow out of bounds", "write the values out"));
        }
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Pos) -> Result<Value, FormatError> {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() => Err(self.unknown_tag(tag, at)),
            // Any other than that of text says what a scalar is in quotes as well.
            Some(tag) if tag.suffix != "str" => Ok(plain(text)),
            None if style == ScalarStyle::Plain => Ok(plain(text)),
            _ => Ok(Value::Text(text.to_owned())),
        }
    }

    fn unknown_tag(&self, tag: &Tag, at: Pos) -> FormatError {
        self.origin.error(at, format!("the tag `{}{}` is not supported", tag.handle, tag.suffix), "remove it and write the value itself")
    }
}

/// Returns how many collections stand inside each other at the deepest place.
fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.node)).max().unwrap_or(0),
        _ => 0,
    }
}

/// Returns the number of values plus the bytes of text, counting no further than `limit`.
fn size(node: &Node, limit: usize) -> usize {
    let mut total = 1;
    match &node.value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(text) | Value::Text(text) => total += text.len(),
        Value::List(items) => {
            for item in items {
                if total >= limit {
                    break;
                }
                total += size(item, limit - total);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                if total >= limit {
                    break;
                }
                total += entry.key.len();
                total += size(&entry.node, limit.saturating_sub(total));
            }
        }
    }
    total.min(limit)
}

/// Reads an unquoted scalar by the core schema of YAML 1.2, in which `yes` and dates are text.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number),
    }
}

/// Returns a number of YAML as JSON spells it, with its digits unchanged where JSON allows them; infinities, which JSON lacks, stay text.
fn number(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(radix_digits) = text.strip_prefix("0x") {
        return u128::from_str_radix(radix_digits, 16).ok().filter(|_| !radix_digits.starts_with('+')).map(|n| n.to_string());
    }
    if let Some(radix_digits) = text.strip_prefix("0o") {
        return u128::from_str_radix(radix_digits, 8).ok().filter(|_| !radix_digits.starts_with('+')).map(|n| n.to_string());
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at..])),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(whole, fraction)| (whole, Some(fraction)));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    let good_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent[1..].strip_prefix(['+', '-']).unwrap_or(&exponent[1..]);
        !digits.is_empty() && all_digits(digits)
    });
    if !has_digits || !good_exponent || !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let fraction = fraction.map(|fraction| format!(".{}", if fraction.is_empty() { "0" } else { fraction })).unwrap_or_default();
    Some(format!("{sign}{whole}{fraction}{}", exponent.unwrap_or_default()))
}
