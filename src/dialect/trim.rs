//! Cutting the middle out of a message that is too long for the budget.

/// What stands for the part that was cut: U+2026, three bytes.
const MARK: &str = "…";

/// How much of a message was sent. All sizes are UTF-8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Size of the message before the cut.
    pub original_bytes: usize,
    /// Kept from the start.
    pub head_bytes: usize,
    /// Kept from the end. Zero without a mark where there was room for no mark.
    pub tail_bytes: usize,
}

impl Trim {
    /// Returns the bytes of the message that were not sent.
    pub fn cut_bytes(self) -> usize {
        self.original_bytes - self.head_bytes - self.tail_bytes
    }
}

/// Returns `text` in at most `max_bytes` bytes, and what was kept of it; `None` beside a text that fits whole.
///
/// Three bytes go to the mark `…`, three fifths of the others to the start, the rest to the end. Cuts move to the nearest character
/// boundary that keeps less; what the start loses by that goes to the end. With no room for more than the mark, the start alone is kept.
/// Source: Plano 0.4.20, orchestrator_model_v1.rs, `trim_middle_utf8`.
pub fn trim_middle(text: &str, max_bytes: usize) -> (String, Option<Trim>) {
    if text.len() <= max_bytes {
        return (text.to_owned(), None);
    }
    let original_bytes = text.len();
    if max_bytes <= MARK.len() {
        let head = &text[..text.floor_char_boundary(max_bytes)];
        return (head.to_owned(), Some(Trim { original_bytes, head_bytes: head.len(), tail_bytes: 0 }));
    }
    let room = max_bytes - MARK.len();
    let head = &text[..text.floor_char_boundary(room * 3 / 5)];
    let tail = &text[text.ceil_char_boundary(original_bytes - (room - head.len()))..];
    let trim = Trim { original_bytes, head_bytes: head.len(), tail_bytes: tail.len() };
    (format!("{head}{MARK}{tail}"), Some(trim))
}
