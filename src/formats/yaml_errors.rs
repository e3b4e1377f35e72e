//! What the YAML scanner complains about, in the user's words.

use saphyr_parser::{Marker, ScanError};

use super::error::{FormatError, Origin};
use super::tree::{Pos, too_deep};
use super::yaml::position;

/// Turns a message of the scanner, made for people who know YAML's grammar, into one with a remedy.
pub(super) fn explain(text: &str, error: &ScanError, origin: &Origin<'_>) -> FormatError {
    let info = error.info();
    let known = SENTENCES.iter().find(|(part, ..)| info.contains(part));
    let at = match known {
        Some((TAB, ..)) => next_tab(text, error.marker()),
        Some((NO_COLON, ..)) => last_line(text, error.marker()),
        _ => position(error.marker()),
    };
    // Inside brackets the scanner reads ahead, and has a limit of its own.
    if info.contains("recursion limit") {
        return too_deep(at, origin);
    }
    let at_bracket = || text.chars().nth(error.marker().index()).is_some_and(|c| matches!(c, ']' | '}'));
    match known {
        Some((_, INDENT, _)) if at_bracket() => origin.error(at, CLOSING, CLOSING_REMEDY),
        Some((_, message, remedy)) => origin.error(at, *message, *remedy),
        None => origin.error(at, format!("this is not YAML ({info})"), "check the indentation and the quotes around here"),
    }
}

/// Returns where the tab is that the scanner complains about: it points at the start of the text that the tab interrupts, or behind the tab.
fn next_tab(text: &str, mark: &Marker) -> Pos {
    let number = mark.line();
    if let Some(tab) = text.lines().nth(number.saturating_sub(1)).and_then(indenting_tab) {
        return Pos { line: number, column: tab };
    }
    let mut at = position(mark);
    for c in text.chars().skip(mark.index()) {
        match c {
            '\t' => return at,
            '\n' => at = Pos { line: at.line + 1, column: 1 },
            _ => at.column += 1,
        }
    }
    // Noticed only at the end of the text.
    let above =
        text.lines().enumerate().take(number).filter_map(|(index, line)| Some(Pos { line: index + 1, column: indenting_tab(line)? }));
    above.last().unwrap_or_else(|| position(mark))
}

/// Returns the column of the first tab among the white space that a line starts with.
fn indenting_tab(line: &str) -> Option<usize> {
    line.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t').map(|index| index + 1)
}

/// Returns where the line starts that lacks a colon: the scanner notices only when the next one comes.
fn last_line(text: &str, mark: &Marker) -> Pos {
    let end = text.char_indices().nth(mark.index()).map_or(text.len(), |(offset, _)| offset);
    let before = text[..end].trim_end();
    let line = before.rsplit('\n').next().unwrap_or_default();
    Pos { line: before.matches('\n').count() + 1, column: line.chars().take_while(|c| *c == ' ').count() + 1 }
}

/// A part of a message of the scanner, and what to say instead; the first that fits counts.
const SENTENCES: [(&str, &str, &str); 22] = [
    ("mapping values are not allowed", COLON, COLON_REMEDY),
    ("illegal placement of ':'", COLON, COLON_REMEDY),
    ("unprintable", "the text holds a control character", "remove it, or write it as an escape in double quotes"),
    (TAB, "there is a tab where YAML requires spaces", "indent with spaces"),
    ("invalid indentation in quoted", "text in quotes is never closed, or goes on in a line that is not indented", "add the missing quote"),
    ("unexpected end of stream", "text in quotes is never closed", "add the missing quote"),
    ("invalid trailing content", "more text follows a closing quote", QUOTE_REMEDY),
    ("unknown escape", ESCAPE, ESCAPE_REMEDY),
    ("hexadecimal", ESCAPE, ESCAPE_REMEDY),
    ("Unicode character escape", HALF, HALF_REMEDY),
    ("unknown anchor", "an alias names an anchor that is not defined above", "write the value out"),
    (NO_COLON, "a key has no colon after it", "write `key: value`, with a space after the colon"),
    ("unexpected character", "unquoted text may not start with this character", "put the text in double quotes"),
    ("flow sequence", BRACKET, BRACKET_REMEDY),
    ("flow mapping", BRACKET, BRACKET_REMEDY),
    ("flow construct", BRACKET, BRACKET_REMEDY),
    ("node content", BRACKET, BRACKET_REMEDY),
    ("misplaced bracket", BRACKET, BRACKET_REMEDY),
    ("block mapping", INDENT, INDENT_REMEDY),
    ("block collection", INDENT, INDENT_REMEDY),
    ("not allowed in this context", INDENT, INDENT_REMEDY),
    ("indent", INDENT, INDENT_REMEDY),
];
const TAB: &str = "tab";
const NO_COLON: &str = "simple key expect";
const COLON: &str = "there is a colon where no key can be";
const COLON_REMEDY: &str = "put text that holds a colon in double quotes, or check the indentation";
const ESCAPE: &str = "text in double quotes holds an unknown backslash escape";
const ESCAPE_REMEDY: &str = "write a backslash as \\\\";
/// Programs that write JSON spell what lies beyond the first 65,536 characters as a pair of escapes, which YAML does not have.
const HALF: &str = "text in double quotes holds a \\u escape that is no character, such as half of a pair";
const HALF_REMEDY: &str = "write the character itself";
const QUOTE_REMEDY: &str = "inside double quotes write \\\" for a quote, inside single quotes a doubled single quote";
const BRACKET: &str = "a list or object in brackets is not closed, or lacks a comma";
const BRACKET_REMEDY: &str = "check the brackets and commas";
/// Most readers of YAML allow that, this one only behind some values.
const CLOSING: &str = "a closing bracket stands no further in than the key that its list or object belongs to";
const CLOSING_REMEDY: &str = "put a space or more before the bracket";
const INDENT: &str = "the indentation does not fit the lines above";
const INDENT_REMEDY: &str = "give the keys of one object the same indentation";
