//! Changes to a text that leave every other byte alone.

use std::ops::Range;

/// Changes of ranges of one text.
#[derive(Default)]
pub(in crate::formats) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Puts `text` in the place of a range, which may be empty.
    pub(in crate::formats) fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.0.push((range, text.into()));
    }

    /// Returns whether a byte goes with what is replaced so far.
    pub(super) fn covers(&self, at: usize) -> bool {
        self.0.iter().any(|(range, _)| range.contains(&at))
    }

    /// Gives what is put in the line breaks of the text.
    pub(super) fn with_line_breaks_of(mut self, text: &str) -> Self {
        if text.contains("\r\n") {
            self.0.iter_mut().for_each(|(_, new)| *new = new.replace('\n', "\r\n"));
        }
        self
    }

    /// Returns a part of the text with the changes in it; `None` where they overlap, of which only one could be made, or stand elsewhere.
    pub(in crate::formats) fn apply(mut self, text: &str, part: Range<usize>) -> Option<String> {
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let (mut out, mut done) = (String::with_capacity(part.len()), part.start);
        for (range, new) in self.0 {
            out.push_str(text.get(done..range.start)?);
            out.push_str(&new);
            done = range.end;
        }
        out.push_str(text.get(done..part.end)?);
        Some(out)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_overlap_are_refused_and_those_that_touch_are_made() {
        let changed = |ranges: [Range<usize>; 2]| {
            let mut edits = Edits::default();
            ranges.into_iter().for_each(|range| edits.replace(range, "-"));
            edits.apply("abcdef", 0..6)
        };
        assert_eq!(changed([2..4, 0..2]).as_deref(), Some("--ef"));
        assert_eq!(changed([0..0, 0..2]).as_deref(), Some("--cdef"));
        for refused in [[0..3, 2..4], [0..4, 1..2], [0..1, 6..7]] {
            assert_eq!(changed(refused), None);
        }
    }
}
