//! A labelled set that is open: an index of its cases, so that a set of any size opens once and its conversations stay in the file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::chat::Conversation;
use crate::chat::labelled::{Expected, LabelledCase};
use crate::dialect::says_nothing;
use crate::policy::NO_ROUTE_LABEL;

use super::digest::Digesting;
use super::error::{FormatError, Origin};
use super::labelled::{LabelledReader, NoCase, Place, Unlabelled, read_case};
use super::labelled_checks::{Duplicate, Duplicates};
use super::labelled_csv::Columns;
use super::labelled_records::{Record, SetFormat};
use super::source::{open_file, unreadable};
use super::tree::Pos;

/// What is known of a case without reading its file again: some 200 bytes.
#[derive(Clone, Debug)]
pub struct CaseEntry {
    pub place: Place,
    pub id: Arc<str>,
    /// The label of the last user message, or of each; none where nobody has given one yet.
    pub labels: Arc<[Arc<str>]>,
    /// Whether each user message has its label.
    pub per_turn: bool,
    /// Whether the case brings its own routes.
    pub own_routes: bool,
    /// Words by which reports group cases, each once.
    pub tags: Arc<[Arc<str>]>,
    /// The beginning of the last user message, on one line.
    pub preview: Arc<str>,
    column: u32,
}

impl CaseEntry {
    /// Returns whether the case can be measured.
    pub fn is_labelled(&self) -> bool {
        !self.labels.is_empty()
    }
}

/// A labelled set on disk and the index of its cases.
#[derive(Debug)]
pub struct LabelledSet {
    path: PathBuf,
    label: String,
    sha256: String,
    stamp: (u64, Option<SystemTime>),
    format: SetFormat,
    pub(super) columns: Option<Columns>,
    cases: Vec<CaseEntry>,
    unlabelled: Vec<usize>,
    bad: Vec<FormatError>,
    pub(super) duplicates: Vec<Duplicate>,
    /// Lines of the cases of which no gateway sends anything to its router, at the first of their decisions.
    pub(super) silent: Vec<usize>,
    turns: usize,
    /// Names of routes among the labels, of cases that do not bring their own routes.
    pub(super) routes: HashSet<Arc<str>>,
}

/// Characters of a preview.
const PREVIEW: usize = 100;

