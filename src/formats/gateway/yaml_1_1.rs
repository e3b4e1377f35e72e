//! What the gateway's own reader makes of a text: Plano's validator reads YAML 1.1 with PyYAML, Waypost reads YAML 1.2.
//!
//! Source: PyYAML 6: the resolvers of `SafeLoader`, the reader of characters, the scanner and the composer.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use saphyr_parser::ScalarStyle;

use crate::formats::tree::{Entry, Node, Pos, Value, quoted};
use crate::formats::yaml::plain;

use super::spans::{Kind, Layout, SPACE, Span};

/// What PyYAML takes a scalar for, where that is not text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Taken {
    Nothing,
    Truth(bool),
    Number(f64),
    /// A number in base 60, such as 12:30:00.
    Sixty(f64),
    Date,
    /// `=` and `<<`, which PyYAML tells from text and can make nothing of.
    Sign,
    /// Whatever a tag such as `!!timestamp` says.
    Tagged,
}

impl Taken {
    /// Returns the kind as messages name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Truth(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Sixty(_) => "a number in base 60",
            Self::Date => "a date",
            Self::Sign => "a sign of YAML's own",
            Self::Tagged => "what its tag says",
        }
    }
}

/// A scalar as it is written.
#[derive(Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) taken: Option<Taken>,
    pub(super) is_tagged: bool,
}

/// A value as PyYAML sees it.
pub(super) enum Seen<'n> {
    Text(String),
    Truth(bool),
    Number(f64),
    List(&'n [Node]),
    Map(&'n [Entry]),
    /// Nothing, a date, a sign, or what a tag says.
    Other,
}

/// The scalars of a text, by their places, that PyYAML or Waypost's own reader takes for something else than text: unquoted ones, and those with
/// a tag.
pub(super) struct Unquoted(HashMap<(usize, usize), Scalar>);

impl Unquoted {
    pub(super) fn of(text: &str, layout: Option<&Layout>) -> Self {
        let mut found = Vec::new();
        if let Some(root) = layout.and_then(|layout| layout.root.as_ref()) {
            root.scalars(&mut |span| {
                let Kind::Scalar { text: scalar, tag, .. } = &span.kind else { return };
                let taken = meant(span);
                if taken.is_some() || (span.is_plain() && !matches!(plain(scalar), Value::Text(_))) {
                    found.push((span.start, Scalar { text: scalar.clone(), taken, is_tagged: tag.is_some() }));
                }
            });
        }
        Self(places(text, found).into_iter().map(|(at, scalar)| ((at.line, at.column), scalar)).collect())
    }

    /// Returns the scalar that a value was read from, where the two readers may differ.
    pub(super) fn at(&self, node: &Node) -> Option<&Scalar> {
        // An object in block style stands where its first key does.
        let is_scalar = !matches!(node.value, Value::List(_) | Value::Map(_));
        self.0.get(&(node.at.line, node.at.column)).filter(|_| is_scalar)
    }

    /// Returns what PyYAML takes a key for, or `None` for text.
    pub(super) fn of_key(&self, entry: &Entry) -> Option<Taken> {
        self.0.get(&(entry.at.line, entry.at.column))?.taken
    }

    /// Returns a value as PyYAML sees it.
    pub(super) fn seen<'n>(&self, node: &'n Node) -> Seen<'n> {
        match (self.at(node), &node.value) {
            (_, Value::List(items)) => Seen::List(items),
            (_, Value::Map(entries)) => Seen::Map(entries),
            (Some(Scalar { text, taken: None, .. }), _) => Seen::Text(text.clone()),
            (Some(Scalar { taken: Some(taken), .. }), _) => match taken {
                Taken::Truth(value) => Seen::Truth(*value),
                Taken::Number(value) | Taken::Sixty(value) => Seen::Number(*value),
                Taken::Nothing | Taken::Date | Taken::Sign | Taken::Tagged => Seen::Other,
            },
            (None, Value::Text(text)) => Seen::Text(text.clone()),
            // Through an alias, whose place is not that of the scalar.
            (None, Value::Bool(value)) => Seen::Truth(*value),
            (None, Value::Number(number)) => number.parse::<f64>().map_or(Seen::Other, Seen::Number),
            (None, Value::Null) => Seen::Other,
        }
    }

    /// Returns whether PyYAML takes a value for true.
    pub(super) fn is_true(&self, node: &Node) -> bool {
        matches!(self.seen(node), Seen::Truth(true))
    }

    /// Returns the value as a message names it after "found".
    pub(super) fn found(&self, node: &Node) -> String {
        match (self.at(node), &node.value) {
            (Some(Scalar { text, taken: Some(taken), .. }), Value::Text(_)) => {
                format!("{}, which its YAML reader takes for {}", quoted(text), taken.as_str())
            }
            (Some(Scalar { text, taken: None, .. }), Value::Number(_)) => format!("the text {}", quoted(text)),
            _ => node.describe(),
        }
    }
}

