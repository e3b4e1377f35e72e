//! Taking conversations from any text: what was understood is shown before it replaces anything.

use std::path::PathBuf;
use std::sync::Arc;

use super::session::App;
use super::state::Dialog;
use super::store::write_atomically;
use super::{BatchPart, DocId, Document};
use crate::chat::{Conversation, ConversationEdit};
use crate::formats::{FormatError, Found, PASTED, Understood, find_conversations, unlabelled_json};

/// More bytes than these are read on a thread and never shown whole: laying such a text out would stop the window.
pub const LARGE_TEXT: u64 = 1_000_000;

/// Conversations that go on the shelf at once. Each is a document of its own there, with its draft.
const MOST_ADDED: usize = 60;

/// A text in the import dialog, and what it was understood as.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// What is in the text field.
    pub text: String,
    /// What is read in place of the text field.
    pub source: Option<Arc<ImportSource>>,
    /// `None` while there is no text, or while it is being read.
    pub understood: Option<Result<Understood, FormatError>>,
    /// Which of the found conversations to take.
    pub chosen: usize,
    /// Which words their titles are searched for.
    pub search: String,
    /// Positions of the found conversations whose titles contain the search.
    pub shown: Vec<usize>,
}

/// A text that is not shown, because a file holds it or because it is large.
#[derive(Debug, PartialEq, Eq)]
pub struct ImportSource {
    pub name: String,
    pub bytes: u64,
}

impl Import {
    /// Reads a text.
    pub fn new(text: String) -> Self {
        let understood = (!text.trim().is_empty()).then(|| find_conversations(&text, PASTED));
        Self { text, ..Self::with(None, understood) }
    }

    /// Returns what a text that is not shown was understood as; `None` while it is being read.
    pub(super) fn of_source(source: Arc<ImportSource>, understood: Option<Result<Understood, FormatError>>) -> Self {
        Self::with(Some(source), understood)
    }

    fn with(source: Option<Arc<ImportSource>>, understood: Option<Result<Understood, FormatError>>) -> Self {
        let (text, search) = (String::new(), String::new());
        let mut import = Self { text, source, understood, chosen: 0, search, shown: Vec::new() };
        import.find(String::new());
        import
    }

    /// Returns whether the text is still to be understood.
    pub fn is_being_read(&self) -> bool {
        self.source.is_some() && self.understood.is_none()
    }

    /// Returns the conversations that were found.
    pub fn found(&self) -> &[Found] {
        self.understood.as_ref().and_then(|understood| understood.as_ref().ok()).map_or(&[], |understood| &understood.found)
    }

    /// Returns the conversation to take, unless the search hides them all.
    pub fn taken(&self) -> Option<&Found> {
        self.found().get(self.chosen).filter(|_| !self.shown.is_empty())
    }

    /// Returns the positions of the conversations that go on the shelf at once: of those shown the newest, where the text says when.
    pub fn offered(&self) -> &[usize] {
        &self.shown[..self.shown.len().min(MOST_ADDED)]
    }

    /// Shows the conversations whose titles contain a text.
    pub(super) fn find(&mut self, search: String) {
        let wanted = search.trim().to_lowercase();
        let is_wanted = |found: &Found| found.title.to_lowercase().contains(&wanted);
        self.shown = self.found().iter().enumerate().filter(|(_, found)| is_wanted(found)).map(|(at, _)| at).collect();
        self.search = search;
        if !self.shown.contains(&self.chosen) {
            self.chosen = self.shown.first().copied().unwrap_or_default();
        }
    }
}

impl App {
    /// Takes what is in the text field; a large text is understood on the thread for files.
    pub(super) fn import_text(&mut self, text: String) {
        let bytes = text.len() as u64;
        if bytes <= LARGE_TEXT {
            self.state.dialog = Some(Dialog::Import(Import::new(text)));
            return;
        }
        let source = move || ImportSource { name: "Pasted text".to_owned(), bytes };
        let understood = move |app: &mut Self, understood| {
            app.state.dialog = Some(Dialog::Import(Import::of_source(Arc::new(source()), Some(understood))));
        };
        self.read_aside(source(), move || find_conversations(&text, PASTED), understood);
    }

