//! What a file was when its text was read or written: taken with the very text, so that what another program writes meanwhile counts as a change.

use std::fs::Metadata;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::replace::replace_known;
use super::{Document, FileStamp};
use crate::formats::{FormatError, byte_order_mark, read_text};

/// Reads a file's text, and returns what the file was. Its time and size are looked up before, so they can only be older than the text.
///
/// # Errors
/// As `read`.
pub(super) fn read_stamped(
    path: &Path,
    read: impl FnOnce(&Path) -> Result<String, FormatError>,
) -> Result<(String, FileStamp), FormatError> {
    let before = std::fs::metadata(path).ok();
    let text = read(path)?;
    let stamp = stamp(before.as_ref(), &text);
    Ok((text, stamp))
}

/// Writes a text to a file as a whole, behind the byte order mark that it had, and returns what the file is then; `None` for one whose time and
/// size say nothing, such as a pipe.
///
/// # Errors
/// As [`super::replace_file`].
pub(super) fn write_stamped(path: &Path, text: &str) -> std::io::Result<Option<FileStamp>> {
    let marked = format!("{}{text}", byte_order_mark(path));
    let written = replace_known(path, |file| file.write_all(marked.as_bytes()))?;
    Ok(written.map(|metadata| stamp(Some(&metadata), text)))
}

/// Returns what a document's file is, where its text is neither what was last read or written nor what is here. Another time alone is no
/// change: git and synchronising tools touch files without changing them.
pub(super) fn changed<T>(document: &Document<T>, write: impl FnOnce(&T) -> String) -> Option<FileStamp> {
    let (path, known) = (document.path.as_ref()?, document.stamp?);
    let present = std::fs::metadata(path).ok()?;
    let same_time = match (present.modified().ok(), known.modified) {
        // Drafts keep milliseconds.
        (Some(a), Some(b)) => a.duration_since(b).or_else(|_| b.duration_since(a)).is_ok_and(|apart| apart.as_millis() == 0),
        _ => true,
    };
    if present.len() == known.bytes && same_time {
        return None;
    }
    let text = read_text(path).ok()?;
    let found = stamp(Some(&present), &text);
    (known.digest != found.digest && text != write(&document.text)).then_some(found)
}

fn stamp(metadata: Option<&Metadata>, text: &str) -> FileStamp {
    let modified = metadata.and_then(|metadata| metadata.modified().ok());
    let digest = Sha256::digest(text.as_bytes()).iter().take(8).fold(0, |digest, byte| (digest << 8) | u64::from(*byte));
    FileStamp { modified, bytes: metadata.map_or(0, Metadata::len), digest: Some(digest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::DocId;

    #[test]
    fn what_another_program_writes_while_a_file_is_read_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, "mine").unwrap();
        let read = |path: &Path| {
            let text = read_text(path);
            std::fs::write(path, "another's").unwrap();
            text
        };
        let (text, stamp) = read_stamped(&path, read).unwrap();
        assert_eq!(text, "mine");
        let document = Document::new(DocId(1), "p", text).in_file(path, Some(stamp));
        assert!(changed(&document, String::clone).is_some());
    }

    #[test]
    fn what_was_written_is_no_change_and_what_comes_after_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, "\u{feff}old").unwrap();
        let stamp = write_stamped(&path, "mine").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "\u{feff}mine");
        let document = Document::new(DocId(1), "p", "mine, edited".to_owned()).in_file(path.clone(), stamp);
        assert_eq!(changed(&document, String::clone), None);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(changed(&document, String::clone), None);
        std::fs::write(&path, "another's").unwrap();
        assert!(changed(&document, String::clone).is_some());
    }
}