/// Returns what PyYAML takes a scalar of a text for, or `None` for text.
pub(super) fn meant(span: &Span) -> Option<Taken> {
    let Kind::Scalar { text, tag, .. } = &span.kind else { return None };
    match tag.as_deref() {
        None => taken(text).filter(|_| span.is_plain()),
        Some("str") => None,
        Some("null") => Some(Taken::Nothing),
        // Quoted or not, the tag decides.
        Some("bool" | "int" | "float") => taken(text).or(Some(Taken::Tagged)),
        Some(_) => Some(Taken::Tagged),
    }
}

/// Returns what PyYAML takes an unquoted scalar for, or `None` for text.
fn taken(scalar: &str) -> Option<Taken> {
    match scalar {
        "" | "~" | "null" | "Null" | "NULL" => Some(Taken::Nothing),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(Taken::Truth(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(Taken::Truth(false)),
        "=" | "<<" => Some(Taken::Sign),
        _ if is_day(scalar) == Some(true) || is_moment(scalar) == Some(true) => Some(Taken::Date),
        _ => number(scalar),
    }
}

fn number(scalar: &str) -> Option<Taken> {
    let unsigned = scalar.strip_prefix(['+', '-']).unwrap_or(scalar);
    let is_signed = unsigned.len() < scalar.len();
    let sign = if scalar.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Some(Taken::Number(sign * f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if !is_signed => return Some(Taken::Number(f64::NAN)),
        _ => {}
    }
    match integer(unsigned).or_else(|| float(unsigned, is_signed)) {
        Some(value) => Some(Taken::Number(sign * value)),
        None => sixty(unsigned).map(|value| Taken::Sixty(sign * value)),
    }
}

fn integer(text: &str) -> Option<f64> {
    if let Some(bits) = text.strip_prefix("0b") {
        return digits(bits, 2);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return digits(hexadecimal, 16);
    }
    match text.strip_prefix('0') {
        Some("") => Some(0.0),
        Some(octal) => digits(octal, 8),
        None if starts_with_digit(text) => digits(text, 10),
        None => None,
    }
}

/// Reads a number with a point. One without a digit before the point has no sign, and an exponent always has one.
fn float(text: &str, is_signed: bool) -> Option<f64> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let begins = if whole.is_empty() { !is_signed && starts_with_digit(fraction) } else { starts_with_digit(whole) };
    let is_power = |power: &str| !power.is_empty() && power.bytes().all(|byte| byte.is_ascii_digit());
    let good_exponent = exponent.is_none_or(|exponent| exponent.strip_prefix(['+', '-']).is_some_and(is_power));
    let is_number = begins && good_exponent && [whole, fraction].into_iter().all(only_digits);
    is_number.then(|| text.replace('_', "").parse().unwrap_or(f64::NAN))
}

fn sixty(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut parts = whole.split(':');
    // Only one with a point may start with a zero.
    let first = parts.next().filter(|first| starts_with_digit(first) && (fraction.is_some() || !first.starts_with('0')))?;
    let (mut value, mut count) = (digits(first, 10)?, 0);
    for part in parts {
        if !matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']) {
            return None;
        }
        value = value * 60.0 + digits(part, 10)?;
        count += 1;
    }
    let rest = match fraction {
        Some(fraction) if only_digits(fraction) => format!("0.{}", fraction.replace('_', "")).parse().unwrap_or(0.0),
        Some(_) => return None,
        None => 0.0,
    };
    (count > 0).then_some(value + rest)
}

/// Returns the value of digits, among which underscores may stand.
fn digits(text: &str, radix: u32) -> Option<f64> {
    let fits = !text.is_empty() && text.chars().all(|c| c == '_' || c.is_digit(radix));
    let value = |value: f64, digit: u32| value * f64::from(radix) + f64::from(digit);
    fits.then(|| text.chars().filter_map(|c| c.to_digit(radix)).fold(0.0, value))
}

fn only_digits(text: &str) -> bool {
    text.chars().all(|c| c == '_' || c.is_ascii_digit())
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

const BLANK: [char; 2] = [' ', '\t'];

/// Returns whether text is a day such as 2024-01-31; `None` stands for no as well.
fn is_day(text: &str) -> Option<bool> {
    let month = after_digits(text, 4, 4)?.strip_prefix('-')?;
    let day = after_digits(month, 2, 2)?.strip_prefix('-')?;
    Some(after_digits(day, 2, 2)?.is_empty())
}

/// Returns whether text is a day and a time such as 2024-1-31 10:00:00; `None` stands for no as well.
fn is_moment(text: &str) -> Option<bool> {
    let month = after_digits(text, 4, 4)?.strip_prefix('-')?;
    let day = after_digits(month, 1, 2)?.strip_prefix('-')?;
    let rest = after_digits(day, 1, 2)?;
    let hour = match rest.strip_prefix(['T', 't']) {
        Some(hour) => hour,
        None => rest.strip_prefix(BLANK)?.trim_start_matches(BLANK),
    };
    let minute = after_digits(hour, 1, 2)?.strip_prefix(':')?;
    let second = after_digits(minute, 2, 2)?.strip_prefix(':')?;
    let rest = after_digits(second, 2, 2)?;
    let zone = rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches(|c: char| c.is_ascii_digit()));
    let zone = zone.trim_start_matches(BLANK);
    if matches!(zone, "" | "Z") {
        return Some(true);
    }
    let rest = after_digits(zone.strip_prefix(['+', '-'])?, 1, 2)?;
    match rest.strip_prefix(':') {
        Some(minute) => Some(after_digits(minute, 2, 2)?.is_empty()),
        None => Some(rest.is_empty()),
    }
}

/// Returns what follows as many digits as there are, but no more than `most`; `None` where they are fewer than `least`.
fn after_digits(text: &str, least: usize, most: usize) -> Option<&str> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    (count >= least).then(|| &text[count..])
}

