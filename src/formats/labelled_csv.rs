//! Cases in a CSV table: a header, then a prompt and its label on each record.

use csv::{ReaderBuilder, StringRecord};

use crate::chat::Conversation;
use crate::chat::labelled::{Expected, LabelledCase};
use crate::policy::NO_ROUTE_LABEL;

use super::conversation::parse_conversation;
use super::error::{FormatError, Origin};
use super::labelled_records::Record;
use super::source::into_utf8;
use super::tree::quoted;

/// Which field of a record is what.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    delimiter: u8,
    /// Between records where these do not end with both, as [`Columns::written`] is told.
    line_end: u8,
    count: usize,
    text: usize,
    /// Whether the text is a list of messages in JSON.
    is_conversation: bool,
    pub label: usize,
    id: Option<usize>,
    tags: Option<usize>,
}

const TEXTS: [&str; 6] = ["text", "prompt", "query", "question", "utterance", "message"];
const CONVERSATIONS: [&str; 3] = ["messages", "conversation", "conversations"];
const LABELS: [&str; 6] = ["label", "route", "expected", "expected_route", "category", "intent"];

impl Columns {
    /// Reads the header.
    ///
    /// # Errors
    /// A column for the text or for the label is missing.
    pub fn of_header(record: &Record, delimiter: u8, path: &str) -> Result<Self, FormatError> {
        let fields = fields(record, delimiter, &Origin::new(path))?;
        let find = |names: &[&str]| names.iter().find_map(|name| fields.iter().position(|field| field.trim().eq_ignore_ascii_case(name)));
        let missing = |what: &str| {
            let found = fields.iter().map(quoted).collect::<Vec<_>>().join(", ");
            let message = format!("the header {found} has no column for the {what}");
            at_line(record, path, message, "name the columns in the first line: text,label")
        };
        let conversation = find(&CONVERSATIONS);
        Ok(Self {
            delimiter,
            line_end: if record.bytes.ends_with(b"\r") { b'\r' } else { b'\n' },
            count: fields.len(),
            text: conversation.or_else(|| find(&TEXTS)).ok_or_else(|| missing("text"))?,
            is_conversation: conversation.is_some(),
            label: find(&LABELS).ok_or_else(|| missing("label"))?,
            id: find(&["id"]),
            tags: find(&["tags"]),
        })
    }

    /// Returns the record with another label, its other fields as they were; line ends and quotes are written anew.
    ///
    /// # Errors
    /// As [`case`].
    pub fn with_label(&self, record: &Record, label: &str, path: &str) -> Result<Vec<u8>, FormatError> {
        let read = fields(record, self.delimiter, &Origin::new(path))?;
        let fields = read.iter().enumerate().map(|(index, field)| if index == self.label { label } else { field });
        Ok(self.written(fields, record.bytes.ends_with(b"\r\n")))
    }

    /// Returns a new record; fields without a value stay empty.
    pub fn new_record(&self, id: &str, text: &str, label: &str, crlf: bool) -> Vec<u8> {
        let value = |index: usize| match index {
            index if index == self.label => label,
            index if index == self.text => text,
            index if Some(index) == self.id => id,
            _ => "",
        };
        self.written((0..self.count).map(value), crlf)
    }

    /// Returns the byte that ends a record.
    pub fn line_end(&self) -> u8 {
        self.line_end
    }

    /// Returns whether the table keeps whole conversations.
    pub fn keeps_conversations(&self) -> bool {
        self.is_conversation
    }

    fn written<'f>(&self, fields: impl Iterator<Item = &'f str>, crlf: bool) -> Vec<u8> {
        let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(self.line_end) };
        let mut writer = csv::WriterBuilder::new().delimiter(self.delimiter).terminator(end).from_writer(Vec::new());
        // Writing to memory cannot fail, and one record has no other length than itself.
        writer.write_record(fields).ok();
        writer.into_inner().unwrap_or_default()
    }
}

/// Reads the record of one case; `id` is for a record that says none.
///
/// # Errors
/// The number of fields is another than the header's, the text or the label is empty, or the conversation cannot be read.
pub(super) fn case(record: &Record, columns: &Columns, id: &str, origin: &mut Origin<'_>) -> Result<LabelledCase, FormatError> {
    let path = origin.path();
    let fields = fields(record, columns.delimiter, origin)?;
    if fields.len() != columns.count {
        let message = format!("the record has {} fields where the header has {}", fields.len(), columns.count);
        return Err(at_line(record, path, message, "put text that holds the delimiter in double quotes"));
    }
    let field = |index: usize| fields.get(index).unwrap_or_default();
    let label = field(columns.label).trim();
    if label.is_empty() {
        let remedy = format!("write {NO_ROUTE_LABEL:?} when no route fits");
        return Err(at_line(record, path, "the record has no label", &remedy));
    }
    let text = field(columns.text);
    if text.trim().is_empty() {
        return Err(at_line(record, path, "the record has no text", "write what the user says"));
    }
    let conversation = if columns.is_conversation {
        let (conversation, _) =
            parse_conversation(text, path).map_err(|error| FormatError { line: Some(record.at.line), column: None, ..error })?;
        conversation
    } else {
        Conversation::from_prompt(text)
    };
    let id = columns.id.map(field).filter(|id| !id.is_empty()).unwrap_or(id).to_owned();
    let tags = columns.tags.map_or("", field).split([';', ',']).map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    Ok(LabelledCase { id, conversation, expected: Expected::Last(label.to_owned()), routes: None, tags })
}

fn fields(record: &Record, delimiter: u8, origin: &Origin<'_>) -> Result<StringRecord, FormatError> {
    let text = into_utf8(record.bytes.clone(), "the record", record.at.line, origin)?;
    let mut reader = ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut fields = StringRecord::new();
    match reader.read_record(&mut fields) {
        Ok(_) => Ok(fields),
        Err(error) => Err(at_line(record, origin.path(), format!("the record cannot be read ({error})"), "check its quotes")),
    }
}

fn at_line(record: &Record, path: &str, message: impl Into<String>, remedy: &str) -> FormatError {
    FormatError { line: Some(record.at.line), ..Origin::new(path).whole(message, remedy) }
}
