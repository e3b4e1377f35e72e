//! Where results go: standard output, or a file that is written whole or not at all.

use std::path::Path;

use super::{Failure, report};
use crate::app::replace_file;

/// Writes `text` to `path`, or to standard output without one or with `-`.
///
/// # Errors
/// Fails when it cannot be written; the file is then as it was.
pub fn write(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    match path.filter(|path| path.as_os_str() != "-") {
        None => report::print(text),
        Some(path) => replace_file(path, |file| file.write_all(text.as_bytes()))
            .map_err(|error| Failure::Input(format!("{}: {}", path.display(), sentence(path, &error)))),
    }
}

/// What went wrong and what to do about it.
fn sentence(path: &Path, error: &std::io::Error) -> String {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        Some(folder) => format!("the folder {} does not exist; create it or name another file", folder.display()),
        None => format!("{error}; the file was not changed; name another one"),
    }
}
