//! Whether closing the window would lose something: drafts keep every change, but not where their folder cannot be used, and labels are kept
//! in their set's file alone.

use super::Document;
use super::session::App;
use super::state::{Dialog, Question};
use super::store::Store;

impl App {
    /// Returns whether the window can be closed without losing anything; where it cannot, the user is asked, and the window is to stay.
    pub fn may_close(&mut self) -> bool {
        if self.leaving {
            return true;
        }
        self.save_drafts();
        if let Some(store) = &self.store {
            store.flush();
        }
        // What could not be written is told by now.
        while let Ok(apply) = self.inbox.try_recv() {
            apply(self);
        }
        let is_kept = self.store.as_ref().is_some_and(Store::keeps_all);
        let mut lost = if is_kept { Vec::new() } else { self.modified() };
        lost.extend(self.lost_labels());
        if lost.is_empty() {
            return true;
        }
        self.state.dialog = Some(Dialog::Question(Question::CloseWindow(lost)));
        false
    }

    /// Returns whether the user wants the window to be closed whatever is lost.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Returns the titles of what has changes that are in no file.
    fn modified(&self) -> Vec<String> {
        fn titles<T>(documents: &[Document<T>]) -> impl Iterator<Item = String> {
            documents.iter().filter(|document| document.is_modified()).map(|document| document.title.clone())
        }
        titles(&self.state.policies).chain(titles(&self.state.conversations)).collect()
    }
}
