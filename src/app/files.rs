//! Opening and saving: the text of a file becomes a document and back, and what goes wrong becomes a sentence.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::session::App;
use super::sets::is_set;
use super::stamp::{changed, read_stamped, write_stamped};
use super::state::{Dialog, Question};
use super::{Answer, DocId, Document, FileStamp, Import, ImportSource, LARGE_TEXT, Log, PolicyText, Tab};
use crate::chat::Conversation;
use crate::formats::{
    FormatError, Understood, Warning, find_conversations, looks_like_gateway, parse_conversation, parse_policy, read_export, read_text,
    write_conversation,
};

/// Files that the menu of recent files remembers.
const RECENT: usize = 12;

impl App {
    /// Opens a file: a router, a policy, a gateway's configuration that holds one, a labelled set, or a conversation where the text is one.
    pub(super) fn open(&mut self, path: &Path) {
        let path: &Path = &absolute(path);
        // What is dropped on the list of routers is for it.
        if matches!(self.state.dialog, None | Some(Dialog::Routers)) && self.open_as_router(path) {
            return;
        }
        if self.state.dialog.is_some() {
            return self.waiting.push_back(path.to_owned());
        }
        if let Some(index) = self.state.conversations.iter().position(|document| document.path.as_deref() == Some(path)) {
            self.show_conversation(index);
            self.show_conversation_tab();
            return self.check_disk();
        }
        if is_large(path) && has_extension(path, &["txt", "md", "json", "jsonl"]) {
            let file = path.to_owned();
            let took = move |app: &mut Self, held| app.take(&file, held);
            let file = path.to_owned();
            return self.read_aside(source_of(path), move || look_into(&file), took);
        }
        let held = look_into(path);
        self.take(path, held);
    }

    pub(super) fn open_policy(&mut self, path: &Path) {
        if let Some(index) = self.state.policies.iter().position(|document| document.path.as_deref() == Some(path)) {
            self.show_policy(index);
            self.show_tab(Tab::Policy);
            return self.check_disk();
        }
        let read = read_stamped(path, read_text);
        let Ok((text, stamp)) = read.map_err(|error| self.state.log.error(error.to_string())) else { return };
        let name = path.display().to_string();
        if looks_like_gateway(&text, &name) {
            return self.open_gateway(path, &text);
        }
        let Ok((policy, warnings)) = parse_policy(&text, &name).map_err(|error| self.state.log.error(error.to_string())) else { return };
        note(&warnings, &mut self.state.log);
        let id = self.next_id();
        let mut document = Document::new(id, stem(path), PolicyText::from_file(policy, &text)).in_file(path.to_owned(), Some(stamp));
        document.follow_name();
        self.add_policy(document);
        self.remember(path);
    }

    fn take(&mut self, path: &Path, held: Result<Held, FormatError>) {
        match held {
            Ok(Held::Set) => self.show_set(path),
            Ok(Held::Policy) => self.open_policy(path),
            Ok(Held::Conversation(conversation, warnings, stamp)) => self.take_conversation(path, conversation, &warnings, stamp),
            Ok(Held::Many(understood)) => {
                let source = Arc::new(source_of(path));
                self.state.dialog = Some(Dialog::Import(Import::of_source(source, Some(Ok(understood)))));
            }
            Err(error) => self.state.log.error(error.to_string()),
        }
    }

    fn take_conversation(&mut self, path: &Path, conversation: Conversation, warnings: &[Warning], stamp: FileStamp) {
        note(warnings, &mut self.state.log);
        let document = Document::new(self.next_id(), stem(path), conversation).in_file(path.to_owned(), Some(stamp));
        self.add_conversation(document);
        self.remember(path);
    }

    /// Writes a document to its file; one without a file, or whose file holds another format, is for the window to ask where.
    pub(super) fn save(&mut self, id: DocId) {
        let Some(path) = self.path_of(id) else { return };
        if let Some(beside) = self.state.save_beside(id) {
            let (path, beside) = (path.display(), beside.display());
            self.state.log.info(format!("{path} will not be overwritten, because it holds another format; save as {beside} instead"));
        } else if let Some(found) = self.changed_on_disk(id) {
            self.state.dialog = Some(Dialog::Question(Question::Changed { document: id, found, saving: true }));
        } else {
            self.save_to(id, &path);
        }
    }