impl LabelledSet {
    /// Reads a set once from beginning to end. `progress` hears how many bytes of how many are read and returns whether to go on; `None`
    /// where it said no.
    ///
    /// Cases that cannot be read are kept as errors and take no other with them.
    ///
    /// # Errors
    /// The file cannot be read at all.
    pub fn open(path: &Path, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Option<Self>, FormatError> {
        Self::open_as(path, &path.display().to_string(), progress)
    }

    /// As [`Self::open`]; `label` stands for the path in messages and reports, as for a set that came through standard input.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as(path: &Path, label: &str, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Option<Self>, FormatError> {
        let file = open_file(path, label)?;
        let stamp = stamp(&file);
        let mut file = Digesting::new(file);
        let mut reader = LabelledReader::new(BufReader::with_capacity(1 << 18, &mut file), label);
        let format = reader.format()?;
        let (mut cases, mut unlabelled, mut bad, mut turns) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let (mut names, mut duplicates, mut routes) = (HashSet::new(), Duplicates::default(), HashSet::new());
        let mut silent = Vec::new();
        while let Some(case) = reader.next() {
            match case {
                Ok(case) => {
                    duplicates.add(cases.len(), &case);
                    if is_silent(&case) {
                        silent.push(reader.line());
                    }
                    let entry = entry(case, &reader, &mut names);
                    turns += entry.labels.len();
                    if !entry.own_routes {
                        routes.extend(entry.labels.iter().filter(|label| ***label != *NO_ROUTE_LABEL).cloned());
                    }
                    cases.push(entry);
                }
                Err(error) => match reader.take_unlabelled() {
                    Some(case) => {
                        unlabelled.push(cases.len());
                        cases.push(unlabelled_entry(case, &reader));
                    }
                    None => bad.push(error),
                },
            }
            // Often enough for a bar, seldom enough to cost nothing.
            if (cases.len() + bad.len()).is_multiple_of(512) && !progress(reader.bytes_read(), stamp.0) {
                return Ok(None);
            }
        }
        let columns = reader.columns().cloned();
        drop(reader);
        let origin = Origin::new(label);
        // What was not read as cases, such as the text after a list, belongs to the file all the same.
        std::io::copy(&mut file, &mut std::io::sink()).map_err(|error| unreadable(&error, &origin))?;
        let sha256 = file.finish();
        let (path, label) = (path.to_owned(), label.to_owned());
        let duplicates = duplicates.found();
        Ok(Some(Self { path, label, sha256, stamp, format, columns, cases, unlabelled, bad, duplicates, silent, turns, routes }))
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file's name for messages and reports.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the SHA-256 of the whole file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns how the set is written.
    pub fn format(&self) -> SetFormat {
        self.format
    }

    /// Returns the cases in the order of the file, those without a label too: a case keeps its position when it is labelled.
    pub fn cases(&self) -> &[CaseEntry] {
        &self.cases
    }

    /// Returns the positions of the cases that have no label yet, which are not measured.
    pub fn unlabelled(&self) -> &[usize] {
        &self.unlabelled
    }

    /// Returns how many cases can be measured.
    pub fn labelled(&self) -> usize {
        self.cases.len() - self.unlabelled.len()
    }

    /// Returns what is wrong with the other lines, in the order of the file.
    pub fn bad(&self) -> &[FormatError] {
        &self.bad
    }

    /// Returns how many decisions it takes to measure the first `limit` cases, or all.
    pub fn turns(&self, limit: Option<usize>) -> usize {
        match limit {
            Some(limit) => self.cases.iter().filter(|case| case.is_labelled()).take(limit).map(|case| case.labels.len()).sum(),
            None => self.turns,
        }
    }

    /// Returns whether cases have a label for each user message, so that span and conversation accuracy mean something.
    pub fn is_per_turn(&self) -> bool {
        self.cases.iter().any(|case| case.per_turn)
    }

    /// Returns a reader of whole cases.
    ///
    /// # Errors
    /// The file cannot be opened, or was changed since the set was opened.
    pub fn reader(&self) -> Result<CaseReader, FormatError> {
        let file = open_file(&self.path, &self.label)?;
        if stamp(&file) != self.stamp {
            return Err(Origin::new(&self.label).whole("the file was changed since it was opened", "open the set again"));
        }
        Ok(CaseReader {
            file: BufReader::with_capacity(1 << 16, file),
            position: 0,
            label: self.label.clone(),
            columns: self.columns.clone(),
        })
    }

    /// Returns one whole case.
    ///
    /// # Errors
    /// There is no such case, or as [`Self::reader`] and [`CaseReader::read`].
    pub fn read(&self, case: usize) -> Result<LabelledCase, FormatError> {
        self.read_any(case)?.map_err(NoCase::into_error)
    }

    /// Returns what was said in one case, which may have no label yet.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn conversation(&self, case: usize) -> Result<Conversation, FormatError> {
        match self.read_any(case)? {
            Ok(case) => Ok(case.conversation),
            Err(NoCase::Unlabelled(case, _)) => Ok(case.conversation),
            Err(NoCase::Bad(error)) => Err(error),
        }
    }

    fn read_any(&self, case: usize) -> Result<Result<LabelledCase, NoCase>, FormatError> {
        let missing = || Origin::new(&self.label).whole(format!("there is no case {case}"), "open the set again");
        let entry = self.cases.get(case).ok_or_else(missing)?;
        let record = self.reader()?.record(entry)?;
        Ok(read_case(record, self.columns.as_ref(), &entry.id, &self.label))
    }
}

/// Reads whole cases of a [`LabelledSet`] from its file; fastest in the order of the file.
#[derive(Debug)]
pub struct CaseReader {
    file: BufReader<File>,
    position: u64,
    label: String,
    columns: Option<Columns>,
}

impl CaseReader {
    /// Reads the case of an entry.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else at that place by now.
    pub fn read(&mut self, entry: &CaseEntry) -> Result<LabelledCase, FormatError> {
        read_case(self.record(entry)?, self.columns.as_ref(), &entry.id, &self.label).map_err(NoCase::into_error)
    }