/// Something in a text that PyYAML refuses to read and Waypost's own reader does not.
pub(super) struct Flaw {
    pub(super) at: Pos,
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

/// Returns what PyYAML refuses to read in a text, whatever that says: the first of each kind, of anchors all.
pub(super) fn flaws(text: &str, layout: Option<&Layout>) -> Vec<Flaw> {
    let mut found: Vec<(usize, String, &'static str)> = Vec::new();
    if let Some((at, c)) = text.char_indices().find(|(_, c)| is_unprintable(*c)) {
        let message = format!("the gateway refuses a file with the control character {}", c.escape_unicode());
        found.push((at, message, "remove it, or write it as an escape in double quotes"));
    }
    if let Some(layout) = layout {
        let tab = tab(text, &layout.texts);
        found.extend(tab.map(|at| (at, "the gateway's YAML reader refuses a tab outside of quotes".to_owned(), "write spaces instead")));
        let question = layout.root.as_ref().and_then(|root| question_mark(root, false));
        let message = "inside brackets the gateway's YAML reader ends unquoted text at a question mark, and refuses what follows";
        found.extend(question.map(|at| (at, message.to_owned(), "put the text in double quotes")));
        found.extend(anchors(text, &layout.anchored));
    }
    found.sort_by_key(|(at, ..)| *at);
    let found = found.into_iter().map(|(at, message, remedy)| (at, (message, remedy)));
    places(text, found).into_iter().map(|(at, (message, remedy))| Flaw { at, message, remedy }).collect()
}

/// Returns whether PyYAML's reader refuses a character even in quotes and comments.
fn is_unprintable(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
}

/// Returns where the first tab stands that is neither in one of the texts nor in a comment.
fn tab(text: &str, texts: &[Range<usize>]) -> Option<usize> {
    let starts = std::iter::once(0).chain(texts.iter().map(|range| range.end));
    let ends = texts.iter().map(|range| range.start).chain([text.len()]);
    starts.zip(ends).find_map(|(start, end)| {
        let mut before = text[..start].chars().next_back().unwrap_or('\n');
        let mut is_comment = false;
        text.get(start..end)?.char_indices().find_map(|(at, c)| {
            is_comment = match c {
                '\n' | '\r' => false,
                _ => is_comment || (c == '#' && SPACE.contains(&before)),
            };
            before = c;
            (c == '\t' && !is_comment).then_some(start + at)
        })
    })
}

/// Returns where unquoted text inside brackets starts that holds a question mark.
fn question_mark(span: &Span, in_brackets: bool) -> Option<usize> {
    match &span.kind {
        Kind::Scalar { text, style: ScalarStyle::Plain, .. } => (in_brackets && text.contains('?')).then_some(span.start),
        Kind::List { items, flow } => items.iter().find_map(|item| question_mark(item, in_brackets || *flow)),
        Kind::Map { entries, flow } => {
            let mut parts = entries.iter().flat_map(|(key, value)| [key, value]);
            parts.find_map(|part| question_mark(part, in_brackets || *flow))
        }
        Kind::Scalar { .. } | Kind::Alias => None,
    }
}

/// Returns the anchors whose names PyYAML does not take, or takes for a second one of that name.
fn anchors(text: &str, anchored: &[usize]) -> Vec<(usize, String, &'static str)> {
    let (mut refused, mut seen) = (Vec::new(), HashSet::new());
    for at in anchored {
        let Some(name) = anchor(&text[*at..]) else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            let message = format!("the gateway's YAML reader does not take the anchor {} as it is", quoted(name));
            refused.push((*at, message, "give it a name of letters, digits, - and _"));
        } else if !seen.insert(name) {
            let message = format!("the gateway's YAML reader refuses a second anchor {}", quoted(name));
            refused.push((*at, message, "rename one of them, and the aliases that mean it"));
        }
    }
    refused
}

/// Returns the name of the anchor with which a text starts, after its tag where it has one.
fn anchor(text: &str) -> Option<&str> {
    let anchor = match text.strip_prefix('!') {
        Some(tag) => tag[tag.find(SPACE)?..].trim_start_matches(SPACE),
        None => text,
    };
    let name = anchor.strip_prefix('&')?;
    Some(name.split(|c: char| SPACE.contains(&c) || ",[]{}".contains(c)).next().unwrap_or_default())
}

/// Returns line and column for what stands at a byte, both counted from 1, the column in characters; the bytes ascend.
fn places<T>(text: &str, of: impl IntoIterator<Item = (usize, T)>) -> Vec<(Pos, T)> {
    let (mut line, mut line_start, mut seen) = (1, 0, 0);
    let mut places = Vec::new();
    for (byte, what) in of {
        // As Waypost's reader counts, to which a carriage return alone ends a line as well.
        for (at, _) in text[seen..byte].match_indices(['\n', '\r']).filter(|(at, _)| !text[seen + at..].starts_with("\r\n")) {
            line += 1;
            line_start = seen + at + 1;
        }
        seen = byte;
        places.push((Pos { line, column: text[line_start..byte].chars().count() + 1 }, what));
    }
    places
}