    pub(super) fn save_to(&mut self, id: DocId, path: &Path) {
        let path: &Path = &absolute(path);
        // A file that could not be opened again would be no way to save.
        let (text, readable) = if let Some(document) = self.state.policies.iter().find(|document| document.id == id) {
            let yaml = document.text.yaml().to_string();
            let readable = parse_policy(&yaml, &document.title).map(drop);
            (yaml, readable)
        } else if let Some(document) = self.state.conversations.iter().find(|document| document.id == id) {
            let json = write_conversation(&document.text);
            let readable = parse_conversation(&json, &document.title).map(drop);
            (json, readable)
        } else {
            return;
        };
        if let Err(error) = readable {
            return self.state.log.error(format!("Not saved, because it could not be opened again: {error}. It stays open unchanged"));
        }
        let stamp = match write_stamped(path, &text) {
            Ok(stamp) => stamp,
            Err(error) => {
                return self.state.log.error(format!("{} could not be saved ({error}); choose another folder", path.display()));
            }
        };
        self.placed(id, path, stamp);
        self.remember(path);
        self.tell_saved(format!("Saved to {}", path.display()));
    }

    /// Notes that a document is what its file holds.
    fn placed(&mut self, id: DocId, path: &Path, stamp: Option<FileStamp>) {
        fn place<T>(document: &mut Document<T>, path: &Path, stamp: Option<FileStamp>) {
            // Only another file renames it: the user may have chosen the title since.
            if document.path.as_deref() != Some(path) {
                document.rename(stem(path));
            }
            document.path = Some(path.to_owned());
            document.stamp = stamp;
            document.mark_saved();
        }
        if let Some(document) = self.state.policies.iter_mut().find(|document| document.id == id) {
            place(document, path, stamp);
            document.follow_name();
        } else if let Some(document) = self.state.conversations.iter_mut().find(|document| document.id == id) {
            place(document, path, stamp);
        }
    }

    pub(super) fn remember(&mut self, path: &Path) {
        let path = path.to_owned();
        self.change_settings(|settings| {
            settings.recent.retain(|recent| *recent != path);
            settings.recent.insert(0, path);
            settings.recent.truncate(RECENT);
        });
    }

    pub(super) fn no_file_dialog(&mut self) {
        let remedy = "install xdg-desktop-portal or zenity, drop files on the window, or start with: waypost gui FILE";
        self.state.log.error(format!("No file dialog could be opened; {remedy}"));
    }

    fn path_of(&self, id: DocId) -> Option<PathBuf> {
        let policy = self.state.policies.iter().find(|document| document.id == id).map(|document| document.path.clone());
        let conversation = || self.state.conversations.iter().find(|document| document.id == id).map(|document| document.path.clone());
        policy.or_else(conversation).flatten()
    }

    /// Returns what a document's file is, where another program changed it.
    fn changed_on_disk(&self, id: DocId) -> Option<FileStamp> {
        let policy = self.state.policies.iter().find(|document| document.id == id);
        let conversation = self.state.conversations.iter().find(|document| document.id == id);
        let policy = policy.and_then(|document| changed(document, |text| text.yaml().to_string()));
        policy.or_else(|| conversation.and_then(|document| changed(document, write_conversation)))
    }

    /// Asks about the first document whose file another program changed; called when the window gets the focus back.
    pub fn check_disk(&mut self) {
        let documents = self.documents();
        self.ask_about_disk(&documents);
    }

    fn ask_about_disk(&mut self, documents: &[DocId]) {
        if self.state.dialog.is_some() {
            return;
        }
        let changed = documents.iter().find_map(|&document| Some((document, self.changed_on_disk(document)?)));
        if let Some((document, found)) = changed {
            self.state.dialog = Some(Dialog::Question(Question::Changed { document, found, saving: false }));
        }
    }

    fn documents(&self) -> Vec<DocId> {
        let policies = self.state.policies.iter().map(|document| document.id);
        policies.chain(self.state.conversations.iter().map(|document| document.id)).collect()
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        let Some(Dialog::Question(question)) = self.state.dialog.take() else { return };
        match (question.clone(), answer) {
            (Question::Close(id), Answer::Discard) => self.close_now(id),
            (Question::Close(id), Answer::Save) => {
                self.save(id);
                let policy = self.state.policies.iter().any(|document| document.id == id && !document.is_modified());
                if policy || self.state.conversations.iter().any(|document| document.id == id && !document.is_modified()) {
                    self.close_now(id);
                }
            }
            (Question::DeleteRun(id), Answer::Discard) => self.delete_run(&id),
            (Question::CloseWindow(_), Answer::Discard) => self.leaving = true,
            (Question::Changed { document, .. }, Answer::LoadFile) => self.reload(document),
            (Question::Changed { document, found, saving }, Answer::KeepMine) => self.keep_mine(document, found, saving),
            _ => {}
        }
        // A checkout changes many files at once. The one that was just answered about is not asked about twice, even if it cannot be read.
        if let Question::Changed { document, .. } = question {
            let documents = self.documents();
            let next = documents.iter().position(|id| *id == document).map_or(0, |at| at + 1);
            self.ask_about_disk(&documents[next..]);
        }
    }

