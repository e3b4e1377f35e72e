//! Taking a policy from a gateway's configuration: what the gateway would refuse or ignore is shown before anything is replaced or added.

use std::path::{Path, PathBuf};

use super::files::stem;
use super::session::App;
use super::state::Dialog;
use super::{Document, PolicyText, Tab};
use crate::formats::{Imported, import_gateway};

/// A configuration that was opened, and the policy that it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayImport {
    pub path: PathBuf,
    pub imported: Imported,
}

impl App {
    /// Shows what a configuration holds; one without routes is a sentence.
    pub(super) fn open_gateway(&mut self, path: &Path, text: &str) {
        match import_gateway(text, &path.display().to_string()) {
            Ok(imported) => {
                self.state.dialog = Some(Dialog::Gateway(Box::new(GatewayImport { path: path.to_owned(), imported })));
                self.remember(path);
            }
            Err(error) => self.state.log.error(error.to_string()),
        }
    }

    /// Takes the policy: in place of the present one, which can be undone, or beside it.
    pub(super) fn accept_gateway(&mut self, replace: bool) {
        let Some(Dialog::Gateway(import)) = self.state.dialog.take() else { return };
        let GatewayImport { path, imported } = *import;
        let text = PolicyText::new(imported.policy);
        if replace {
            self.replace_policy(text, "import", None);
            self.state.selected = 0;
        } else {
            let id = self.next_id();
            let title = text.policy.name.clone().unwrap_or_else(|| stem(&path));
            let mut document = Document::new(id, title, text);
            document.mark_modified();
            self.add_policy(document);
        }
        // What came from a configuration usually goes back into it.
        self.state.export.origins.insert(self.state.policy().id, path);
        self.change_settings(|settings| settings.tab = Tab::Policy);
    }
}
