//! Files whose format is not the one that is saved: other programs and people read them by it, so Save does not replace them.

use std::path::PathBuf;

use super::files::has_extension;
use super::{DocId, State};
use crate::formats::read_text;

impl State {
    /// Returns the file that Save proposes in place of the document's own, where that one holds a format that Waypost does not write: the
    /// JSON of a policy that has become YAML, or a transcript. Looks into the file, so this is for the moment of saving.
    pub fn save_beside(&self, id: DocId) -> Option<PathBuf> {
        if let Some(document) = self.policies.iter().find(|document| document.id == id) {
            let path = document.path.as_ref().filter(|path| has_extension(path, &["json"]))?;
            let becomes_yaml = !is_json(document.text.yaml()) && read_text(path).is_ok_and(|text| is_json(&text));
            return becomes_yaml.then(|| path.with_extension("yaml"));
        }
        let document = self.conversations.iter().find(|document| document.id == id)?;
        let path = document.path.as_ref().filter(|path| has_extension(path, &["txt", "md", "jsonl"]))?;
        // Conversations are saved as an object or a list over several lines.
        let is_other = read_text(path).is_ok_and(|text| !matches!(text.lines().next(), Some("{" | "[")));
        is_other.then(|| path.with_extension("json"))
    }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}
