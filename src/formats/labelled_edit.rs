//! Changes to the file of a labelled set that leave every other byte as it was: a corrected label, a new case.

use crate::chat::Conversation;
use crate::chat::labelled::Expected;

use super::conversation::messages_json;
use super::error::{FormatError, Origin};
use super::json;
use super::labelled::{label_span, labels_missing, null_label};
use super::labelled_csv::Columns;
use super::labelled_records::SetFormat;
use super::labelled_set::LabelledSet;
use super::source::into_utf8;
use super::tree::json_text;

/// Bytes of a set's file to put others in the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetEdit {
    pub offset: u64,
    /// How many bytes go.
    pub len: usize,
    pub bytes: Vec<u8>,
}

/// What stands before the first label of a case.
const BEFORE_FIRST: &str = ", \"route\": ";

impl LabelledSet {
    /// Returns the change that gives a turn of a case another label. `turn` counts the labelled user messages of the case from 0; where none
    /// has a label, turn 0 is the last user message and gets its first one.
    ///
    /// # Errors
    /// The case cannot be read again, or has no such turn.
    pub fn relabel(&self, case: usize, turn: usize, label: &str) -> Result<SetEdit, FormatError> {
        let origin = Origin::new(self.label());
        let missing = || origin.whole(format!("case {case} has no turn {turn}"), "open the set again");
        let entry = self.cases().get(case).filter(|entry| turn < entry.labels.len().max(1)).ok_or_else(missing)?;
        let record = self.reader()?.record(entry)?;
        if let Some(columns) = &self.columns {
            let mut bytes = columns.with_label(&record, label, self.label())?;
            // The last record of a file may lack its line end; tabs before it are empty fields.
            if record.bytes.last() != Some(&columns.line_end()) {
                bytes.pop_if(|byte| *byte == columns.line_end());
            }
            return Ok(SetEdit { offset: record.offset, len: record.bytes.len(), bytes });
        }
        let text = into_utf8(record.bytes, "the line", record.at.line, &origin)?;
        if !entry.is_labelled() {
            // A key that waits for its value takes it.
            if let Some(span) = null_label(&json::parse(text.trim_end(), 1, &origin)?, &text) {
                return Ok(SetEdit { offset: record.offset + span.start as u64, len: span.len(), bytes: json_text(label).into_bytes() });
            }
            // Behind the last value of the object, which has a conversation at least.
            let end = text.rfind('}').map(|brace| text[..brace].trim_end().len()).ok_or_else(missing)?;
            let bytes = format!("{BEFORE_FIRST}{}", json_text(label)).into_bytes();
            return Ok(SetEdit { offset: record.offset + end as u64, len: 0, bytes });
        }
        let span = label_span(&json::parse(text.trim_end(), 1, &origin)?, &text, turn).ok_or_else(missing)?;
        Ok(SetEdit { offset: record.offset + span.start as u64, len: span.len(), bytes: json_text(label).into_bytes() })
    }

    /// Returns the change that takes away the label which [`Self::relabel`] gave a case as its first one; `None` where the case has none. Where
    /// the label took the place of a value, it becomes `null`, which counts as left out.
    ///
    /// # Errors
    /// The case cannot be read again, or has a label for each user message, which Waypost gives no case as its first ones.
    pub fn unlabel(&self, case: usize) -> Result<Option<SetEdit>, FormatError> {
        let origin = Origin::new(self.label());
        let missing = || origin.whole(format!("case {case} has no label that Waypost gave it"), "take the label out of the file by hand");
        let entry = self.cases().get(case).ok_or_else(missing)?;
        if !entry.is_labelled() {
            return Ok(None);
        }
        let record = self.reader()?.record(entry)?;
        let text = into_utf8(record.bytes, "the line", record.at.line, &origin)?;
        let label = label_span(&json::parse(text.trim_end(), 1, &origin)?, &text, 0).ok_or_else(missing)?;
        let before = text.get(..label.start).and_then(|before| before.strip_suffix(BEFORE_FIRST));
        let (start, bytes) = match before {
            Some(before) => (before.len(), Vec::new()),
            None if entry.per_turn => return Err(missing()),
            None => (label.start, b"null".to_vec()),
        };
        Ok(Some(SetEdit { offset: record.offset + start as u64, len: label.end - start, bytes }))
    }

