//! Where results go: standard output, or a file that is written whole or not at all.

use std::io::Write as _;
use std::path::Path;

use super::{Failure, report};

/// Writes `text` to `path`, or to standard output without one or with `-`.
///
/// # Errors
/// Fails when it cannot be written; the file is then as it was.
pub fn write(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    match path.filter(|path| path.as_os_str() != "-") {
        None => report::print(text),
        Some(path) => write_file(path, text),
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Input(format!("{}: {error}; the file was not changed", path.display()));
    // In the same folder, so that the last step is a rename and nobody ever sees half a file.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    // The temporary file is private; a result has the permissions of the file it replaces, or those of any new file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode());
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
