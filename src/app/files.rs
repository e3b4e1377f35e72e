//! Opening documents: the text of a file becomes a document, and what is odd about it a sentence in the log.

use std::path::Path;

use super::{Document, Log};
use crate::chat::Conversation;
use crate::formats::{FormatError, Warning, parse_conversation, parse_policy, read_text};
use crate::policy::Policy;

/// Opens a policy; `None` after the log said why not.
pub fn open_policy(path: &Path, log: &mut Log) -> Option<Document<Policy>> {
    let policy = open(path, parse_policy, log)?;
    let title = policy.name.clone().unwrap_or_else(|| stem(path));
    Some(Document { path: Some(path.to_owned()), ..Document::untitled(title, policy) })
}

/// Opens a conversation; `None` after the log said why not.
pub fn open_conversation(path: &Path, log: &mut Log) -> Option<Document<Conversation>> {
    let conversation = open(path, parse_conversation, log)?;
    Some(Document { path: Some(path.to_owned()), ..Document::untitled(stem(path), conversation) })
}

fn open<T>(path: &Path, parse: impl Fn(&str, &str) -> Result<(T, Vec<Warning>), FormatError>, log: &mut Log) -> Option<T> {
    let read = read_text(path).and_then(|text| parse(&text, &path.display().to_string()));
    let (document, warnings) = read.map_err(|error| log.error(error.to_string())).ok()?;
    warnings.iter().for_each(|warning| log.info(warning.to_string()));
    Some(document)
}

/// Returns a file's name as a title.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned())
}
