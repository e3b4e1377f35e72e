//! Where the cases of a labelled set begin and end in its file: lines of JSON, the elements of one JSON list, or the records of a CSV table.

use std::io::{BufRead, Read};

use super::error::{FormatError, Origin};
use super::source::{BOM_BYTES, MAX_BYTES, unreadable};
use super::tree::Pos;

/// How a labelled set is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetFormat {
    /// A case a line.
    JsonLines,
    /// One list that holds all cases, as ShareGPT exports have it.
    JsonList,
    /// A table with a header; the byte stands between its fields.
    Csv { delimiter: u8 },
}

/// The bytes of one case and where they stand.
pub(super) struct Record {
    /// Of the first byte.
    pub at: Pos,
    pub offset: u64,
    pub bytes: Vec<u8>,
}

/// Cuts a file into records, one at a time.
pub(super) struct Records<R> {
    reader: R,
    path: String,
    format: Option<SetFormat>,
    /// Of the next byte.
    at: Pos,
    offset: u64,
    done: bool,
    /// Ends a line of a table; carriage returns alone do so in tables of old Macintosh programs.
    line_end: u8,
    /// Whether the list that holds the cases has ended.
    closed: bool,
}

/// What a byte means for the record it stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It belongs to no record.
    Skip,
    Take,
    /// The last byte of the record.
    Last,
    /// It ends the record and belongs to none.
    After,
    /// The file has no further record.
    Stop,
}

