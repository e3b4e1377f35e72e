//! Changes to a text that leave every other byte alone.

use std::ops::Range;

/// Changes of ranges of one text; the ranges must not overlap.
#[derive(Default)]
pub(super) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Puts `text` in the place of a range, which may be empty.
    pub(super) fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.0.push((range, text.into()));
    }

    /// Returns the changed text; line breaks of what is put in become those of the text.
    pub(super) fn apply(mut self, text: &str) -> String {
        let crlf = text.contains("\r\n");
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (range, new) in self.0 {
            if range.start < done {
                continue;
            }
            out.push_str(&text[done..range.start]);
            if crlf {
                out.push_str(&new.replace('\n', "\r\n"));
            } else {
                out.push_str(&new);
            }
            done = range.end;
        }
        out.push_str(&text[done..]);
        out
    }
}

/// Returns where the line of a byte starts.
pub(in crate::formats) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |found| found + 1)
}

/// Returns where the line of a byte ends, before its line break.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    at + text[at..].split('\n').next().unwrap_or_default().trim_end_matches('\r').len()
}

/// Returns where the line after that of a byte starts, or the end of the text.
pub(in crate::formats) fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |found| at + found + 1)
}

/// Returns where the value of a key may start: after its colon.
pub(in crate::formats) fn after_colon(text: &str, key_end: usize) -> usize {
    text[key_end..].find(':').map_or(key_end, |found| key_end + found + 1)
}
