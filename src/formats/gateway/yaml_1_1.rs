//! What the gateway's own reader makes of a text: Plano's validator reads YAML 1.1 with PyYAML, Waypost reads YAML 1.2.
//!
//! Source: the resolvers of PyYAML 6's `SafeLoader`, and its reader of characters.

use std::collections::HashMap;

use crate::formats::tree::{Entry, Node, Pos, Value, quoted};
use crate::formats::yaml::plain;

use super::spans::{Kind, spans};

/// What PyYAML takes an unquoted scalar for, where that is not text.
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
        }
    }
}

/// An unquoted scalar as it is written.
#[derive(Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) taken: Option<Taken>,
}

/// A value as PyYAML sees it.
pub(super) enum Seen<'n> {
    Text(String),
    Truth(bool),
    Number(f64),
    List(&'n [Node]),
    Map(&'n [Entry]),
    /// Nothing, a date or a sign.
    Other,
}

/// The unquoted scalars of a text, by their places, that PyYAML or Waypost's own reader takes for something else than text.
pub(super) struct Unquoted(HashMap<(usize, usize), Scalar>);

impl Unquoted {
    pub(super) fn of(text: &str) -> Self {
        let mut found = Vec::new();
        if let Some(root) = spans(text) {
            root.scalars(&mut |span| {
                if let Kind::Scalar { text: scalar, plain: true } = &span.kind {
                    let taken = taken(scalar);
                    if taken.is_some() || !matches!(plain(scalar), Value::Text(_)) {
                        found.push((span.start, Scalar { text: scalar.clone(), taken }));
                    }
                }
            });
        }
        Self(places(text, found))
    }

    /// Returns the scalar that a value was read from, where the two readers may differ.
    pub(super) fn at(&self, node: &Node) -> Option<&Scalar> {
        // An object in block style stands where its first key does.
        let is_scalar = !matches!(node.value, Value::List(_) | Value::Map(_));
        self.0.get(&(node.at.line, node.at.column)).filter(|_| is_scalar)
    }

    /// Returns a value as PyYAML sees it.
    pub(super) fn seen<'n>(&self, node: &'n Node) -> Seen<'n> {
        match (self.at(node), &node.value) {
            (_, Value::List(items)) => Seen::List(items),
            (_, Value::Map(entries)) => Seen::Map(entries),
            (Some(Scalar { text, taken: None }), _) => Seen::Text(text.clone()),
            (Some(Scalar { taken: Some(taken), .. }), _) => match taken {
                Taken::Truth(value) => Seen::Truth(*value),
                Taken::Number(value) | Taken::Sixty(value) => Seen::Number(*value),
                Taken::Nothing | Taken::Date | Taken::Sign => Seen::Other,
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
            (Some(Scalar { text, taken: Some(taken) }), Value::Text(_)) => {
                format!("{}, which its YAML reader takes for {}", quoted(text), taken.as_str())
            }
            (Some(Scalar { text, taken: None }), Value::Number(_)) => format!("the text {}", quoted(text)),
            _ => node.describe(),
        }
    }
}

/// Returns what PyYAML takes an unquoted scalar for, or `None` for text.
pub(super) fn taken(scalar: &str) -> Option<Taken> {
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

/// Returns the first character that PyYAML's reader refuses even in quotes and comments, and its place.
pub(super) fn unprintable(text: &str) -> Option<(Pos, char)> {
    let refused = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    let (at, c) = text.char_indices().find(|(_, c)| refused(*c))?;
    let (line, column) = places(text, vec![(at, ())]).into_keys().next()?;
    Some((Pos { line, column }, c))
}

/// Returns what stands at line and column, counted from 1, the column in characters, for what stands at a byte; the bytes ascend.
fn places<T>(text: &str, of: Vec<(usize, T)>) -> HashMap<(usize, usize), T> {
    let (mut line, mut line_start, mut seen) = (1, 0, 0);
    let mut places = HashMap::with_capacity(of.len());
    for (byte, what) in of {
        if let Some(last) = text[seen..byte].rfind('\n') {
            line += text[seen..byte].matches('\n').count();
            line_start = seen + last + 1;
        }
        seen = byte;
        places.insert((line, text[line_start..byte].chars().count() + 1), what);
    }
    places
}
