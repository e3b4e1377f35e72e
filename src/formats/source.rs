//! Reading text from files and standard input, within limits.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use super::error::{FormatError, Origin};
use super::tree::Pos;

/// The largest text that is read whole. No conversation or policy comes near; a wrong file picked by accident does.
pub const MAX_BYTES: u64 = 64 << 20;

/// The largest export of a chat product that is read: years of somebody's conversations come to some hundred megabytes.
pub const MAX_EXPORT_BYTES: u64 = 1 << 30;

/// Returns the text of a file, without a byte order mark.
///
/// # Errors
/// The file cannot be opened, is larger than [`MAX_BYTES`] (refused before it is read) or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FormatError> {
    read_file(path, MAX_BYTES)
}

/// Returns the text of a file that may be an export of many conversations, without a byte order mark.
///
/// # Errors
/// As [`read_text`], but the limit is [`MAX_EXPORT_BYTES`].
pub fn read_export(path: &Path) -> Result<String, FormatError> {
    read_file(path, MAX_EXPORT_BYTES)
}

fn read_file(path: &Path, limit: u64) -> Result<String, FormatError> {
    let label = path.display().to_string();
    let file = open_file(path, &label)?;
    if file.metadata().is_ok_and(|metadata| metadata.len() > limit) {
        return Err(too_large(&Origin::new(&label), limit));
    }
    read_within(file, &label, limit)
}

/// Returns the text of a reader such as standard input, without a byte order mark; `label` stands for the path in messages.
///
/// # Errors
/// Reading fails, there is more than [`MAX_BYTES`], or it is not UTF-8.
pub fn read_text_from(reader: impl Read, label: &str) -> Result<String, FormatError> {
    read_within(reader, label, MAX_BYTES)
}

/// Returns the text of a reader as it is, a byte order mark included: for what is written again with only a part of it changed.
///
/// # Errors
/// As [`read_text_from`].
pub fn read_unchanged(reader: impl Read, label: &str) -> Result<String, FormatError> {
    read_all(reader, label, MAX_BYTES)
}

fn read_within(reader: impl Read, label: &str, limit: u64) -> Result<String, FormatError> {
    let mut text = read_all(reader, label, limit)?;
    if text.starts_with(BOM) {
        text.drain(..BOM.len_utf8());
    }
    Ok(text)
}

fn read_all(reader: impl Read, label: &str, limit: u64) -> Result<String, FormatError> {
    let origin = Origin::new(label);
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error, &origin))?;
    if bytes.len() as u64 > limit {
        return Err(too_large(&origin, limit));
    }
    into_utf8(bytes, "the text", 1, &origin)
}

/// Opens a file that is read piece by piece, such as a labelled set; it may be of any size.
///
/// # Errors
/// The file cannot be opened.
pub fn open(path: &Path) -> Result<BufReader<File>, FormatError> {
    open_file(path, &path.display().to_string()).map(BufReader::new)
}

/// Windows editors put it before the text.
const BOM: char = '\u{feff}';

/// Returns the byte order mark of a file that starts with one, which [`read_text`] leaves out: whoever writes the file again keeps it.
pub fn byte_order_mark(path: &Path) -> &'static str {
    let mut start = [0; BOM.len_utf8()];
    let is_marked = File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start.as_slice() == BOM_BYTES;
    if is_marked { "\u{feff}" } else { "" }
}

/// The same as the bytes of a file.
pub(super) const BOM_BYTES: &[u8] = b"\xef\xbb\xbf";

/// Returns the text without a byte order mark.
pub(super) fn without_bom(text: &str) -> &str {
    text.strip_prefix(BOM).unwrap_or(text)
}

/// Returns the bytes as text; `what` names them in messages.
///
/// # Errors
/// They are not UTF-8; the message names the first bad byte.
pub(super) fn into_utf8(bytes: Vec<u8>, what: &str, first_line: usize, origin: &Origin<'_>) -> Result<String, FormatError> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let good = String::from_utf8_lossy(&error.as_bytes()[..offset]);
        let line = first_line + good.matches('\n').count();
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let byte = error.as_bytes()[offset];
        let message = format!("byte {offset} of {what} (0x{byte:02X}) is not UTF-8");
        origin.error(Pos { line, column }, message, "save the file as UTF-8")
    })
}

/// Returns the error about a read that failed.
pub(super) fn unreadable(error: &std::io::Error, origin: &Origin<'_>) -> FormatError {
    match error.kind() {
        ErrorKind::NotFound => origin.whole("there is no such file", "check the path"),
        ErrorKind::PermissionDenied => origin.whole("you may not read this file", "change its permissions or choose another"),
        ErrorKind::IsADirectory => origin.whole("this is a folder", "name a file in it"),
        _ => origin.whole(format!("the file cannot be read ({error})"), "check the disk or choose another file"),
    }
}

/// Opens a file; `label` stands for its path in messages.
///
/// # Errors
/// As [`open`].
pub(super) fn open_file(path: &Path, label: &str) -> Result<File, FormatError> {
    let origin = Origin::new(label);
    // Opening a folder succeeds on Unix, and only reading it fails; other systems refuse with a message about permissions.
    if path.is_dir() {
        return Err(unreadable(&ErrorKind::IsADirectory.into(), &origin));
    }
    File::open(path).map_err(|error| unreadable(&error, &origin))
}

fn too_large(origin: &Origin<'_>, limit: u64) -> FormatError {
    origin.whole(format!("the file is larger than {} MiB", limit >> 20), "choose another file or split it")
}