    /// Keeps the text that is here beside what the file was when that was asked. What was written since is asked about before it is overwritten.
    fn keep_mine(&mut self, id: DocId, found: FileStamp, saving: bool) {
        if let Some(document) = self.state.policies.iter_mut().find(|document| document.id == id) {
            document.stamp = Some(found);
            document.mark_modified();
        } else if let Some(document) = self.state.conversations.iter_mut().find(|document| document.id == id) {
            document.stamp = Some(found);
            document.mark_modified();
        }
        self.texts_changed();
        if saving {
            self.save(id);
        }
    }

    /// Takes the file's text in place of the present one, as a step that can be undone.
    fn reload(&mut self, id: DocId) {
        let Some(path) = self.path_of(id) else { return };
        let stamp = if let Some(document) = self.state.policies.iter_mut().find(|document| document.id == id) {
            let Some((text, stamp, (policy, warnings))) = read(&path, parse_policy, &mut self.state.log) else { return };
            note(&warnings, &mut self.state.log);
            document.replace(PolicyText::from_file(policy, &text), "file", None);
            document.follow_name();
            stamp
        } else if let Some(document) = self.state.conversations.iter_mut().find(|document| document.id == id) {
            let Some((_, stamp, (conversation, warnings))) = read(&path, parse_conversation, &mut self.state.log) else { return };
            note(&warnings, &mut self.state.log);
            document.replace(conversation, "file", None);
            stamp
        } else {
            return;
        };
        self.placed(id, &path, Some(stamp));
        self.state.turn = None;
        self.texts_changed();
    }
}

fn bytes_in(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Returns the path as it stays right in another working directory: drafts, recent files and settings outlive this one.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

pub(super) fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().is_some_and(|extension| wanted.iter().any(|wanted| extension.eq_ignore_ascii_case(wanted)))
}

/// What a file holds.
enum Held {
    Set,
    /// Or a gateway's configuration.
    Policy,
    Conversation(Conversation, Vec<Warning>, FileStamp),
    /// An export of many conversations: the user picks.
    Many(Understood),
}

/// Finds out what a file holds, and reads it where that is conversations.
fn look_into(path: &Path) -> Result<Held, FormatError> {
    let is_json = has_extension(path, &["json", "jsonl"]);
    if is_set(path) {
        return Ok(Held::Set);
    }
    if !has_extension(path, &["txt", "md"]) && (!is_json || holds_policy(path)) {
        return Ok(Held::Policy);
    }
    let read: fn(&Path) -> Result<String, FormatError> = if is_json { read_export } else { read_text };
    let (text, stamp) = read_stamped(path, read)?;
    let name = path.display().to_string();
    match parse_conversation(&text, &name) {
        Ok((conversation, warnings)) => Ok(Held::Conversation(conversation, warnings, stamp)),
        Err(error) => find_conversations(&text, &name).map(Held::Many).map_err(|_| error),
    }
}

/// Returns whether reading a file would stop the window for long enough to be noticed.
fn is_large(path: &Path) -> bool {
    bytes_in(path) > LARGE_TEXT
}

fn source_of(path: &Path) -> ImportSource {
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    ImportSource { name, bytes: bytes_in(path) }
}

/// Returns whether a file is to be opened as a policy, or as a configuration that holds one; a large one of JSON is looked into later.
pub(super) fn is_policy(path: &Path) -> bool {
    has_extension(path, &["yaml", "yml"]) || (has_extension(path, &["json"]) && !is_large(path) && holds_policy(path))
}

/// A policy may be JSON too: the model card's own example is, and what some gateways read.
fn holds_policy(path: &Path) -> bool {
    let name = path.display().to_string();
    read_text(path).is_ok_and(|text| looks_like_gateway(&text, &name) || parse_policy(&text, &name).is_ok())
}

type Parsed<T> = Result<(T, Vec<Warning>), FormatError>;

fn read<T>(path: &Path, parse: impl Fn(&str, &str) -> Parsed<T>, log: &mut Log) -> Option<(String, FileStamp, (T, Vec<Warning>))> {
    let (text, stamp) = read_stamped(path, read_text).map_err(|error| log.error(error.to_string())).ok()?;
    let parsed = parse(&text, &path.display().to_string()).map_err(|error| log.error(error.to_string())).ok()?;
    Some((text, stamp, parsed))
}

fn note(warnings: &[Warning], log: &mut Log) {
    warnings.iter().for_each(|warning| log.info(warning.to_string()));
}

/// Returns a file's name as a title.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned())
}

/// Returns the file's name that a save dialog proposes.
pub fn proposed_name(title: &str, extension: &str) -> String {
    let safe: String = title.chars().map(|c| if c.is_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '_' }).collect();
    format!("{}.{extension}", safe.trim_matches('_'))
}
