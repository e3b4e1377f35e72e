//! An open document: its present text, what it was before, and the file it comes from.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Identifies an open document while Waypost runs; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId(pub u64);

/// What a file was when it was last read or written, to notice that another program changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    pub modified: Option<SystemTime>,
    pub bytes: u64,
    /// The first bytes of the SHA-256 of its text, which tell a file that was changed from one that was only touched; `None` in drafts of older
    /// versions.
    pub digest: Option<u64>,
}

/// Steps that can be undone. A step shares most of its memory with nothing, so there is a limit.
const STEPS: usize = 300;
/// Keystrokes with a longer pause between them are undone apart.
const PAUSE: Duration = Duration::from_millis(1200);

/// Tells keystrokes in one field from those in another: the change's label and the position of what it changes.
pub type Typing = (&'static str, usize);

/// An open document.
///
/// The text is shared with running jobs and shown decisions, so it is replaced, never changed, by an edit.
#[derive(Clone, Debug)]
pub struct Document<T> {
    pub id: DocId,
    pub title: String,
    /// What it is called where its text says nothing.
    given: String,
    pub path: Option<PathBuf>,
    pub stamp: Option<FileStamp>,
    pub text: Arc<T>,
    /// The text that closing would lose nothing of: as it is in the file, or as it came with Waypost.
    saved: Option<Arc<T>>,
    past: VecDeque<Step<T>>,
    future: Vec<Step<T>>,
    typing: Option<(Typing, Instant)>,
}

#[derive(Debug)]
struct Step<T> {
    text: Arc<T>,
    label: &'static str,
}

impl<T> Clone for Step<T> {
    fn clone(&self) -> Self {
        Self { text: Arc::clone(&self.text), label: self.label }
    }
}

impl<T> Document<T> {
    /// Returns a document whose text needs no saving yet.
    pub fn new(id: DocId, title: impl Into<String>, text: T) -> Self {
        let text = Arc::new(text);
        let (title, saved) = (title.into(), Some(Arc::clone(&text)));
        let (past, future, given) = (VecDeque::new(), Vec::new(), title.clone());
        Self { id, title, given, path: None, stamp: None, text, saved, past, future, typing: None }
    }

    /// Returns the document under what its text calls it; without that it has the name that it was made with.
    pub fn titled(self, title: String) -> Self {
        Self { title, ..self }
    }

    /// Returns the document as the content of a file.
    pub fn in_file(self, path: PathBuf, stamp: Option<FileStamp>) -> Self {
        Self { path: Some(path), stamp, ..self }
    }

    /// Gives the document a name, which it has where its text says nothing.
    pub fn rename(&mut self, name: String) {
        self.given = name;
        self.call(None);
    }

    /// Returns what it is called where its text says nothing.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// Calls the document what its text says, or what it was given as a name where that says nothing.
    pub fn call(&mut self, name: Option<&str>) {
        self.title = name.filter(|name| !name.trim().is_empty()).unwrap_or(&self.given).to_owned();
    }

    /// Replaces the text. Returns whether this begins a new step to undo, rather than going on with the last one.
    pub fn replace(&mut self, text: T, label: &'static str, typing: Option<Typing>) -> bool {
        let now = Instant::now();
        let goes_on = matches!((self.typing, typing), (Some((last, at)), Some(this)) if last == this && now - at < PAUSE);
        if !goes_on {
            if self.past.len() == STEPS {
                self.past.pop_front();
            }
            self.past.push_back(Step { text: Arc::clone(&self.text), label });
        }
        self.typing = typing.map(|typing| (typing, now));
        self.future.clear();
        self.text = Arc::new(text);
        !goes_on
    }

    /// Goes one step back. Returns whether there was one.
    pub fn undo(&mut self) -> bool {
        let Some(step) = self.past.pop_back() else { return false };
        self.future.push(Step { text: std::mem::replace(&mut self.text, step.text), label: step.label });
        self.typing = None;
        true
    }

    /// Takes the last [`Self::undo`] back. Returns whether there was one.
    pub fn redo(&mut self) -> bool {
        let Some(step) = self.future.pop() else { return false };
        self.past.push_back(Step { text: std::mem::replace(&mut self.text, step.text), label: step.label });
        self.typing = None;
        true
    }

    /// Returns what [`Self::undo`] would take back.
    pub fn undo_label(&self) -> Option<&'static str> {
        self.past.back().map(|step| step.label)
    }

    /// Returns what [`Self::redo`] would do again.
    pub fn redo_label(&self) -> Option<&'static str> {
        self.future.last().map(|step| step.label)
    }

    /// Returns whether closing would lose something. Compares addresses: every edit makes a new text, and undoing it brings the old one back.
    pub fn is_modified(&self) -> bool {
        self.saved.as_ref().is_none_or(|saved| !Arc::ptr_eq(saved, &self.text))
    }

    /// Returns the text that closing would lose nothing of.
    pub fn saved(&self) -> Option<&Arc<T>> {
        self.saved.as_ref()
    }

    /// Notes that the present text is in the file.
    pub fn mark_saved(&mut self) {
        self.saved = Some(Arc::clone(&self.text));
    }

    /// Notes that the present text is nowhere but here.
    pub fn mark_modified(&mut self) {
        self.saved = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keystrokes_in_one_field_are_one_step_and_undo_restores_the_saved_state() {
        let mut document = Document::new(DocId(1), "t", "a".to_owned());
        assert!(document.replace("ab".to_owned(), "name", Some(("name", 0))));
        assert!(!document.replace("abc".to_owned(), "name", Some(("name", 0))));
        assert!(document.replace("abc x".to_owned(), "name", Some(("name", 1))));
        assert!(document.is_modified());
        assert!(document.undo() && *document.text == "abc");
        assert!(document.undo() && *document.text == "a");
        assert!(!document.undo() && !document.is_modified());
        assert!(document.redo() && *document.text == "abc");
        assert_eq!(document.redo_label(), Some("name"));
    }

    #[test]
    fn a_change_after_an_undo_ends_what_could_be_redone() {
        let mut document = Document::new(DocId(1), "t", 1);
        document.replace(2, "x", None);
        document.undo();
        document.replace(3, "x", None);
        assert!(!document.redo());
    }
}