impl<R: BufRead> Records<R> {
    /// Returns the records of a set; `path` tells CSV from JSON where its extension says so, and stands in messages.
    pub fn new(reader: R, path: impl Into<String>) -> Self {
        Self {
            reader,
            path: path.into(),
            format: None,
            at: Pos { line: 1, column: 1 },
            offset: 0,
            done: false,
            line_end: b'\n',
            closed: false,
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads nothing more.
    pub fn stop(&mut self) {
        self.done = true;
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Looks at the beginning of the file, which stays to be read.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn format(&mut self) -> Result<SetFormat, FormatError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let start = self.reader.fill_buf().map_err(|error| unreadable(&error, &Origin::new(&self.path)))?;
        let bom = if start.starts_with(BOM_BYTES) { BOM_BYTES.len() } else { 0 };
        let format = format_of(&self.path, &start[bom..]);
        if matches!(format, SetFormat::Csv { .. }) && ends_lines_with_cr(start) {
            self.line_end = b'\r';
        }
        self.reader.consume(bom);
        self.offset += bom as u64;
        self.format = Some(format);
        Ok(format)
    }

    /// Returns the next record; nothing of it is decoded or checked, and it may be blank.
    ///
    /// # Errors
    /// Reading fails, the record is longer than [`MAX_BYTES`], a quote or the list is never closed, or more follows after the list; nothing
    /// can be read after that.
    pub fn next(&mut self) -> Option<Result<Record, FormatError>> {
        if self.done {
            return None;
        }
        // After an error of the medium, or inside a record without end, there is nothing to go on with.
        self.done = true;
        let record = self.format().and_then(|format| match format {
            SetFormat::JsonLines => self.line(),
            SetFormat::JsonList => self.element(),
            SetFormat::Csv { delimiter } => self.row(delimiter),
        });
        match record {
            Ok(Some(record)) => {
                self.done = false;
                Some(Ok(record))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn line(&mut self) -> Result<Option<Record>, FormatError> {
        let (at, offset) = (self.at, self.offset);
        let mut bytes = Vec::new();
        let origin = Origin::new(&self.path);
        self.reader.by_ref().take(MAX_BYTES + 1).read_until(b'\n', &mut bytes).map_err(|error| unreadable(&error, &origin))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(self.too_long(at, "the line", "write one case a line"));
        }
        self.offset += bytes.len() as u64;
        self.at.line += 1;
        Ok((!bytes.is_empty()).then_some(Record { at, offset, bytes }))
    }

    fn element(&mut self) -> Result<Option<Record>, FormatError> {
        if !self.closed {
            let mut list = ListScan::default();
            let record = self.scan(|byte| list.step(byte))?;
            self.closed = list.closed;
            if record.is_some() {
                return Ok(record);
            }
        }
        if !self.closed {
            let origin = Origin::new(&self.path);
            return Err(origin.error(self.at, "the file ends inside its list, so cases may be missing", "add the missing `]`"));
        }
        match self.scan(|byte| if byte.is_ascii_whitespace() { Step::Skip } else { Step::Last })? {
            Some(record) => {
                let message = "the list of cases has ended, and what follows it is not read";
                Err(Origin::new(&self.path).error(record.at, message, "keep all cases in one list, or write one case a line"))
            }
            None => Ok(None),
        }
    }

    fn row(&mut self, delimiter: u8) -> Result<Option<Record>, FormatError> {
        let mut table = TableScan { delimiter, line_end: self.line_end, state: Field::Start, taken: 0, quote: 0 };
        let Some(record) = self.scan(|byte| table.step(byte))? else { return Ok(None) };
        if table.state != Field::Quoted {
            return Ok(Some(record));
        }
        let line = record.at.line + record.bytes[..table.quote].iter().filter(|byte| **byte == self.line_end).count();
        let message = "a quote that opens here is never closed; the rest of the file is one record";
        let remedy = "close it, and write a quote inside quoted text twice";
        Err(FormatError { line: Some(line), ..Origin::new(&self.path).whole(message, remedy) })
    }

    fn scan(&mut self, mut step: impl FnMut(u8) -> Step) -> Result<Option<Record>, FormatError> {
        let mut record: Option<Record> = None;
        loop {
            let chunk = self.reader.fill_buf().map_err(|error| unreadable(&error, &Origin::new(&self.path)))?;
            if chunk.is_empty() {
                return Ok(record);
            }
            let (mut read, mut end) = (0, None);
            for &byte in chunk {
                let step = step(byte);
                if matches!(step, Step::Take | Step::Last) {
                    let here = || Record { at: self.at, offset: self.offset + read as u64, bytes: Vec::new() };
                    record.get_or_insert_with(here).bytes.push(byte);
                }
                read += 1;
                if byte == self.line_end {
                    self.at = Pos { line: self.at.line + 1, column: 1 };
                } else if byte & 0xC0 != 0x80 {
                    // Columns count characters, and every character has one byte that continues none.
                    self.at.column += 1;
                }
                if matches!(step, Step::Last | Step::After | Step::Stop) {
                    end = Some(step);
                    break;
                }
            }
            self.reader.consume(read);
            self.offset += read as u64;
            if end == Some(Step::Stop) {
                return Ok(None);
            }
            if end.is_some() {
                return Ok(record);
            }
            if let Some(record) = record.as_ref().filter(|record| record.bytes.len() as u64 > MAX_BYTES) {
                return Err(self.too_long(record.at, "the case", "close its brackets and quotes, or split it"));
            }
        }
    }

    fn too_long(&self, at: Pos, what: &str, remedy: &str) -> FormatError {
        Origin::new(&self.path).error(at, format!("{what} is longer than {} MiB", MAX_BYTES >> 20), remedy)
    }
}

/// Tells the format by the file's extension, or by its first bytes.
fn format_of(path: &str, start: &[u8]) -> SetFormat {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    let first = start.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let is_table = matches!(extension.as_str(), "csv" | "tsv");
    match first {
        Some(b'[') if !is_table => SetFormat::JsonList,
        Some(b'{') | None if !is_table => SetFormat::JsonLines,
        _ => {
            let header = start.trim_ascii_start();
            let header = header.split(|&byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
            let count = |delimiter: u8| header.iter().filter(|&&byte| byte == delimiter).count();
            let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',');
            // A file of another name must at least look like a header of names; anything else is JSON that went wrong.
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ' | b'"' | b'-') || *byte == delimiter;
            let looks_so = count(delimiter) > 0 && header.iter().all(is_name);
            if is_table || looks_so { SetFormat::Csv { delimiter } } else { SetFormat::JsonLines }
        }
    }
}

/// Returns whether the first line of a table ends with a carriage return alone.
fn ends_lines_with_cr(start: &[u8]) -> bool {
    let mut rest = start.trim_ascii_start().iter().skip_while(|byte| !matches!(byte, b'\r' | b'\n'));
    rest.next() == Some(&b'\r') && rest.next().is_some_and(|next| *next != b'\n')
}

/// Finds the elements of a JSON list without decoding them.
#[derive(Default)]
struct ListScan {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Inside a number or a word, which is no case but must end somewhere.
    in_word: bool,
    /// Whether the list's own closing bracket was seen.
    closed: bool,
}

impl ListScan {
    fn step(&mut self, byte: u8) -> Step {
        if self.in_string {
            let closes = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            self.in_string = !closes;
            return if closes && self.depth == 0 { Step::Last } else { Step::Take };
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' => self.depth += 1,
            // The list's own brackets stand at depth 0 too, and so do lists where cases should be.
            b'[' if self.depth > 0 => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return if self.depth == 0 { Step::Last } else { Step::Take };
            }
            b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => {
                let ends = std::mem::take(&mut self.in_word);
                self.closed = byte == b']';
                return match byte {
                    _ if ends => Step::After,
                    b']' => Step::Stop,
                    _ => Step::Skip,
                };
            }
            _ => self.in_word = self.depth == 0,
        }
        Step::Take
    }
}

/// Finds the end of a record of a table, in which a quoted field may hold line breaks (RFC 4180).
struct TableScan {
    delimiter: u8,
    line_end: u8,
    state: Field,
    /// Bytes of the record so far.
    taken: usize,
    /// Where in the record the last quoted field began.
    quote: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Start,
    Plain,
    Quoted,
    /// After a quote inside a quoted field: its end, or half of a doubled quote.
    Quote,
}

impl TableScan {
    fn step(&mut self, byte: u8) -> Step {
        self.taken += 1;
        if self.state == Field::Start && byte == b'"' {
            self.quote = self.taken - 1;
        }
        self.state = match (self.state, byte) {
            (Field::Quoted, b'"') => Field::Quote,
            (Field::Quoted, _) => Field::Quoted,
            (_, byte) if byte == self.line_end => return Step::Last,
            (Field::Start | Field::Quote, b'"') => Field::Quoted,
            (_, byte) if byte == self.delimiter => Field::Start,
            (Field::Quote, b'\r') => Field::Quote,
            _ => Field::Plain,
        };
        Step::Take
    }
}