    /// Returns the change that adds a case at the end, with a label for its last user message or one for each.
    ///
    /// # Errors
    /// The set is a table of single prompts and the conversation is more than one, or there is to be a label for each user message and the
    /// set is a table or there are not as many labels.
    pub fn append(&self, id: &str, conversation: &Conversation, expected: &Expected) -> Result<SetEdit, FormatError> {
        let origin = Origin::new(self.label());
        if let Some(message) = labels_missing(expected, conversation) {
            return Err(origin.whole(message, "write one label per user message"));
        }
        let (size, last) = self.reader()?.end()?;
        let line_end = self.columns.as_ref().map_or(b'\n', Columns::line_end);
        let before = if last == line_end { String::new() } else { char::from(line_end).to_string() };
        let insert = |offset: u64, text: String| SetEdit { offset, len: 0, bytes: text.into_bytes() };
        match (self.format(), &self.columns) {
            (SetFormat::Csv { .. }, Some(columns)) => {
                let text = match conversation.messages.as_slice() {
                    _ if columns.keeps_conversations() => messages_line(conversation),
                    [only] => only.text().into_owned(),
                    _ => {
                        let message = "a table of texts holds one prompt a record, and this conversation has several messages";
                        return Err(origin.whole(message, "keep conversations in a set of JSON lines (*.jsonl)"));
                    }
                };
                let Expected::Last(label) = expected else {
                    let message = "a table holds one label a record, and this conversation has one for each user message";
                    return Err(origin.whole(message, "keep such conversations in a set of JSON lines (*.jsonl)"));
                };
                let record = columns.new_record(id, &text, label, false);
                Ok(insert(size, before + &String::from_utf8_lossy(&record)))
            }
            (SetFormat::JsonList, _) => {
                let (offset, comma) =
                    self.cases().iter().map(|case| (case.place.offset + case.place.len as u64, ",")).next_back().unwrap_or((size, ""));
                if comma.is_empty() {
                    return Err(origin.whole("the list has no case yet", "add the first one by hand, or use a set of JSON lines (*.jsonl)"));
                }
                Ok(insert(offset, format!("{comma}\n{}", case_json(id, conversation, expected))))
            }
            _ => Ok(insert(size, format!("{before}{}\n", case_json(id, conversation, expected)))),
        }
    }
}

/// Returns a case as a line of a labelled set, without its line feed; where each user message has a label there must be as many.
pub fn case_json(id: &str, conversation: &Conversation, expected: &Expected) -> String {
    let expected = match expected {
        Expected::Last(label) => format!("\"route\": {}", json_text(label)),
        Expected::PerTurn(labels) => {
            let labels: Vec<String> = labels.iter().map(|label| json_text(label)).collect();
            format!("\"labels\": [{}]", labels.join(", "))
        }
    };
    format!("{{\"id\": {}, \"messages\": {}, {expected}}}", json_text(id), messages_line(conversation))
}

/// Returns a case that nobody has labelled yet as a line of a set, without its line feed.
pub fn unlabelled_json(id: &str, conversation: &Conversation) -> String {
    format!("{{\"id\": {}, \"messages\": {}}}", json_text(id), messages_line(conversation))
}

/// Returns the messages as a JSON list on one line.
fn messages_line(conversation: &Conversation) -> String {
    // JSON that this library wrote: line feeds stand between its tokens only.
    let messages: serde_json::Value = serde_json::from_str(&messages_json(conversation)).unwrap_or_default();
    messages.to_string()
}