    /// Returns the length of the file and its last byte; an empty file counts as ended by a line feed.
    pub(super) fn end(&mut self) -> Result<(u64, u8), FormatError> {
        let failed = |error| unreadable(&error, &Origin::new(&self.label));
        let size = self.file.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut last = [b'\n'];
        if size > 0 {
            self.file.seek(SeekFrom::Start(size - 1)).and_then(|_| self.file.read_exact(&mut last)).map_err(failed)?;
        }
        self.position = size;
        Ok((size, last[0]))
    }

    pub(super) fn record(&mut self, entry: &CaseEntry) -> Result<Record, FormatError> {
        let Place { line, offset, len } = entry.place;
        let mut bytes = vec![0; len];
        let step = offset as i64 - self.position as i64;
        let read = self.file.seek_relative(step).and_then(|()| self.file.read_exact(&mut bytes));
        if let Err(error) = read {
            // Wherever the failed read left the file.
            self.position = self.file.seek(SeekFrom::Start(0)).unwrap_or_default();
            return Err(unreadable(&error, &Origin::new(&self.label)));
        }
        self.position = offset + len as u64;
        Ok(Record { at: Pos { line, column: entry.column as usize }, offset, bytes })
    }
}

fn entry<R: std::io::BufRead>(case: LabelledCase, reader: &LabelledReader<R>, names: &mut HashSet<Arc<str>>) -> CaseEntry {
    let per_turn = matches!(case.expected, Expected::PerTurn(_));
    let labels = match case.expected {
        Expected::Last(label) => vec![label],
        Expected::PerTurn(labels) => labels,
    };
    let labels = labels.into_iter().map(|label| shared(label, names)).collect();
    let own_routes = case.routes.is_some();
    let mut tags: Vec<Arc<str>> = Vec::new();
    for tag in case.tags {
        // A table of results keeps them with semicolons between.
        let tag = shared(tag.trim().replace(';', ","), names);
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let column = column(reader);
    let preview = conversation_preview(&case.conversation);
    CaseEntry { place: reader.place(), id: case.id.into(), labels, per_turn, own_routes, tags: tags.into(), preview, column }
}

/// Returns whether nothing of a case reaches a router when it is first asked about it.
fn is_silent(case: &LabelledCase) -> bool {
    let mut turns = case.conversation.user_turns();
    let first = match &case.expected {
        Expected::Last(_) => turns.last(),
        Expected::PerTurn(_) => turns.next(),
    };
    first.is_some_and(|first| says_nothing(&case.conversation.messages[..=first]))
}

fn unlabelled_entry<R: std::io::BufRead>(case: Unlabelled, reader: &LabelledReader<R>) -> CaseEntry {
    CaseEntry {
        place: reader.place(),
        id: case.id.into(),
        labels: Arc::default(),
        per_turn: false,
        own_routes: false,
        tags: Arc::default(),
        preview: conversation_preview(&case.conversation),
        column: column(reader),
    }
}

fn column<R: std::io::BufRead>(reader: &LabelledReader<R>) -> u32 {
    u32::try_from(reader.column()).unwrap_or(1)
}

/// A set has many cases and few labels and tags.
fn shared(name: String, names: &mut HashSet<Arc<str>>) -> Arc<str> {
    if let Some(known) = names.get(name.as_str()) {
        return Arc::clone(known);
    }
    let name: Arc<str> = name.into();
    names.insert(Arc::clone(&name));
    name
}

/// Returns the beginning of the last user message, on one line.
pub fn conversation_preview(conversation: &Conversation) -> Arc<str> {
    let last = conversation.user_turns().last().map(|at| conversation.messages[at].text()).unwrap_or_default();
    let mut preview = String::new();
    for (count, c) in last.trim().chars().take(PREVIEW).enumerate() {
        preview.push(if c.is_whitespace() || c.is_control() { ' ' } else { c });
        if count + 1 == PREVIEW {
            preview.push('…');
        }
    }
    preview.into()
}

fn stamp(file: &File) -> (u64, Option<SystemTime>) {
    file.metadata().map_or((0, None), |metadata| (metadata.len(), metadata.modified().ok()))
}