    /// Reads something on the thread for files, while the dialog says so; what was read is forgotten where the dialog was closed meanwhile.
    pub(super) fn read_aside<T: Send + 'static>(
        &mut self,
        source: ImportSource,
        read: impl FnOnce() -> T + Send + 'static,
        took: impl FnOnce(&mut Self, T) + Send + 'static,
    ) {
        let source = Arc::new(source);
        self.state.dialog = Some(Dialog::Import(Import::of_source(Arc::clone(&source), None)));
        let abandoned = Arc::clone(&source);
        let apply = move |app: &mut Self, made| {
            if app.end_reading(&source) {
                took(app, made);
                app.settle();
            }
        };
        self.files.run(read, apply, move |app| {
            app.end_reading(&abandoned);
        });
    }

    /// Closes the dialog that says that something is being read. Returns whether it was open.
    fn end_reading(&mut self, source: &Arc<ImportSource>) -> bool {
        let is_it = |import: &Import| import.source.as_ref().is_some_and(|present| Arc::ptr_eq(present, source));
        self.state.dialog.take_if(|dialog| matches!(&*dialog, Dialog::Import(import) if is_it(import))).is_some()
    }

    pub(super) fn accept_import(&mut self, replace: bool) {
        let Some(Dialog::Import(import)) = self.state.dialog.take() else { return };
        let Some(found) = import.taken().cloned() else { return };
        if replace {
            self.edit_conversation(ConversationEdit::Replace(found.conversation));
        } else {
            let document = imported(self.next_id(), found);
            self.add_conversation(document);
        }
        self.show_conversation_tab();
    }

    /// Puts the conversations that are offered on the shelf and shows the first of them.
    pub(super) fn accept_all(&mut self) {
        let Some(Dialog::Import(import)) = self.state.dialog.take() else { return };
        let first = self.state.conversations.len();
        for found in import.offered().iter().filter_map(|&at| import.found().get(at)) {
            let document = imported(self.next_id(), found.clone());
            self.state.conversations.push(document);
        }
        let added = self.state.conversations.len() - first;
        if added > 0 {
            self.show_conversation(first);
            self.state.log.info(format!("Added {added} of {} conversations to the shelf", import.found().len()));
            self.show_conversation_tab();
        }
    }

    /// Writes the conversations that are shown as a set without labels, and opens it to be labelled.
    pub(super) fn save_import(&mut self, path: PathBuf) {
        let Some(Dialog::Import(import)) = self.state.dialog.take_if(|dialog| matches!(dialog, Dialog::Import(_))) else { return };
        let import = Arc::new(import);
        let unsaved = Arc::clone(&import);
        let write = move || {
            let shown = import.shown.iter().filter_map(|&at| import.found().get(at));
            let lines = shown.enumerate().map(|(at, found)| unlabelled_json(&format!("import-{}", at + 1), &found.conversation) + "\n");
            let written = write_atomically(&path, lines.collect::<String>().as_bytes());
            (written, import, path)
        };
        self.files.run(
            write,
            |app, (written, import, path)| match written {
                Ok(()) => {
                    app.state.log.info(format!("Saved {} conversations to label to {}", import.shown.len(), path.display()));
                    app.state.batch.part = BatchPart::Problems;
                    app.show_set(&path);
                }
                Err(error) => {
                    app.state.log.error(format!("{} could not be saved ({error}); choose another folder", path.display()));
                    app.state.dialog.get_or_insert(Dialog::Import(Arc::unwrap_or_clone(import)));
                }
            },
            |app| {
                app.state.dialog.get_or_insert(Dialog::Import(Arc::unwrap_or_clone(unsaved)));
            },
        );
    }
}

/// Returns a conversation as a document that is in no file yet.
fn imported(id: DocId, found: Found) -> Document<Conversation> {
    let mut document = Document::new(id, found.title, found.conversation);
    document.mark_modified();
    document
}
