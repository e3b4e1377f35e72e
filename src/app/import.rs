//! Taking a conversation from any text: what was understood is shown before it replaces anything.

use super::session::App;
use super::state::Dialog;
use super::{Document, Tab};
use crate::chat::ConversationEdit;
use crate::formats::{FormatError, PASTED, Understood, find_conversations};

/// A text in the import dialog, and what it was understood as.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    pub text: String,
    /// `None` while the text is empty.
    pub understood: Option<Result<Understood, FormatError>>,
    /// Which of the found conversations to take.
    pub chosen: usize,
}

impl Import {
    /// Reads a text.
    pub fn new(text: String) -> Self {
        let understood = (!text.trim().is_empty()).then(|| find_conversations(&text, PASTED));
        Self { text, understood, chosen: 0 }
    }
}

impl App {
    pub(super) fn accept_import(&mut self, replace: bool) {
        let Some(Dialog::Import(import)) = self.state.dialog.take() else { return };
        let found = import.understood.and_then(Result::ok).and_then(|understood| understood.found.into_iter().nth(import.chosen));
        let Some(found) = found else { return };
        if replace {
            self.edit_conversation(ConversationEdit::Replace(found.conversation));
        } else {
            let id = self.next_id();
            let mut document = Document::new(id, found.title, found.conversation);
            document.mark_modified();
            self.add_conversation(document);
        }
        if self.state.settings.tab != Tab::Policy {
            self.change_settings(|settings| settings.tab = Tab::Playground);
        }
    }
}
